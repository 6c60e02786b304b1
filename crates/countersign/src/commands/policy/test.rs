//! `policy test`: expected decisions against those that policies make.

use std::{fs, path::Path};

use countersign_core::{
    Access, Arguments, CallQuestion, Effect, Phase, PlanFacts, Planned, Verdict, decision::Foreseen, json,
};
use countersign_policy::{Case, Expected, Policies, PolicyFile, cases};
use serde_json::json;

use super::{Place, verdict};
use crate::print::{Exit, Failure, Outcome, Printer, Style, line};

/// The largest file of cases that is read.
const MAX_FILE: u64 = 4 << 20;

/// What became of a case.
struct Outcomes {
    decision: String,
    policies: Vec<String>,
    /// What a caller would be told, of a call that is refused before any policy.
    refused: Option<String>,
    passed: bool,
}

pub(super) fn run(place: &Place, file: &Path, dir: Option<&Path>, printer: Printer) -> Outcome {
    let policies = place.policies(dir)?;
    let cases = cases(&read(file)?).map_err(Failure::config)?;
    // MUTATE(H5-no-cases): a file without a case passes
    if cases.is_empty() {
        return Err(Failure::config(format!("{}: there is no case in it", file.display())).help(
            "write `[[case]]` with `as`, `tool` and `expect`; `countersign policy test --help` shows one",
        ));
    }
    let mut rows = Vec::new();
    for case in &cases {
        rows.push((case, decide(place, &policies, case, file)?));
    }
    let failed = rows.iter().filter(|(_, outcome)| !outcome.passed).count();
    if printer.json {
        let row = |(case, outcome): &(&Case, Outcomes)| {
            json!({
                "line": case.line, "as": case.who, "tool": case.tool, "touches": touches(case),
                "expected": case.expected.to_string(), "by": case.by, "decided": outcome.decision,
                "policies": outcome.policies, "refused": outcome.refused, "passed": outcome.passed,
            })
        };
        printer.value(&json!({"cases": rows.iter().map(row).collect::<Vec<_>>(), "failed": failed}));
    } else if failed == 0 {
        printer.say(&format!("{} cases are decided as expected", rows.len()));
    } else {
        for (case, outcome) in rows.iter().filter(|(_, outcome)| !outcome.passed) {
            show(case, outcome, &policies, file, printer);
        }
        printer.say(&format!("{failed} of {} cases are not decided as expected", rows.len()));
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::No })
}

/// A case that was decided otherwise: where it stands, and which policies decided, with their places.
fn show(case: &Case, outcome: &Outcomes, policies: &Policies, file: &Path, printer: Printer) {
    let place = format!("{}:{}:", file.display(), case.line);
    let call = format!("{} as {} {}", line(&case.tool), line(&case.who), line(&touches(case)));
    printer.say(&format!(
        "{} {} expected {}, decided {}",
        printer.styled(Style::Title, &line(&place)),
        call.trim_end(),
        case.expected,
        printer.styled(Style::Bad, &outcome.decision)
    ));
    let dim = |text: &str| printer.say(&printer.styled(Style::Dim, &format!("    {}", line(text))));
    if let Some(refused) = &outcome.refused {
        return dim(&format!("refused before any policy: {refused}"));
    }
    for info in policies.report().policies.iter().filter(|info| outcome.policies.contains(&info.id)) {
        dim(&format!("by {} ({}:{})", info.id, info.file, info.line));
    }
    if outcome.policies.is_empty() {
        dim("by no policy: none permits it");
    }
    if let Some(by) = &case.by {
        dim(&format!("expected by {}", by.join(", ")));
    }
}

fn touches(case: &Case) -> String {
    case.accesses.iter().map(Access::to_string).collect::<Vec<_>>().join(", ")
}

fn decide(place: &Place, policies: &Policies, case: &Case, file: &Path) -> Result<Outcomes, Failure> {
    let Some(tool) = place.tool(&case.tool) else {
        return Err(place.no_tool(&format!("{}:{}", file.display(), case.line), &case.tool));
    };
    let listing = CallQuestion::new(&case.principal, tool.spec(), Phase::Listing, case.at);
    if matches!(case.expected, Expected::Listed | Expected::Hidden) {
        let explained = policies.explain(&listing);
        let hidden = explained.verdict == Verdict::Deny;
        let decision = if hidden { Expected::Hidden } else { Expected::Listed };
        return Ok(outcome(case, decision, explained.deciding()));
    }
    let text = case.arguments.as_ref().map_or_else(|| "{}".to_owned(), ToString::to_string);
    let parsed = json::parse(text.as_bytes(), json::Limits::default()).map_err(Failure::usage)?;
    let arguments = Arguments::from_json(&parsed).map_err(|denied| Failure::usage(denied.public()))?;
    let planned = if case.accesses.is_empty() && case.arguments.is_some() {
        match place.plan(tool, &case.principal, &arguments)? {
            Ok(planned) => planned,
            Err(refused) => {
                let outcome = outcome(case, Expected::Refused, Vec::new());
                return Ok(Outcomes { refused: Some(refused), ..outcome });
            }
        }
    } else {
        Planned { accesses: case.accesses.clone(), effect: Effect::Read, ..Planned::nothing() }
    };
    let facts = PlanFacts {
        effect: planned.effect,
        accesses: &planned.accesses,
        destinations: &planned.destinations,
        facts: &planned.facts,
    };
    let phase = match case.affected {
        None => Phase::Calling { arguments: arguments.value() },
        affected => Phase::Previewed { arguments: arguments.value(), foreseen: Foreseen { affected } },
    };
    let explained = policies.explain(&CallQuestion { phase, ..listing }.planned(facts));
    Ok(outcome(case, Expected::Decided(explained.verdict), explained.deciding()))
}

fn outcome(case: &Case, decision: Expected, policies: Vec<String>) -> Outcomes {
    let by = case.by.as_ref().map(|by| {
        let mut by = by.clone();
        by.sort();
        by
    });
    // MUTATE(H5-test): a case passes whatever is decided
    let passed = decision == case.expected && by.is_none_or(|by| by == policies);
    let decision = match decision {
        Expected::Decided(one) => verdict(one),
        other => other.to_string(),
    };
    Outcomes { decision, policies, refused: None, passed }
}

fn read(file: &Path) -> Result<PolicyFile, Failure> {
    let unreadable =
        |e: std::io::Error| Failure::unavailable(anyhow::anyhow!("cannot read `{}`: {e}", file.display()));
    if fs::metadata(file).map_err(unreadable)?.len() > MAX_FILE {
        return Err(Failure::usage(format!("`{}` is larger than {MAX_FILE} bytes", file.display())));
    }
    let text = fs::read_to_string(file).map_err(unreadable)?;
    Ok(PolicyFile { name: file.display().to_string(), text })
}
