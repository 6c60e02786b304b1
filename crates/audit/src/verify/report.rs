//! What a verification found, for people and for programs.

use serde::Serialize;
use std::fmt;

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The verifier key that everything was checked with.
    pub key: String,
    /// Entries checked.
    pub entries: u64,
    /// Time of the first entry, in microseconds since 1970 UTC.
    pub from: Option<u64>,
    /// Time of the last entry, in microseconds since 1970 UTC.
    pub to: Option<u64>,
    /// Each slot with its head.
    pub slots: Vec<SlotReport>,
    /// Older checkpoints, given by the caller, of which the log is a consistent continuation.
    pub consistent_with: Vec<String>,
    /// What is wrong. Empty means: nothing acknowledged is missing or changed.
    pub problems: Vec<Finding>,
    /// What is worth knowing and not wrong.
    pub notices: Vec<Finding>,
}

/// One slot as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotReport {
    /// The slot.
    pub slot: u32,
    /// Its epochs, the last of which may grow.
    pub epochs: u32,
    /// Entries in all of them.
    pub entries: u64,
    /// Size of the last epoch.
    pub size: u64,
    /// Root hash of the last epoch, base64.
    pub root: String,
}

/// One thing found, where, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The slot, if it is about one.
    pub slot: Option<u32>,
    /// The file, below the log directory.
    pub file: String,
    /// The byte in the file, where that says more.
    pub offset: Option<u64>,
    /// What was found.
    pub what: String,
    /// What that means for someone who relies on the log.
    pub meaning: &'static str,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn ok(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "PROBLEM  {problem}")?;
        }
        for notice in &self.notices {
            writeln!(f, "note     {notice}")?;
        }
        for slot in &self.slots {
            writeln!(
                f,
                "slot {}: {} entries in {} epochs; head {} {}",
                slot.slot, slot.entries, slot.epochs, slot.size, slot.root
            )?;
        }
        for checkpoint in &self.consistent_with {
            writeln!(f, "continues {checkpoint}")?;
        }
        match (self.problems.len(), self.slots.len()) {
            (0, slots) => {
                write!(f, "verified: {} entries in {slots} slots, signed by {}", self.entries, self.key)
            }
            (problems, _) => write!(f, "NOT verified: {problems} problems"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        write!(f, ": {} ({})", self.what, self.meaning)
    }
}
