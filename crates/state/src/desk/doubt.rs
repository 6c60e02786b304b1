//! Uses that were cut off: nobody knows whether they took effect, until somebody looks at the data and says so.

use countersign_core::approval::End;

use super::{Case, Desk, Stage};
use crate::error::StateError;

/// What somebody found out about a use that was cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It took effect.
    Ran,
    /// It did not.
    DidNotRun,
}

impl Outcome {
    /// The name in the store, in records and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ran => "ran",
            Outcome::DidNotRun => "did-not-run",
        }
    }
}

impl Desk {
    /// Uses that were cut off: nobody knows whether they took effect.
    ///
    /// # Errors
    /// If the state cannot answer.
    pub async fn in_doubt(&self, now: u64) -> Result<Vec<Case>, StateError> {
        let keys = self.keys().await?;
        let rows = self.store.open_uses().await?;
        let cases: Result<Vec<Case>, StateError> =
            rows.into_iter().map(|row| self.case(row, &keys, now)).collect();
        Ok(cases?.into_iter().filter(is_doubtful).collect())
    }

    /// The use in doubt by this call, or of the request of this id.
    ///
    /// # Errors
    /// If no such use is in doubt: it is not known, is under way, or has ended.
    pub async fn doubtful(&self, call: &str, now: u64) -> Result<Case, StateError> {
        let used_by = |case: &Case| matches!(&case.stage, Stage::Used { call: by, .. } if by == call);
        let found = self.in_doubt(now).await?.into_iter().find(|case| case.id == call || used_by(case));
        found.ok_or_else(|| StateError::Refused(format!("no call `{call}` is in doubt")))
    }

    /// Notes what somebody found out about a use in doubt. Its approval stays used. If the call did not run, its idempotency key is free
    /// again; if it ran, the key answers that it did.
    ///
    /// # Errors
    /// If it is no longer in doubt, or the state cannot answer.
    pub async fn resolve(&self, case: &Case, outcome: Outcome) -> Result<(), StateError> {
        let Stage::Used { call, .. } = &case.stage else {
            return Err(StateError::Refused(format!("the request `{}` was not used", case.id)));
        };
        match self.store.resolve(call, outcome.name(), outcome == Outcome::Ran).await? {
            true => Ok(()),
            false => Err(StateError::Refused(format!("the call `{call}` is no longer in doubt"))),
        }
    }
}

fn is_doubtful(case: &Case) -> bool {
    matches!(&case.stage, Stage::Used { end, .. } if end == End::InDoubt.name())
}
