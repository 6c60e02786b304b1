//! Requests as people see them. All that a model or a database wrote passes redaction and is kept on its line: it can neither move a cursor
//! nor pass for what Countersign itself says.

use std::fmt::Write as _;

use countersign_core::approval::people;
use countersign_redact::Redactor;
use countersign_state::{Case, Stage};
use serde_json::{Value, json};

use crate::{
    print::{Printer, Style},
    runtime::unix_micros,
};

/// Characters of one value in a sample.
const VALUE_CHARS: usize = 40;

pub(super) fn list(cases: &[Case], redactor: &Redactor, printer: Printer) {
    if printer.json {
        printer.value(&cases.iter().map(|case| json(case, redactor)).collect::<Vec<_>>());
        return;
    }
    if cases.is_empty() {
        printer.say("nothing waits");
        return;
    }
    let header =
        format!("{:<13}{:<10}{:<7}{:<6}{:<22}{:<18}WHAT", "ID", "STATE", "LEFT", "HAVE", "WHO", "TOOL");
    printer.say(&printer.styled(Style::Title, &header));
    cases.iter().for_each(|case| line(case, redactor, printer));
}

/// One request on one line.
pub(super) fn line(case: &Case, redactor: &Redactor, printer: Printer) {
    let call = &case.request.call;
    let have = people(call, &case.approvers);
    let who = redactor.line(&format!("{}@{}", call.subject, call.tenant)).into_owned();
    let state = printer.styled(style(&case.stage), &format!("{:<10}", case.stage.name()));
    printer.say(&format!(
        "{:<13}{state}{:<7}{:<6}{who:<22}{:<18}{}",
        redactor.line(&case.id),
        left(case),
        format!("{have}/{}", case.request.needed),
        redactor.line(&call.tool),
        redactor.line(&gist(case)),
    ));
}

fn style(stage: &Stage) -> Style {
    match stage {
        Stage::Waiting => Style::Warn,
        Stage::Approved => Style::Good,
        Stage::Used { end, .. } if matches!(end.as_str(), "done" | "ran") => Style::Good,
        Stage::Used { .. } | Stage::Denied => Style::Bad,
        Stage::Expired => Style::Dim,
    }
}

fn left(case: &Case) -> String {
    match case.stage {
        Stage::Waiting | Stage::Approved => {
            let seconds = case.request.expires.saturating_sub(unix_micros()) / 1_000_000;
            if seconds >= 60 { format!("{}m", seconds / 60) } else { format!("{seconds}s") }
        }
        _ => "-".to_owned(),
    }
}

/// The tables or files that would change, and how much of them.
fn gist(case: &Case) -> String {
    let writes = case.request.call.accesses.iter().filter_map(|access| {
        access.strip_prefix("write table ").or_else(|| access.strip_prefix("write file "))
    });
    format!("{}: {}", writes.collect::<Vec<_>>().join(", "), effect(case))
}

fn effect(case: &Case) -> String {
    let preview = &case.request.preview;
    match preview.affected {
        Some(1) if preview.diff.is_some() => "1 file changes".into(),
        Some(count) if preview.diff.is_some() => format!("{count} files change"),
        Some(1) => "1 row changes".into(),
        Some(count) => format!("{count} rows change"),
        None => "the effect could not be tried out".into(),
    }
}

/// Everything.
pub(super) fn whole(case: &Case, redactor: &Redactor, printer: Printer) {
    if printer.json {
        printer.value(&json(case, redactor));
        return;
    }
    let clean = |text: &str| redactor.line(text).into_owned();
    let call = &case.request.call;
    let field = |name: &str, text: &str| {
        printer.say(&format!("{} {text}", printer.styled(Style::Title, &format!("{name:<11}"))));
    };
    let have = people(call, &case.approvers);
    let state = printer.styled(style(&case.stage), case.stage.name());
    let mut stage = format!("{}  {state}, {have} of {} approvals", clean(&case.id), case.request.needed);
    if matches!(case.stage, Stage::Waiting | Stage::Approved) {
        let _ = write!(stage, ", {} left", left(case));
    }
    if let Stage::Used { call, .. } = &case.stage {
        let _ = write!(stage, ", by call {}", clean(call));
    }
    field("request", &stage);
    let owner = call.owner.as_ref().map(|owner| format!(", for {owner}")).unwrap_or_default();
    field("who asks", &clean(&format!("{} ({}), tenant {}{owner}", call.subject, call.issuer, call.tenant)));
    field(
        "run",
        &clean(&format!("{}, has read {} and {} data", call.run, call.integrity, call.confidentiality)),
    );
    field("tool", &clean(&format!("{} [{}]", call.tool, call.power)));
    field("held by", &clean(&case.request.policies.join(", ")));
    printer.say(&printer.styled(Style::Title, "arguments"));
    arguments(&call.arguments, redactor, printer);
    printer.say(&printer.styled(Style::Title, "touches"));
    for access in call.accesses.iter().chain(&call.destinations) {
        printer.say(&format!("  {}", clean(access)));
    }
    field("effect", &effect(case));
    let preview = &case.request.preview;
    for warning in &preview.warnings {
        printer.say(&format!("  {} {}", printer.styled(Style::Warn, "warning:"), clean(warning)));
    }
    for (name, rows) in [("before", &preview.before), ("after", &preview.after)] {
        if let Some(rows) = rows {
            printer.say(&printer.styled(Style::Title, name));
            table(rows, redactor, printer);
        }
    }
    if let Some(diff) = &preview.diff {
        printer.say(&printer.styled(Style::Title, "diff"));
        lines(diff, redactor, printer);
    }
    for approver in &case.approvers {
        let reason =
            if approver.reason.is_empty() { String::new() } else { format!(": {}", approver.reason) };
        field("approved", &clean(&format!("by {} with {}{reason}", approver.operator.name, approver.key)));
    }
    if let Some(denial) = &case.denial {
        field("denied", &clean(&format!("by {}: {}", denial.operator.name, denial.reason)));
    }
    if let (Some(name), true) = (&case.confirmed, case.approvers.is_empty()) {
        field("answered", &clean(&format!("by {name}, the requester, through the client; nobody signed")));
    }
    if case.void > 0 {
        field(
            "void",
            &format!("{} vote(s) do not count: forged, revoked, or by people who may not", case.void),
        );
    }
    field("digest", &case.request.digest().0.to_string());
    if let Stage::Used { call, end } = &case.stage
        && end == "in doubt"
    {
        printer.say(&format!(
            "\nlook at the data, then: countersign approvals resolve {} --outcome ran|did-not-run --note HOW",
            clean(call)
        ));
    }
    if case.stage == Stage::Waiting {
        printer.say(&format!(
            "\nto approve: countersign approvals approve {} --key FILE\nto refuse:  countersign approvals deny {} --key FILE --reason WHY",
            clean(&case.id),
            clean(&case.id)
        ));
    }
}

