//! What operators froze or revoked, as every process sees it.
//!
//! The rows lie in the store. Each process reads them again a few times a second and answers from what it read, so that a call costs no
//! access to the store. INVARIANT: what was read too long ago is not believed: then nobody knows, and nothing goes on.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use countersign_core::{
    Principal,
    stops::{Stop, Stops, Subject},
};

use crate::{error::StateError, store::Store};

/// How often the rows are read again.
const PAUSE: Duration = Duration::from_millis(400);
/// For how long what was read is believed.
const BELIEVED: Duration = Duration::from_secs(2);

/// What a stop is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StopKind {
    /// Every call.
    Everything,
    /// Calls of a tenant, by name.
    Tenant,
    /// Calls of a principal, by [`Principal::key`].
    Principal,
    /// Calls of all agents that act for a person, by its name.
    Owner,
    /// Calls of a tool, by name.
    Tool,
    /// Calls with a credential, by its id.
    Credential,
    /// Calls in a run or session, by its id.
    Run,
    /// Calls with a token of an issuer: [`token`] of issuer and `jti`.
    Token,
}

impl StopKind {
    /// All kinds.
    pub const ALL: [StopKind; 8] = [
        StopKind::Everything,
        StopKind::Tenant,
        StopKind::Principal,
        StopKind::Owner,
        StopKind::Tool,
        StopKind::Credential,
        StopKind::Run,
        StopKind::Token,
    ];

    /// The name in rows and records.
    pub fn name(self) -> &'static str {
        match self {
            StopKind::Everything => "everything",
            StopKind::Tenant => "tenant",
            StopKind::Principal => "principal",
            StopKind::Owner => "owner",
            StopKind::Tool => "tool",
            StopKind::Credential => "credential",
            StopKind::Run => "run",
            StopKind::Token => "token",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<StopKind> {
        StopKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What the caller is told that is frozen.
    fn shown(self) -> &'static str {
        match self {
            StopKind::Everything => "everything",
            StopKind::Tenant => "this tenant",
            StopKind::Principal => "this principal",
            StopKind::Owner => "the agents of this person",
            StopKind::Tool => "this tool",
            StopKind::Credential => "this credential",
            StopKind::Run => "this run",
            StopKind::Token => "this token",
        }
    }
}

/// What names a token of an issuer in a [`StopRow`].
pub fn token(issuer: &str, jti: &str) -> String {
    format!("{}:{issuer}|{jti}", issuer.len())
}

/// One stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StopRow {
    /// What it is about.
    pub kind: StopKind,
    /// Which one; empty for everything.
    pub what: String,
    /// Frozen, so that it can be thawed; else revoked for good.
    pub frozen: bool,
    /// Why, in the operator's words.
    pub reason: String,
    /// Who did it: the user of the command.
    pub operator: String,
    /// When, microseconds since 1970 UTC.
    pub at: u64,
    /// Until when it matters: what it is about has expired then.
    pub until: Option<u64>,
}

/// The stops in force, read again and again.
pub struct StopWatch {
    store: Arc<dyn Store>,
    seen: RwLock<Seen>,
    now: fn() -> u64,
}

struct Seen {
    at: Instant,
    stops: Arc<HashMap<(StopKind, String), Entry>>,
}

#[derive(Clone, Copy)]
struct Entry {
    frozen: bool,
    until: Option<u64>,
}

impl StopWatch {
    /// Reads the stops of a store for the first time. `now` tells microseconds since 1970 UTC.
    ///
    /// # Errors
    /// If the store cannot answer.
    pub async fn open(store: Arc<dyn Store>, now: fn() -> u64) -> Result<StopWatch, StateError> {
        let seen = RwLock::new(Seen { at: Instant::now(), stops: Arc::default() });
        let watch = StopWatch { store, seen, now };
        watch.read().await?;
        Ok(watch)
    }

    /// Reads them again and again for as long as it is polled, at once when another process says that they changed. An error is told to `trouble`, once for each outage.
    pub async fn keep(&self, mut trouble: impl FnMut(&StateError)) {
        let mut failing = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.store.stops_changed() => {}
            }
            let outcome = self.read().await;
            if let (Err(error), false) = (&outcome, failing) {
                trouble(error);
            }
            failing = outcome.is_err();
        }
    }

    /// Reads them once.
    ///
    /// # Errors
    /// If the store cannot answer. What was read before is believed for a moment longer.
    pub async fn read(&self) -> Result<(), StateError> {
        // What was true when the question was asked counts from then.
        let at = Instant::now();
        let rows = self.store.stops().await?;
        let mut stops: HashMap<(StopKind, String), Entry> = HashMap::with_capacity(rows.len());
        for row in rows {
            stops.insert((row.kind, row.what), Entry { frozen: row.frozen, until: row.until });
        }
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Seen { at, stops: Arc::new(stops) };
        Ok(())
    }
}

impl Stops for StopWatch {
    fn check(&self, subject: &Subject<'_>) -> Result<Option<Stop>, String> {
        let (age, stops) = {
            let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
            (seen.at.elapsed(), Arc::clone(&seen.stops))
        };
        // MUTATE(P4-stale): what was read long ago is believed
        if age > BELIEVED {
            return Err(format!("what is frozen and revoked was last read {} ms ago", age.as_millis()));
        }
        if stops.is_empty() {
            return Ok(None);
        }
        let now = (self.now)();
        let found = names(subject).into_iter().find_map(|(kind, what)| {
            let entry = stops.get(&(kind, what))?;
            entry.until.is_none_or(|until| now < until).then_some((kind, entry.frozen))
        });
        Ok(found.map(|(kind, frozen)| match frozen {
            true => Stop::Frozen { what: kind.shown() },
            false => Stop::Revoked { what: kind.name() },
        }))
    }
}

/// Everything by which a call can be stopped.
fn names(subject: &Subject<'_>) -> Vec<(StopKind, String)> {
    let principal: &Principal = subject.principal;
    let mut names = vec![
        (StopKind::Everything, String::new()),
        (StopKind::Tenant, principal.tenant().to_owned()),
        (StopKind::Principal, principal.key().to_owned()),
    ];
    let known = [
        (StopKind::Owner, principal.owner().map(str::to_owned)),
        (StopKind::Credential, Some(principal.credential().to_owned()).filter(|id| !id.is_empty())),
        (StopKind::Token, principal.claim("jti").map(|jti| token(principal.issuer(), jti))),
        // MUTATE(G5-bound-run): streams of a revoked run go on
        (StopKind::Run, subject.run.or(principal.run()).map(|run| run.as_str().to_owned())),
        (StopKind::Tool, subject.tool.map(str::to_owned)),
    ];
    names.extend(known.into_iter().filter_map(|(kind, what)| Some((kind, what?))));
    // MUTATE(G5-ancestors): what was narrowed from a revoked credential goes on
    names.extend(principal.ancestors().iter().map(|id| (StopKind::Credential, id.clone())));
    names
}

#[cfg(test)]
mod tests;
