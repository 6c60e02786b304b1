//! The permit: a value that only the pipeline can make, and the only way into `Tool::execute`.

use crate::{
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
}

impl Permit {
    pub(super) fn mint(call: CallId, principal: Arc<Principal>, plan: Plan, granted: Vec<Access>) -> Permit {
        Permit { call, principal, plan, granted }
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

    /// Whether this access was granted.
    pub fn grants(&self, access: &Access) -> bool {
        self.granted.contains(access)
    }
}

/// Permission to compute a preview of one plan, for approvers only. Nothing mints one yet: calls that need approval are refused.
pub struct PreviewPermit {
    call: CallId,
}

impl PreviewPermit {
    /// The call that the preview is for.
    pub fn call(&self) -> CallId {
        self.call
    }
}
