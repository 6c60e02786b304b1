//! Before anything is decided: is it stopped, and is it too often?

use super::Pipeline;
use crate::{
    denied::{Denied, Subsystem},
    principal::Principal,
    stops::{Stop, Subject},
};

impl Pipeline {
    /// After identification and before the body is read: what operators stopped, and the rates of principal, tenant and server.
    pub async fn admit(&self, principal: &Principal) -> Result<(), Denied> {
        let admitted = match self.going(&Subject { principal, run: None, tool: None }) {
            Ok(()) => self.limits.admit(principal, self.environment.unix_micros()).await,
            stopped => stopped,
        };
        if let Err(denied) = &admitted {
            self.aggregate(denied.code(), Some(principal), "");
        }
        admitted
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
}
