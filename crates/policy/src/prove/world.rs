//! What is known of every question before a policy looks at it, as conditions in Cedar: a solver would otherwise invent a reading tool that
//! writes, or a database of two tenants.
//!
//! INVARIANT: only what holds for every question that is ever asked stands here. A condition that is missing lets a solver find a call that
//! cannot be made; one too many would hide a call that can.

use std::sync::Arc;

use countersign_core::Permission;

use crate::{
    facts::{RegistryFacts, ToolFact},
    schema::POWER_CLASSES,
};

/// What is known of calls of a tool.
pub(super) fn of_tool(fact: &ToolFact) -> Vec<String> {
    let spec = &fact.spec;
    let mut known = common();
    known.extend([
        format!("resource == Tool::{}", quoted(&spec.name)),
        format!("resource.name == {}", quoted(&spec.name)),
        format!("resource.server == {}", quoted(&spec.server)),
        format!("resource in Server::{}", quoted(&spec.server)),
        format!("resource.power == {}", quoted(spec.power.name())),
        tenant(fact.tenant.as_deref()),
        // A list shows tools and decides nothing.
        "!context.listing && context has input && context has plan".into(),
    ]);
    known.extend(POWER_CLASSES.iter().map(|power| is_in(*power == spec.power, "PowerClass", power.name())));
    known.extend(Permission::ALL.iter().map(|one| {
        let has = spec.permissions.contains(one);
        let contains = format!("resource.permissions.contains({})", quoted(one.name()));
        format!(
            "{} && {}",
            is_in(has, "Permission", one.name()),
            if has { contains } else { format!("!{contains}") }
        )
    }));
    known
}

/// What is known of an action on an object of this kind; none if there can be no such object.
pub(super) fn of_object(kind: &str, facts: &RegistryFacts) -> Option<Vec<String>> {
    let mut known = common();
    let tools = facts.tools.iter().map(|fact| {
        let (name, power) = (quoted(&fact.spec.name), quoted(fact.spec.power.name()));
        format!("(context.tool == {name} && context.power == {power})")
    });
    known.push(any_of(tools)?);
    match kind {
        "Table" | "Column" | "Function" | "Query" => {
            let all = facts.databases.iter().map(|one| (&one.name, &one.tenant));
            known.push(lies_in("database", "Database", &all.collect::<Vec<_>>())?);
        }
        "File" => {
            let all = facts.roots.iter().map(|one| (&one.name, &one.tenant));
            known.push(lies_in("root", "Root", &all.collect::<Vec<_>>())?);
        }
        "Host" => known.push("resource.port >= 0 && resource.port <= 65535".into()),
        _ => {}
    }
    Some(known)
}

/// Membership of a tenant is its attribute, for each tenant that policies name.
pub(super) fn of_tenant(name: &str) -> String {
    format!("(principal in Tenant::{0}) == (principal.tenant == {0})", quoted(name))
}

/// What is known of every question.
fn common() -> Vec<String> {
    vec![
        "context.approvals >= 0 && context.approvals <= 2".into(),
        r#"["trusted", "untrusted", "suspicious"].contains(context.integrity)"#.into(),
        r#"["public", "internal", "private", "secret"].contains(context.confidentiality)"#.into(),
        r#"["person", "service", "shared", "anonymous"].contains(principal.kind)"#.into(),
    ]
}

/// It lies in exactly one of these, and belongs to the tenant that this one belongs to.
fn lies_in(attribute: &str, kind: &str, all: &[(&Arc<str>, &Option<Arc<str>>)]) -> Option<String> {
    any_of(all.iter().map(|(name, owner)| {
        let member: Vec<String> = all.iter().map(|(other, _)| is_in(other == name, kind, other)).collect();
        let (member, owner) = (member.join(" && "), tenant(owner.as_deref()));
        format!("(resource.{attribute} == {} && {member} && {owner})", quoted(name))
    }))
}

fn tenant(owner: Option<&str>) -> String {
    match owner {
        Some(owner) => format!("resource has tenant && resource.tenant == {}", quoted(owner)),
        None => "!(resource has tenant)".into(),
    }
}

fn is_in(is: bool, kind: &str, name: &str) -> String {
    let member = format!("resource in {kind}::{}", quoted(name));
    if is { member } else { format!("!({member})") }
}

fn any_of(alternatives: impl Iterator<Item = String>) -> Option<String> {
    let all: Vec<String> = alternatives.collect();
    (!all.is_empty()).then(|| all.join(" || "))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}
