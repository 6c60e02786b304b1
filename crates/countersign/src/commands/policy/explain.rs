//! `policy explain`: why a call would run or not, and what would change it.

use std::{fs, io::Read as _, path::Path};

use countersign_core::{Arguments, CallQuestion, Phase, PlanFacts, Verdict, json};
use serde_json::json;

use super::{Place, verdict};
use crate::{
    commands::principal,
    print::{Exit, Failure, Outcome, Printer, line},
    runtime::unix_micros,
};

/// The largest call that is explained.
const MAX_CALL: u64 = 1 << 20;

pub(super) fn run(place: &Place, call: &Path, who: &str, printer: Printer) -> Outcome {
    let principal = principal::find(&place.config, who)?;
    let policies = place.policies(None)?;
    let (name, arguments) = read_call(call)?;
    let Some(tool) = place.tool(&name) else {
        let known: Vec<&str> = place.toolset.tools.iter().map(|tool| &*tool.spec().name).collect();
        return Err(Failure::usage("no tool has that name").help(format!("known: {}", known.join(", "))));
    };
    let planned = match place.plan(tool, &principal, &arguments)? {
        Ok(planned) => planned,
        Err(refused) => {
            printer.say(&format!("the call would be refused before any policy: {refused}"));
            return Ok(Exit::No);
        }
    };
    let phase = Phase::Calling { arguments: arguments.value() };
    let facts = PlanFacts {
        effect: planned.effect,
        accesses: &planned.accesses,
        destinations: &planned.destinations,
        facts: &planned.facts,
    };
    let question = CallQuestion::new(&principal, tool.spec(), phase, unix_micros()).planned(facts);
    let explanation = policies.explain(&question);
    if printer.json {
        let questions: Vec<_> = explanation
            .questions
            .iter()
            .map(|one| {
                json!({
                    "question": one.question,
                    "required": one.required,
                    "verdict": verdict(one.decision.verdict),
                    "policies": one.decision.policies,
                    "error": one.decision.error,
                    "unlock": one.unlock.iter().map(ToString::to_string).collect::<Vec<_>>(),
                })
            })
            .collect();
        printer.value(&json!({"verdict": verdict(explanation.verdict), "questions": questions}));
    } else {
        printer.say(&format!("as {}@{}", line(principal.subject()), line(principal.tenant())));
        explanation.to_string().lines().for_each(|text| printer.say(&line(text)));
    }
    Ok(if explanation.verdict == Verdict::Allow { Exit::Ok } else { Exit::No })
}

/// The tool's name and arguments of a call in a file.
fn read_call(file: &Path) -> Result<(String, Arguments), Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_CALL).read_to_string(&mut text)
    } else {
        fs::File::open(file).and_then(|opened| opened.take(MAX_CALL).read_to_string(&mut text))
    };
    read.map_err(|e| Failure::unavailable(anyhow::anyhow!("cannot read `{}`: {e}", file.display())))?;
    let shape = || {
        Failure::usage(format!("`{}` is no call", file.display()))
            .help(r#"write {"tool": "query_shop", "arguments": {"query": "SELECT name FROM customers"}}"#)
    };
    let value = json::parse(text.as_bytes(), json::Limits::default()).map_err(|_| shape())?;
    let name = value.get("tool").and_then(json::Value::as_str).ok_or_else(shape)?.to_owned();
    let arguments = match value.get("arguments") {
        Some(arguments) => {
            Arguments::from_json(arguments).map_err(|denied| Failure::usage(denied.public()))?
        }
        None => Arguments::empty(),
    };
    Ok((name, arguments))
}
