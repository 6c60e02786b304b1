//! `policy explain`: why a call would run or not, and what would change it.

use std::{fs, io::Read as _, path::Path};

use countersign_core::{Arguments, CallQuestion, Phase, PlanFacts, Tool, Verdict, json};
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
    let Some(tool) = place.tool(&name) else { return Err(place.no_tool(&call.display().to_string(), &name)) };
    let planned = match place.plan(tool, &principal, &arguments)? {
        Ok(planned) => planned,
        Err(refused) => {
            if printer.json {
                printer.value(&json!({"verdict": "refused", "refused": refused, "questions": []}));
            } else {
                printer.say(&format!("the call would be refused before any policy: {}", line(&refused)));
                printer.say(&format!("the arguments of `{}` are: {}", line(&name), arguments_of(tool)));
            }
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

/// The names of a tool's arguments, the needed ones marked.
fn arguments_of(tool: &dyn Tool) -> String {
    let schema = &tool.spec().input_schema;
    let needed = |name: &str| {
        let needed = schema.get("required").and_then(serde_json::Value::as_array);
        needed.is_some_and(|all| all.iter().any(|one| one == name))
    };
    let names = schema.get("properties").and_then(serde_json::Value::as_object).into_iter().flatten();
    let names: Vec<String> =
        names.map(|(name, _)| if needed(name) { format!("{name} (needed)") } else { name.clone() }).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
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
    let value = json::parse(text.as_bytes(), json::Limits::default()).map_err(|e| {
        let shown = file.display();
        match e {
            json::JsonError::Syntax(at) | json::JsonError::DuplicateKey(at) => {
                let before = text.get(..at).unwrap_or(&text);
                let number = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
                Failure::usage(format!("{shown}:{number}:{column}: {e}"))
            }
            other => Failure::usage(format!("{shown}: {other}")),
        }
    })?;
    let name = value.get("tool").and_then(json::Value::as_str).ok_or_else(shape)?.to_owned();
    let arguments = match value.get("arguments") {
        Some(arguments) => {
            Arguments::from_json(arguments).map_err(|denied| Failure::usage(denied.public()))?
        }
        None => Arguments::empty(),
    };
    Ok((name, arguments))
}
