//! `policy check` and `policy explain`.

use std::{fs, io::Read as _, path::Path};

use countersign_core::{Arguments, CallQuestion, Phase, PlanFacts, Tool, Verdict, json};
use countersign_policy::{Effect, Policies};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{configuration, principal, runtime};
use crate::{
    cli::PolicyCommand,
    compose,
    config::Config,
    print::{Exit, Failure, Outcome, Printer, Style, line},
    runtime::unix_micros,
};

/// The largest call that is explained.
const MAX_CALL: u64 = 1 << 20;

/// Runs the command.
pub(crate) fn run(command: &PolicyCommand, file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    match command {
        PolicyCommand::Check { schema } => check(&config, *schema, printer),
        PolicyCommand::Explain { call, principal } => explain(&config, call, &principal.name, printer),
    }
}

fn check(config: &Config, with_schema: bool, printer: Printer) -> Outcome {
    let toolset = runtime()?.block_on(compose::toolset(config)).map_err(Failure::unavailable)?;
    let policies = Policies::load(&config.policy.dir, &toolset.facts).map_err(Failure::config)?;
    let report = policies.report();
    if printer.json {
        let list: Vec<_> = report
            .policies
            .iter()
            .map(|policy| json!({"id": policy.id, "file": policy.file, "line": policy.line, "effect": effect(policy.effect)}))
            .collect();
        let warnings: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
        printer.value(&json!({"digest": report.digest, "policies": list, "warnings": warnings, "schema": report.schema}));
        return Ok(Exit::Ok);
    }
    for policy in &report.policies {
        let style = if policy.effect == Effect::Permit { Style::Good } else { Style::Warn };
        let effect = printer.styled(style, &format!("{:<7}", effect(policy.effect)));
        let place = printer.styled(Style::Dim, &format!("{}:{}", line(&policy.file), policy.line));
        printer.say(&format!("{effect} {:<40} {place}", line(&policy.id)));
    }
    for warning in &report.warnings {
        printer.say(&format!("{} {warning}", printer.styled(Style::Warn, "warning:")));
    }
    if with_schema {
        printer.say(&report.schema);
    }
    printer.say(&format!("{} policies are valid; digest {}", report.policies.len(), report.digest));
    Ok(Exit::Ok)
}

fn explain(config: &Config, call: &Path, who: &str, printer: Printer) -> Outcome {
    let principal = principal::find(config, who)?;
    // INVARIANT: workers are asked on the runtime that started them.
    let runtime = runtime()?;
    let toolset = runtime.block_on(compose::toolset(config)).map_err(Failure::unavailable)?;
    let policies = Policies::load(&config.policy.dir, &toolset.facts).map_err(Failure::config)?;
    let (name, arguments) = read_call(call)?;
    let Some(tool) = toolset.tools.iter().find(|tool| *tool.spec().name == *name) else {
        let known: Vec<&str> = toolset.tools.iter().map(|tool| &*tool.spec().name).collect();
        return Err(Failure::usage("no tool has that name").help(format!("known: {}", known.join(", "))));
    };
    let checked = countersign_core::schema::Validator::compile(&tool.spec().input_schema)
        .map_err(|e| Failure::unavailable(anyhow::anyhow!(e)))?
        .check(arguments.value());
    if let Err(denied) = checked {
        printer.say(&format!("the call would be refused before any policy: {}", denied.public()));
        return Ok(Exit::No);
    }
    let planned = match plan(&runtime, tool.as_ref(), &principal, &arguments)? {
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

/// Plans a call: nothing is run. The inner error is what a caller would be told.
fn plan(
    runtime: &Runtime,
    tool: &dyn Tool,
    principal: &countersign_core::Principal,
    arguments: &Arguments,
) -> Result<Result<countersign_core::Planned, String>, Failure> {
    match runtime.block_on(tool.plan(principal, arguments)) {
        Ok(planned) => Ok(Ok(planned)),
        Err(error) => match error.cause {
            Some(cause) => {
                Err(Failure::unavailable(anyhow::anyhow!("the call cannot be planned: {}", line(&cause))))
            }
            None => Ok(Err(error.denied.public())),
        },
    }
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

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Permit => "permit",
        Effect::Forbid => "forbid",
    }
}

fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow => "allow".into(),
        Verdict::Deny => "deny".into(),
        Verdict::Hold { approvals } => format!("hold for {approvals}"),
    }
}
