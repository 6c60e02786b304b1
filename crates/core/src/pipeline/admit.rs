//! Before anything is decided: is it stopped, is it too often, which run is it of, and is it within the scopes of the credential?

use std::sync::{Arc, PoisonError};

use super::Pipeline;
use crate::{
    denied::{Denied, Subsystem},
    ids::{CallId, Digest, RunId},
    principal::Principal,
    scopes::ScopeRules,
    stops::{Stop, Subject},
    tool::ToolSpec,
};

/// A request that was turned away before its body was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotAdmitted {
    /// Why.
    pub denied: Denied,
    /// Tells when it happened and names it to an operator; the record has the first of each row of them.
    pub id: Option<CallId>,
}

impl NotAdmitted {
    /// What the caller may know.
    pub fn public(&self) -> String {
        let id = self.id.map(|id| format!(" (refusal {id})"));
        format!("{}{}", self.denied.public(), id.unwrap_or_default())
    }
}

impl Pipeline {
    /// After identification and before the body is read: what operators stopped, and the rates of principal, tenant and server.
    ///
    /// # Errors
    /// Why it does not go on. Where that is not the caller's doing, with an id under which it is on record.
    pub async fn admit(&self, principal: &Principal) -> Result<(), NotAdmitted> {
        let admitted = match self.going(&Subject { principal, run: None, tool: None }) {
            Ok(()) => self.limits.admit(principal, self.environment.unix_micros()).await,
            stopped => stopped,
        };
        admitted.map_err(|denied| {
            let id = match denied {
                Denied::Unavailable(_) => self.fresh_id().ok(),
                _ => None,
            };
            match id {
                Some(id) => self.security_detail(denied.code(), Some(principal), &format!("refusal {id}")),
                None => self.aggregate(denied.code(), Some(principal), ""),
            }
            NotAdmitted { denied, id }
        })
    }

    /// The run that a request without a session belongs to: that of its credential, or one of ours, a new one after idle time. Nothing
    /// that the client sends has a say.
    ///
    /// # Errors
    /// If nobody knows.
    pub async fn run_of(&self, principal: &Principal) -> Result<RunId, Denied> {
        // MUTATE(G5-run): a credential for one run is used in another
        if let Some(run) = principal.run() {
            return Ok(run.clone());
        }
        // INVARIANT: what was narrowed stays in the run of what it was narrowed from, so narrowing is no way to a clean run.
        // MUTATE(G5-narrow-run): a narrowed credential begins a clean run
        let credential = principal.first_credential();
        let holder = [principal.key().as_bytes(), credential.as_bytes()];
        let holder = Digest::of_fields("countersign holder of a run v1", holder);
        self.runs.of(holder).await.map_err(|_| Denied::Unavailable(Subsystem::State))
    }

    /// Goes on unless an operator stopped it, or nobody can tell.
    pub fn going(&self, subject: &Subject<'_>) -> Result<(), Denied> {
        let Some(stops) = &self.stops else { return Ok(()) };
        match stops.check(subject) {
            Ok(None) => Ok(()),
            // MUTATE(I5-frozen): what an operator froze goes on
            Ok(Some(Stop::Frozen { what })) => Err(Denied::Frozen(what)),
            // MUTATE(G5-revoked): what an operator revoked goes on
            Ok(Some(Stop::Revoked { .. })) => Err(Denied::Unauthenticated),
            // MUTATE(I4-stops): calls go on although nobody knows what is revoked
            Err(_) => Err(Denied::Unavailable(Subsystem::State)),
        }
    }

    /// Demands other scopes from the next call on.
    pub fn replace_scopes(&self, rules: ScopeRules) {
        *self.scopes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// Goes on if the credential carries all scopes that the tool needs.
    pub(super) fn within_scopes(&self, principal: &Principal, spec: &ToolSpec) -> Result<(), Denied> {
        let rules = Arc::clone(&self.scopes.read().unwrap_or_else(PoisonError::into_inner));
        rules.check(principal, spec).map_err(|scopes| Denied::InsufficientScope { scopes })
    }
}
