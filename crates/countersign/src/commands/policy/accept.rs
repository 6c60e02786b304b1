//! `policy accept`: the operator's word on policies that loosen.

use std::{path::Path, sync::Arc};

use countersign_core::decision::PolicySet as _;
use countersign_redact::Redactor;
use countersign_state::{OperatorKey, StateError};

use super::Place;
use crate::{
    commands::record,
    confirm::Confirm,
    print::{Exit, Failure, Outcome, Printer, line},
    state,
};

pub(super) fn run(place: &Place, digest: &str, key: Option<&Path>, printer: Printer) -> Outcome {
    let policies = place.policies(None)?;
    if policies.digest() != digest {
        return Err(Failure::usage("the policies as they are now have another digest").help(format!(
            "read them again, then confirm {}; `countersign policy check` says in what they loosen",
            policies.digest()
        )));
    }
    let key = key.map(OperatorKey::read).transpose().map_err(Failure::unavailable)?;
    let desk = place.runtime.block_on(state::desk(&place.config.state)).map_err(Failure::unavailable)?;
    let confirm = Confirm::new(&place.config.state.dir, Arc::clone(&desk));
    let confirmed =
        place.runtime.block_on(desk.confirm(digest, key.as_ref())).map_err(|error| match error {
            StateError::Refused(why) => Failure::usage(why),
            other => Failure::unavailable(other),
        })?;
    let loosens = confirm.loosens(&policies).map_err(Failure::unavailable)?;
    let by = confirmed.operator.as_deref().unwrap_or("nobody by name");
    // INVARIANT: nothing is confirmed that is not on record.
    let detail = format!("{digest} by {by}: {}", loosens.join("; "));
    let redactor = place.config.secret_set().map(Redactor::new).map_err(Failure::config)?;
    record(&place.config, &redactor, &place.runtime, "policy-confirmed", &detail)?;
    confirm.keep(&confirmed).map_err(Failure::unavailable)?;
    if printer.json {
        printer.value(&serde_json::json!({"digest": digest, "by": confirmed.operator, "loosens": loosens}));
        return Ok(Exit::Ok);
    }
    loosens.iter().for_each(|one| printer.say(&format!("loosens: {}", line(one))));
    printer.say("confirmed; the next reload (SIGHUP) or start lets exactly these policies in");
    Ok(Exit::Ok)
}
