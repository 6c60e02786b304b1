//! `tools list --as PRINCIPAL`: what somebody sees, as policy decides it.

use std::path::Path;

use countersign_core::{CallQuestion, Phase, Verdict, decision::PolicySet as _};
use countersign_policy::Policies;
use serde_json::json;

use super::{configuration, principal, runtime};
use crate::{
    cli::ToolsCommand,
    compose,
    print::{Exit, Failure, Outcome, Printer, Style, line},
    runtime::unix_micros,
};

/// Runs the command.
pub(crate) fn run(command: &ToolsCommand, file: &Path, printer: Printer) -> Outcome {
    let ToolsCommand::List { principal: whose } = command;
    let config = configuration(file)?;
    let principal = principal::find(&config, &whose.name)?;
    let toolset = runtime()?.block_on(compose::toolset(&config)).map_err(Failure::unavailable)?;
    let policies = Policies::load(&config.policy.dir, &toolset.facts).map_err(Failure::config)?;
    let listed: Vec<_> = toolset
        .tools
        .iter()
        .map(|tool| tool.spec())
        .filter(|spec| {
            let question = CallQuestion::new(&principal, spec, Phase::Listing, unix_micros());
            policies.decide_call(&question).verdict != Verdict::Deny
        })
        .collect();
    if printer.json {
        let tools: Vec<_> = listed
            .iter()
            .map(|spec| json!({"name": spec.name, "title": spec.title, "power": spec.power, "sensitivity": spec.sensitivity}))
            .collect();
        printer.value(&tools);
        return Ok(Exit::Ok);
    }
    let who = line(&format!("{}@{}", principal.subject(), principal.tenant()));
    if listed.is_empty() {
        printer.say(&format!("{who} sees no tool: no policy permits one"));
        return Ok(Exit::Ok);
    }
    printer.say(&printer.styled(Style::Title, &format!("{:<28}{:<12}{}", "TOOL", "POWER", "PURPOSE")));
    for spec in &listed {
        printer.say(&format!("{:<28}{:<12}{}", line(&spec.name), spec.power.name(), spec.purpose));
    }
    printer.note(&format!("{} of {} tools are shown to {who}", listed.len(), toolset.tools.len()));
    Ok(Exit::Ok)
}