/// A text line by line. INVARIANT: every line of it starts with `  |`.
fn lines(text: &str, redactor: &Redactor, printer: Printer) {
    for line in text.lines() {
        let style = match line.as_bytes().first() {
            Some(b'+') => Some(Style::Good),
            Some(b'-') => Some(Style::Bad),
            _ => None,
        };
        let line = redactor.line(line).into_owned();
        printer.say(&format!("  | {}", style.map_or(line.clone(), |style| printer.styled(style, &line))));
    }
}

/// Each argument by name; text line by line, everything else as JSON. INVARIANT: every line of it starts with `  |`.
fn arguments(canonical: &str, redactor: &Redactor, printer: Printer) {
    let say = |text: &str| printer.say(&format!("  | {}", redactor.line(text)));
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(canonical) else {
        say(canonical);
        return;
    };
    for (name, value) in &members {
        printer.say(&format!("  {}", redactor.line(name)));
        match value {
            Value::String(text) => text.split('\n').for_each(say),
            other => say(&other.to_string()),
        }
    }
}

/// A sample: `{columns: [{name}], rows: [[…]]}`.
fn table(json: &str, redactor: &Redactor, printer: Printer) {
    let Ok(set) = serde_json::from_str::<Value>(json) else { return };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let columns = list(set.get("columns").unwrap_or(&Value::Null));
    let names =
        columns.iter().map(|column| text(column.get("name").unwrap_or(&Value::Null), redactor)).collect();
    let rows = list(set.get("rows").unwrap_or(&Value::Null));
    let rows = rows.iter().map(|row| list(row).iter().map(|value| text(value, redactor)).collect());
    let all: Vec<Vec<String>> = std::iter::once(names).chain(rows).collect();
    let width =
        |index: usize| all.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|index| width(index).unwrap_or(0)).collect();
    for row in &all {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        printer.say(&format!("  | {}", cells.collect::<Vec<_>>().join("  ")));
    }
}

fn text(value: &Value, redactor: &Redactor) -> String {
    let plain = match value {
        Value::String(text) => redactor.line(text).into_owned(),
        other => other.to_string(),
    };
    match plain.char_indices().nth(VALUE_CHARS) {
        Some((at, _)) => {
            format!("{}… ({} characters)", plain.get(..at).unwrap_or_default(), plain.chars().count())
        }
        None => plain,
    }
}

/// Everything, for programs. Texts are redacted; JSON escapes the rest.
pub(super) fn json(case: &Case, redactor: &Redactor) -> Value {
    let clean = |text: &str| redactor.text(text).into_owned();
    let call = &case.request.call;
    let preview = &case.request.preview;
    let rows =
        |rows: &Option<String>| rows.as_ref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    json!({
        "id": case.id, "state": case.stage.name(), "needed": case.request.needed,
        "have": people(call, &case.approvers), "created": case.created, "expires": case.request.expires,
        "tenant": call.tenant, "issuer": call.issuer, "subject": call.subject, "owner": call.owner, "run": call.run,
        "tool": call.tool, "power": call.power, "arguments": clean(&call.arguments),
        "accesses": call.accesses, "destinations": call.destinations, "policies": case.request.policies,
        "policy": call.policy, "integrity": call.integrity, "confidentiality": call.confidentiality,
        "preview": {
            "affected": preview.affected, "before": rows(&preview.before), "after": rows(&preview.after),
            "diff": preview.diff.as_deref().map(clean), "basis": preview.basis, "warnings": preview.warnings
        },
        "digest": case.request.digest().0.to_string(),
        "approvers": case.approvers.iter().map(|one| json!({
            "name": one.operator.name, "key": one.key, "reason": clean(&one.reason), "signature": one.signature
        })).collect::<Vec<_>>(),
        "denied": case.denial.as_ref().map(|one| json!({"name": one.operator.name, "reason": clean(&one.reason)})),
        "confirmed": case.confirmed.as_ref().map(|name| json!({"by": name, "through": "elicitation"})),
        "void": case.void,
    })
}
