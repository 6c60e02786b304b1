//! `why CALL-ID`: everything that was recorded about one call, for a person.

use std::path::Path;

use countersign_audit::{Entry, Query, read, search};
use countersign_identity::Timestamp;
use serde_json::Value;

use super::audit::directory;
use crate::{
    cli::LogDir,
    print::{Exit, Failure, Outcome, Printer, Style, line},
};

/// Runs the command.
pub(crate) fn run(log: &LogDir, call: &str, file: &Path, printer: Printer) -> Outcome {
    let dir = directory(log, file)?;
    let query = Query { call: Some(call.to_owned()), ..Query::default() };
    let found: Vec<Entry> = search(read(&dir).map_err(Failure::unavailable)?, query)
        .collect::<Result<_, _>>()
        .map_err(Failure::unavailable)?;
    let records: Vec<Value> =
        found.iter().filter_map(|entry| serde_json::from_slice(&entry.bytes).ok()).collect();
    if printer.json {
        printer.value(&records);
    } else {
        for (entry, record) in found.iter().zip(&records) {
            let place = format!("slot {}, epoch {}, entry {}", entry.slot, entry.epoch, entry.index);
            let kind = record.get("kind").and_then(Value::as_str).unwrap_or_default();
            printer.say(&format!("{} ({place})", printer.styled(Style::Title, &line(kind))));
            fields(record).into_iter().for_each(|(name, text)| {
                printer.say(&format!("  {} {text}", printer.styled(Style::Dim, &format!("{name:<10}"))));
            });
        }
    }
    if records.is_empty() {
        printer.note("no record names that call");
        return Ok(Exit::No);
    }
    Ok(Exit::Ok)
}

/// What a person wants to know first, in that order; absent parts are left out.
fn fields(record: &Value) -> Vec<(&'static str, String)> {
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).map(line);
    let list = |pointer: &str| {
        let items = record.pointer(pointer)?.as_array()?;
        let texts: Vec<String> = items.iter().filter_map(Value::as_str).map(line).collect();
        (!texts.is_empty()).then(|| texts.join("\n             "))
    };
    let number = |pointer: &str| record.pointer(pointer).and_then(Value::as_u64);
    let who = || {
        Some(format!(
            "{}@{} ({}, by {})",
            text("/who/subject")?,
            text("/who/tenant")?,
            text("/who/kind")?,
            text("/who/auth")?
        ))
    };
    let from = || {
        Some(format!(
            "{} {}, protocol {}",
            text("/from/transport")?,
            text("/from/peer")?,
            text("/from/protocol")?
        ))
    };
    // Of an outcome it is the label of what was read now.
    let before = record.get("kind").and_then(Value::as_str) != Some("outcome");
    let label = || {
        let parts = (text("/label/integrity")?, text("/label/confidentiality")?);
        before.then(|| format!("{}, {}", parts.0, parts.1))
    };
    let facts = || {
        let facts = record.pointer("/facts")?.as_object()?;
        let each = facts
            .iter()
            .map(|(name, value)| format!("{}={}", line(name), line(value.as_str().unwrap_or_default())));
        Some(each.collect::<Vec<_>>().join(" "))
    };
    [
        ("time", number("/t").map(|t| Timestamp::from_unix(t / 1_000_000).to_string())),
        ("who", who()),
        ("credential", text("/who/credential")),
        ("from", from()),
        ("client", text("/from/client")),
        ("tool", text("/tool")),
        ("touches", list("/accesses")),
        ("facts", facts()),
        ("had read", label()),
        ("decision", text("/decision")),
        ("policies", list("/policies")),
        ("refused", text("/code")),
        ("told", text("/message")),
        ("result", text("/result")),
        ("rows", number("/rows").map(|n| n.to_string())),
        ("cut", text("/truncated")),
        ("took", number("/micros").map(|n| format!("{n} µs"))),
        ("arguments", text("/args").map(|mac| format!("HMAC {mac}"))),
        ("policy set", text("/policy")),
    ]
    .into_iter()
    .filter_map(|(name, text)| Some((name, text?)))
    .collect()
}
