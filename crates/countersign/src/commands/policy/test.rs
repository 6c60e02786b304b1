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
    passed: bool,
}

pub(super) fn run(place: &Place, file: &Path, dir: Option<&Path>, printer: Printer) -> Outcome {
    let policies = place.policies(dir)?;
    let cases = cases(&read(file)?).map_err(Failure::config)?;
    let mut rows = Vec::new();
    for case in &cases {
        rows.push((case, decide(place, &policies, case)?));
    }
    let failed = rows.iter().filter(|(_, outcome)| !outcome.passed).count();
    if printer.json {
        let row = |(case, outcome): &(&Case, Outcomes)| {
            json!({
                "line": case.line, "as": case.who, "tool": case.tool, "touches": touches(case),
                "expected": case.expected.to_string(), "by": case.by, "decided": outcome.decision,
                "policies": outcome.policies, "passed": outcome.passed,
            })
        };
        printer.value(&json!({"cases": rows.iter().map(row).collect::<Vec<_>>(), "failed": failed}));
    } else if failed == 0 {
        printer.say(&format!("{} cases are decided as expected", rows.len()));
    } else {
        let header = format!("{:<6}{:<16}{:<10}{:<10}CALL", "LINE", "AS", "EXPECTED", "DECIDED");
        printer.say(&printer.styled(Style::Title, &header));
        for (case, outcome) in rows.iter().filter(|(_, outcome)| !outcome.passed) {
            printer.say(&format!(
                "{:<6}{:<16}{:<10}{}{} {}",
                case.line,
                line(&case.who),
                case.expected.to_string(),
                printer.styled(Style::Bad, &format!("{:<10}", outcome.decision)),
                line(&case.tool),
                line(&touches(case))
            ));
            let by =
                if outcome.policies.is_empty() { "no policy".into() } else { outcome.policies.join(", ") };
            let expected =
                case.by.as_ref().map_or_else(String::new, |by| format!(", expected by {}", by.join(", ")));
            printer.say(
                &printer.styled(Style::Dim, &format!("      decided by {}{}", line(&by), line(&expected))),
            );
        }
        printer.say(&format!("{failed} of {} cases are not decided as expected", rows.len()));
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::No })
}

fn touches(case: &Case) -> String {
    case.accesses.iter().map(Access::to_string).collect::<Vec<_>>().join(", ")
}

fn decide(place: &Place, policies: &Policies, case: &Case) -> Result<Outcomes, Failure> {
    let Some(tool) = place.tool(&case.tool) else {
        let known: Vec<&str> = place.toolset.tools.iter().map(|tool| &*tool.spec().name).collect();
        return Err(Failure::usage(format!("line {}: no tool is named `{}`", case.line, line(&case.tool)))
            .help(format!("known: {}", known.join(", "))));
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
            Err(_) => return Ok(outcome(case, Expected::Refused, Vec::new())),
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
    Outcomes { decision, policies, passed }
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
