//! What the core needs from outside: the policy set in force, the audit log, a clock, entropy, a memory of runs, and an eye for the
//! operator.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    decision::PolicySet,
    ids::{Digest, RunId},
    label::Label,
    record::Summary,
};

/// Where the policy set in force is found. A reload swaps it; calls that are under way keep theirs.
pub trait PolicySource: Send + Sync {
    /// The set in force, or the reason why there is none (then every call is refused).
    fn current(&self) -> Result<Arc<dyn PolicySet>, String>;
}

/// How an entry is treated when the disk is nearly full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryClass {
    /// Announces work: refused when the disk reserve is reached, so that outcomes still fit.
    Intent,
    /// Closes work that was announced, or notes an event; may use the reserve.
    Closing,
}

/// A place in the log that can be awaited.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(pub u64);

/// The log cannot record: the call must be refused. `cause` is for the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditError {
    /// What happened, for the operator's log.
    pub cause: String,
}

/// The append-only record of every call.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Queues one entry (JSON, at most 60 KiB). It is in order, but not yet durable.
    fn append(&self, entry: Vec<u8>, class: EntryClass) -> Result<Ticket, AuditError>;

    /// Waits until the entry and all before it are durable and covered by a signed checkpoint.
    async fn durable(&self, ticket: Ticket) -> Result<(), AuditError>;

    /// A keyed fingerprint (HMAC-SHA256) of canonical arguments: comparable within an epoch, meaningless without the key.
    fn fingerprint(&self, canonical: &[u8]) -> [u8; 32];
}

/// Wall clock, monotonic clock and entropy.
pub trait Environment: Send + Sync {
    /// Microseconds since 1970-01-01 UTC.
    fn unix_micros(&self) -> u64;

    /// Nanoseconds on a clock that never goes back.
    fn monotonic_nanos(&self) -> u64;

    /// Random bytes from the operating system, or an error (then the call is refused).
    fn random(&self, bytes: &mut [u8]) -> Result<(), String>;
}

/// Sees each decision as it is made: the operator's live view.
pub trait Observer: Send + Sync {
    /// A call was answered or refused. `cause` is internal and must not reach the caller.
    fn decided(&self, summary: &Summary<'_>, cause: Option<&str>);
}

/// Remembers runs: which one somebody is in, and what each has read. A run's label only rises. An error closes the gate.
#[async_trait]
pub trait Runs: Send + Sync {
    /// The run that this holder is in; a new one if it is in none, or has been idle for long.
    async fn of(&self, holder: Digest) -> Result<RunId, String>;

    /// Joins `label` into the run's. INVARIANT: once this returns, whoever asks learns of it, in any process that serves the run.
    async fn join(&self, run: &RunId, label: Label) -> Result<(), String>;

    /// The run's label as it stands.
    async fn label(&self, run: &RunId) -> Result<Label, String>;
}
