//! Confirmation: what a caller's own person may answer for, what they are asked, and what their answer says.
//!
//! The question travels through the client, as MCP elicitation. INVARIANT: a client can answer it by itself, and nobody signs; so it shows
//! that somebody on the caller's side said yes and nothing more. It is no approval of another person, and good for low impact alone.

use serde_json::{Value, json};

use super::{BoundCall, Request, Vote};
use crate::{
    plan::{Effect, Plan},
    principal::{Principal, PrincipalKind},
    tool::{Ask, PowerClass},
};

#[cfg(test)]
mod tests;

/// The MCP method that asks.
pub const METHOD: &str = "elicitation/create";
/// The field that must be ticked.
const FIELD: &str = "confirm";
/// Characters of the arguments that can be shown: what does not fit is not confirmed unseen.
const SHOWN_CHARS: usize = 4_000;
/// Accesses that are spelled out.
const SHOWN_ACCESSES: usize = 20;

/// Whether the caller's own person may confirm a call that `needed` people would have to approve.
pub fn may_confirm(principal: &Principal, plan: &Plan, needed: u8) -> bool {
    // MUTATE(J4-high): the caller's own client confirms what can do much harm
    let low = plan.spec().power == PowerClass::WriteLow;
    // What leaves, or runs code, does not stay within what was shown.
    let stays = plan.effect() == Effect::Write && plan.destinations().is_empty();
    // MUTATE(J4-two): one click stands for two people
    let one = needed == 1;
    // MUTATE(J4-person): a credential that names nobody confirms
    let somebody = match principal.kind() {
        PrincipalKind::Person => true,
        PrincipalKind::Service => principal.owner().is_some(),
        PrincipalKind::Shared | PrincipalKind::Anonymous => false,
    };
    low && stays && one && somebody && plan.arguments().canonical().chars().count() <= SHOWN_CHARS
}

/// The question. `line` makes one plain line of text that a model or a database wrote.
pub fn question(id: &str, request: &Request, line: impl Fn(&str) -> String) -> Ask {
    let call = &request.call;
    let mut text = format!("May `{}` do this, once?\n", line(&call.tool));
    arguments(&call.arguments, &line, &mut text);
    text.push_str(&match request.preview.affected {
        Some(1) => "Tried out: 1 change".to_owned(),
        Some(count) => format!("Tried out: {count} changes"),
        None => "Its effect could not be tried out".to_owned(),
    });
    let changes: Vec<_> = call.accesses.iter().filter(|access| !access.starts_with("read ")).collect();
    for access in changes.iter().take(SHOWN_ACCESSES) {
        text.push_str(&format!("\n  {}", line(access)));
    }
    if let Some(more) = changes.len().checked_sub(SHOWN_ACCESSES).filter(|more| *more > 0) {
        text.push_str(&format!("\n  … and {more} more"));
    }
    for warning in &request.preview.warnings {
        text.push_str(&format!("\nWarning: {}", line(warning)));
    }
    let properties = json!({FIELD: {"type": "boolean", "title": "Yes, do this once", "default": false}});
    let schema = json!({"type": "object", "properties": properties, "required": [FIELD]});
    Ask { key: id.to_owned(), method: METHOD, params: json!({"message": text, "requestedSchema": schema}) }
}

/// Each argument by name. INVARIANT: every line that a model wrote starts with `  |`, so that none passes for ours.
fn arguments(canonical: &str, line: &impl Fn(&str) -> String, text: &mut String) {
    let mut say = |written: &str| text.push_str(&format!("  | {}\n", line(written)));
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(canonical) else { return say(canonical) };
    for (name, value) in &members {
        match value {
            Value::String(value) => {
                let mut lines = value.split('\n');
                say(&format!("{name}: {}", lines.next().unwrap_or_default()));
                lines.for_each(&mut say);
            }
            other => say(&format!("{name}: {other}")),
        }
    }
}

/// What an answer says; none if it says neither yes nor no (the question was closed, or the answer has another shape).
pub fn said(answer: &Value) -> Option<Vote> {
    match answer.get("action").and_then(Value::as_str)? {
        "decline" => Some(Vote::Deny),
        "accept" => match answer.get("content")?.get(FIELD)? {
            // MUTATE(J4-tick): sending the form back is a yes, ticked or not
            Value::Bool(true) => Some(Vote::Approve),
            Value::Bool(false) => Some(Vote::Deny),
            _ => None,
        },
        _ => None,
    }
}

impl BoundCall {
    /// Whose word a confirmation is: the person for whom the caller acts, or the caller.
    pub fn requester(&self) -> &str {
        self.owner.as_deref().unwrap_or(&self.subject)
    }
}
