//! `policy replay`: what other policies would have decided on recorded calls.

use std::{collections::BTreeMap, path::Path};

use countersign_audit::{Query, read, search};
use countersign_identity::Timestamp;
use countersign_policy::{Reasons, Recorded, Replayed};
use serde_json::json;

use super::Place;
use crate::print::{Exit, Failure, Outcome, Printer, Style, line};

/// How many calls are named as examples of each change.
const EXAMPLES: usize = 3;

/// Calls that changed alike.
#[derive(Default)]
struct Group {
    count: u64,
    examples: Vec<String>,
}

/// What changed, for whom, and why.
type Change = (&'static str, String, String, Reasons);

pub(super) fn run(
    place: &Place,
    log: &Path,
    dir: &Path,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    printer: Printer,
) -> Outcome {
    let policies = place.policies(Some(dir))?;
    let micros = |time: Timestamp| time.unix().saturating_mul(1_000_000);
    let query = Query { since: since.map(micros), until: until.map(micros), ..Query::default() };
    let (mut same, mut unknown) = (0_u64, BTreeMap::<&str, u64>::new());
    let mut changes: BTreeMap<Change, Group> = BTreeMap::new();
    for entry in search(read(log).map_err(Failure::unavailable)?, query) {
        let entry = entry.map_err(Failure::unavailable)?;
        let Some(recorded) = Recorded::parse(&entry.bytes) else { continue };
        let tool = place.tool(&recorded.tool).map(|tool| &**tool.spec());
        let (what, reasons) = match policies.replay(&recorded, tool) {
            Replayed::Same => {
                same += 1;
                continue;
            }
            Replayed::Unknown(why) => {
                *unknown.entry(why).or_default() += 1;
                continue;
            }
            Replayed::NewlyDenied(reasons) => ("newly denied", reasons),
            Replayed::NewlyAllowed(reasons) => ("newly allowed", reasons),
            Replayed::HeldOtherwise(reasons) => ("held otherwise", reasons),
        };
        let group = changes.entry((what, recorded.tool.clone(), recorded.who(), reasons)).or_default();
        group.count += 1;
        if group.examples.len() < EXAMPLES {
            group.examples.push(recorded.call.clone());
        }
    }
    if printer.json {
        let list: Vec<_> = changes
            .iter()
            .map(|((what, tool, who, reasons), group)| {
                json!({
                    "change": what, "tool": tool, "who": who, "decision": reasons.decision,
                    "policies": reasons.policies, "count": group.count, "calls": group.examples,
                })
            })
            .collect();
        printer.value(&json!({"same": same, "changes": list, "unknown": unknown}));
    } else {
        show(printer, same, &changes, &unknown);
    }
    Ok(if changes.is_empty() { Exit::Ok } else { Exit::No })
}

fn show(printer: Printer, same: u64, changes: &BTreeMap<Change, Group>, unknown: &BTreeMap<&str, u64>) {
    for ((what, tool, who, reasons), group) in changes {
        let style = if *what == "newly denied" { Style::Bad } else { Style::Warn };
        let by = match reasons.policies.as_slice() {
            [] => "no policy permits it".to_owned(),
            policies => format!("by {}", policies.join(", ")),
        };
        printer.say(&format!(
            "{} {:>6}  {} as {}: {}, {}",
            printer.styled(style, &format!("{what:<14}")),
            group.count,
            line(tool),
            line(who),
            reasons.decision,
            line(&by)
        ));
        printer.say(
            &printer.styled(Style::Dim, &format!("{:24}such as {}", "", line(&group.examples.join(", ")))),
        );
    }
    for (why, count) in unknown {
        printer.say(&format!("{} {count:>6}  {why}", printer.styled(Style::Dim, "cannot say    ")));
    }
    printer
        .say(&format!("{} {same:>6}  decided as they were", printer.styled(Style::Good, "same          ")));
}
