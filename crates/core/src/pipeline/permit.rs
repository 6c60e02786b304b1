//! The permit: a value that only the pipeline can make, and the only way into `Tool::execute`.

use crate::{
    approval::Approved,
    ids::CallId,
    plan::{Access, Plan},
    principal::Principal,
};
use std::sync::Arc;

/// Permission to do exactly what one plan says, once.
///
/// INVARIANT: fields are private, the type is not `Clone`, and [`Permit::mint`] is visible to the pipeline alone. A permit is consumed by
/// the execution that it allows.
pub struct Permit {
    call: CallId,
    principal: Arc<Principal>,
    plan: Plan,
    granted: Vec<Access>,
    approved: Option<Approved>,
}

impl Permit {
    pub(super) fn mint(
        call: CallId,
        principal: Arc<Principal>,
        plan: Plan,
        granted: Vec<Access>,
        approved: Option<Approved>,
    ) -> Permit {
        Permit { call, principal, plan, granted, approved }
    }

    /// The call, for correlation (`application_name`, a child's environment).
    pub fn call(&self) -> CallId {
        self.call
    }

    /// On whose behalf.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The plan that was authorized.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The accesses that policy granted: all required ones, and those optional ones that were not denied.
    pub fn granted(&self) -> &[Access] {
        &self.granted
    }

    /// What people approved, if people had to: the effect must be what they were shown.
    pub fn approved(&self) -> Option<&Approved> {
        self.approved.as_ref()
    }

    /// Whether this access was granted.
    pub fn grants(&self, access: &Access) -> bool {
        self.granted.contains(access)
    }
}

/// Permission to try out one plan without lasting effect, for approvers only.
pub struct PreviewPermit {
    call: CallId,
    principal: Arc<Principal>,
    granted: Vec<Access>,
}

impl PreviewPermit {
    pub(super) fn mint(call: CallId, principal: Arc<Principal>, granted: Vec<Access>) -> PreviewPermit {
        PreviewPermit { call, principal, granted }
    }

    /// The call that the preview is for.
    pub fn call(&self) -> CallId {
        self.call
    }

    /// On whose behalf.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The accesses that policy granted.
    pub fn granted(&self) -> &[Access] {
        &self.granted
    }
}
