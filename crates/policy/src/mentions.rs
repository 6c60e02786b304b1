//! Which members of the context a policy looks at: what need not be computed, asked again, or kept out of the cache.

use std::collections::BTreeSet;

use serde_json::Value;

/// Stands for the claims of the principal, which are no member of the context and not on record either.
pub(crate) const CLAIMS: &str = "(claims)";

/// The members of the context that some policies mention.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Mentions {
    members: BTreeSet<String>,
    /// A policy uses the context in a way that is not understood here: it may look at anything.
    anything: bool,
}

impl Mentions {
    /// Adds what a policy mentions, given in Cedar's JSON form; one that has none may look at anything.
    pub(crate) fn add(&mut self, policy: Option<&Value>) {
        match policy {
            Some(json) => self.walk(json),
            None => self.anything = true,
        }
    }

    /// Adds what others mention.
    pub(crate) fn join(&mut self, others: &Mentions) {
        self.members.extend(others.members.iter().cloned());
        self.anything |= others.anything;
    }

    /// Everything there is.
    #[cfg(test)]
    pub(crate) fn everything() -> Mentions {
        Mentions { anything: true, ..Mentions::default() }
    }

    /// Whether a policy may look at this member.
    pub(crate) fn has(&self, member: &str) -> bool {
        self.anything || self.members.contains(member)
    }

    /// Walks Cedar's JSON form, in which `context.x` is `{".": {"left": {"Var": "context"}, "attr": "x"}}` and `context has x` alike.
    fn walk(&mut self, node: &Value) {
        match node {
            Value::Object(object) => {
                for (key, value) in object {
                    match (key.as_str(), member_of_context(value)) {
                        ("." | "has", Some(member)) => {
                            self.members.insert(member.to_owned());
                        }
                        ("Var", _) if value == "context" => self.anything = true,
                        ("hasTag" | "getTag", _) => {
                            self.members.insert(CLAIMS.to_owned());
                            self.walk(value);
                        }
                        _ => self.walk(value),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            _ => {}
        }
    }
}

/// Adds the roles that a part of a policy names, in Cedar's JSON form: `{"type": "Role", "id": "x"}`.
pub(crate) fn roles(node: &Value, found: &mut BTreeSet<String>) {
    match node {
        Value::Object(object) => {
            if let (Some("Role"), Some(Value::String(id))) =
                (object.get("type").and_then(Value::as_str), object.get("id"))
            {
                found.insert(id.clone());
            }
            object.values().for_each(|value| roles(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| roles(item, found)),
        _ => {}
    }
}

/// `x`, if `node` is the operand of `context.x`, `context has x` or `context has x.y` (whose `attr` is a list).
fn member_of_context(node: &Value) -> Option<&str> {
    let left = node.get("left")?.as_object()?;
    if left.len() != 1 || left.get("Var")? != "context" {
        return None;
    }
    match node.get("attr")? {
        Value::Array(path) => path.first()?.as_str(),
        one => one.as_str(),
    }
}

#[cfg(test)]
mod tests;
