//! `policy check`: all problems at once, or what is there.

use std::{path::Path, sync::Arc};

use countersign_policy::Effect;
use serde_json::json;

use super::Place;
use crate::{
    confirm::Confirm,
    print::{Exit, Failure, Outcome, Printer, Style, line},
    state,
};

pub(super) fn run(place: &Place, with_schema: bool, dir: Option<&Path>, printer: Printer) -> Outcome {
    let policies = place.policies(dir)?;
    let report = policies.report();
    let loosens = loosens(place, &policies)?;
    if printer.json {
        let list: Vec<_> = report
            .policies
            .iter()
            .map(|policy| json!({"id": policy.id, "file": policy.file, "line": policy.line, "effect": effect(policy.effect)}))
            .collect();
        let warnings: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
        printer.value(&json!({
            "digest": report.digest, "policies": list, "warnings": warnings, "loosens": loosens, "schema": report.schema,
        }));
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
    for one in &loosens {
        printer.say(&format!("{} {}", printer.styled(Style::Warn, "loosens:"), line(one)));
    }
    if !loosens.is_empty() {
        printer.say(&format!("to let exactly these in, run `countersign policy accept {}`", report.digest));
    }
    printer.say(&format!("{} policies are valid; digest {}", report.policies.len(), report.digest));
    Ok(Exit::Ok)
}

/// In what the policies loosen those that were in force last. A check makes no state.
fn loosens(place: &Place, policies: &countersign_policy::Policies) -> Result<Vec<String>, Failure> {
    let dir = &place.config.state.dir;
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let desk = place.runtime.block_on(state::desk(&place.config.state)).map_err(Failure::unavailable)?;
    Confirm::new(dir, Arc::clone(&desk)).loosens(policies).map_err(Failure::unavailable)
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Permit => "permit",
        Effect::Forbid => "forbid",
    }
}
