//! `policy observed`: what policies that are only observed would have decided differently, summed up from the record.

use std::{collections::BTreeMap, path::Path};

use countersign_audit::{Query, read, search};
use countersign_identity::Timestamp;
use serde_json::{Value, json};

use crate::print::{Exit, Failure, Outcome, Printer, Style, line};

/// One kind of difference: tool, subject, as it was decided, as it would have been, by which policies, over which objects.
type Difference = (String, String, String, String, Vec<String>, Vec<String>);

pub(super) fn run(dir: &Path, since: Option<Timestamp>, printer: Printer) -> Outcome {
    let since = since.map(|time| time.unix().saturating_mul(1_000_000));
    let query = Query { since, ..Query::default() };
    let mut found: BTreeMap<Difference, (u64, String)> = BTreeMap::new();
    let mut calls = 0_u64;
    for entry in search(read(dir).map_err(Failure::unavailable)?, query) {
        let entry = entry.map_err(Failure::unavailable)?;
        let Ok(record) = serde_json::from_slice::<Value>(&entry.bytes) else { continue };
        let kind = record.get("kind").and_then(Value::as_str);
        calls += u64::from(matches!(kind, Some("intent" | "refusal")));
        let Some(difference) = difference(&record).filter(|_| kind != Some("preview")) else { continue };
        let call = record.get("call").and_then(Value::as_str).unwrap_or_default();
        let (count, _) = found.entry(difference).or_insert_with(|| (0, call.to_owned()));
        *count += 1;
    }
    if printer.json {
        let row =
            |((tool, who, was, would, policies, objects), (count, call)): (&Difference, &(u64, String))| {
                json!({
                    "tool": tool, "who": who, "decided": was, "would": would, "policies": policies,
                    "objects": objects, "count": count, "call": call,
                })
            };
        printer.value(&json!({"calls": calls, "differences": found.iter().map(row).collect::<Vec<_>>()}));
        return Ok(if found.is_empty() { Exit::Ok } else { Exit::No });
    }
    for ((tool, who, was, would, policies, objects), (count, call)) in &found {
        let style = if would == "deny" { Style::Bad } else { Style::Warn };
        let change = printer.styled(style, &format!("{:<18}", format!("{was} -> {would}")));
        let by = if policies.is_empty() { "no policy permits it".into() } else { policies.join(", ") };
        printer.say(&format!("{count:>6} {change} {} as {}: {}", line(tool), line(who), line(&by)));
        objects.iter().for_each(|one| printer.say(&format!("{:26}{}", "", line(one))));
        printer.say(&printer.styled(Style::Dim, &format!("{:26}such as {}", "", line(call))));
    }
    printer.say(&format!("{calls} calls on record; {} kinds of difference", found.len()));
    Ok(if found.is_empty() { Exit::Ok } else { Exit::No })
}

fn difference(record: &Value) -> Option<Difference> {
    let observed = record.get("observed")?;
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let list = |name: &str| {
        let items = observed.get(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<String>>()
    };
    let gained = list("gained").into_iter().map(|one| format!("+ {one}"));
    let lost = list("lost").into_iter().map(|one| format!("- {one}"));
    let who = format!("{}@{}", text(record, "/who/subject"), text(record, "/who/tenant"));
    Some((
        text(record, "/tool"),
        who,
        text(record, "/decision"),
        text(observed, "/decision"),
        list("policies"),
        gained.chain(lost).collect(),
    ))
}
