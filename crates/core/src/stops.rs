//! What operators have stopped: what is frozen or revoked does not go on, whatever policy says.

use crate::{ids::RunId, principal::Principal};

/// Whose call it is, as far as it is known when the question is asked.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Who calls.
    pub principal: &'a Principal,
    /// In which run; unknown before the body is read.
    pub run: Option<&'a RunId>,
    /// Which tool; unknown before the body is read.
    pub tool: Option<&'a str>,
}

/// Why a call does not go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// An operator froze this for the time being.
    Frozen {
        /// What: `everything`, `this tenant`, `this principal`, `this tool`.
        what: &'static str,
    },
    /// An operator revoked this for good.
    Revoked {
        /// What: `credential`, `principal`, `agent`, `run`, `token`.
        what: &'static str,
    },
}

/// What is stopped at this moment, here and in other processes.
pub trait Stops: Send + Sync {
    /// Whether an operator has stopped this. An error: it is not known, and the call is refused.
    fn check(&self, subject: &Subject<'_>) -> Result<Option<Stop>, String>;
}
