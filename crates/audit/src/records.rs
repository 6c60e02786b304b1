//! The log's own records: the first entry at every start and of every epoch, and the last one of an orderly stop.
//!
//! They bind the trees to each other: an epoch names the final head of the one before it, and every start or
//! rotation names the heads of all other slots, so that a slot that goes missing or back in time is noticed.

use crate::tlog::{Checkpoint, Hash};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// Version of the directory layout and of these records.
pub(crate) const FORMAT: u32 = 1;

/// What a record of the log itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LogEvent {
    /// A process opened the slot: the first entry it writes.
    #[serde(rename = "audit.start")]
    Start,
    /// The epoch before was complete: the first entry of the next one.
    #[serde(rename = "audit.rotate")]
    Rotate,
    /// The process closed the log in good order: the last entry it writes.
    #[serde(rename = "audit.stop")]
    Stop,
}

/// A record that the log writes itself, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogRecord {
    /// Format version.
    pub(crate) v: u32,
    pub(crate) kind: LogEvent,
    /// Microseconds since 1970-01-01 UTC.
    pub(crate) t: u64,
    pub(crate) slot: u32,
    pub(crate) epoch: u32,
    /// The final head of the epoch before; present in the first entry of every epoch but the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<Head>,
    /// The heads of the other slots, as they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) witnessed: Vec<Head>,
}

/// The size and root of one tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) slot: u32,
    pub(crate) epoch: u32,
    pub(crate) size: u64,
    /// Base64.
    pub(crate) root: String,
}

impl Head {
    pub(crate) fn new(slot: u32, epoch: u32, checkpoint: &Checkpoint) -> Head {
        Head { slot, epoch, size: checkpoint.size, root: STANDARD.encode(checkpoint.root) }
    }

    pub(crate) fn root(&self) -> Option<Hash> {
        STANDARD.decode(&self.root).ok()?.try_into().ok()
    }
}

impl LogRecord {
    /// The record in an entry, if the entry is one of the log's own.
    pub(crate) fn parse(entry: &[u8]) -> Option<LogRecord> {
        // Cheap refusal first: entries of calls are many, the log's own are few.
        entry.starts_with(br#"{"v":1,"kind":"audit."#).then(|| serde_json::from_slice(entry).ok())?
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // INVARIANT: a plain struct of numbers and strings always serialises.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
