//! Finds entries by what they say.

use crate::read::{Entries, Entry, ReadError};
use serde_json::Value;

/// What an entry must say; every field that is set must hold. An empty query finds all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The call id.
    pub call: Option<String>,
    /// The subject of the principal.
    pub principal: Option<String>,
    /// The tool.
    pub tool: Option<String>,
    /// The decision, `allow`, `deny` or `hold`, or the kind of entry, for example `outcome`.
    pub decision: Option<String>,
    /// Not before, in microseconds since 1970 UTC.
    pub since: Option<u64>,
    /// Not after, in microseconds since 1970 UTC.
    pub until: Option<u64>,
    /// Text anywhere in the entry, exactly.
    pub text: Option<String>,
}

impl Query {
    /// Whether the entry says all that is asked for.
    pub fn matches(&self, entry: &Entry) -> bool {
        if let Some(text) = &self.text
            && !String::from_utf8_lossy(&entry.bytes).contains(text.as_str())
        {
            return false;
        }
        let Ok(record) = serde_json::from_slice::<Value>(&entry.bytes) else { return false };
        let is = |wanted: &Option<String>, paths: &[&str]| {
            wanted.as_deref().is_none_or(|wanted| {
                paths.iter().any(|path| record.pointer(path).and_then(Value::as_str) == Some(wanted))
            })
        };
        let time = record.pointer("/t").and_then(Value::as_u64).unwrap_or(0);
        is(&self.call, &["/call"])
            && is(&self.principal, &["/who/subject"])
            && is(&self.tool, &["/tool"])
            && is(&self.decision, &["/decision", "/kind"])
            && self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time <= until)
    }
}

/// The entries that `query` finds, in the order in which they are read.
pub fn search(entries: Entries, query: Query) -> impl Iterator<Item = Result<Entry, ReadError>> {
    entries.filter(move |entry| entry.as_ref().map_or(true, |entry| query.matches(entry)))
}
