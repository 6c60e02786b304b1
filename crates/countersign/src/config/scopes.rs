//! `[identity.scopes.NAME]`: the scopes that access tokens need for tools, and the forms in which scopes are written.

use countersign_core::{
    Permission,
    scopes::{ScopeRule, ScopeRules},
};

use super::{checked::Settings, error::Problem, kind::Form, raw::Raw};

/// SPEC: RFC 6749 §3.3: visible characters without `"` and `\`.
fn is_scope(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    (1..=255).contains(&text.len()) && text.bytes().all(plain)
}

fn permission(name: &str) -> Option<Permission> {
    Permission::ALL.into_iter().find(|permission| permission.name() == name)
}

pub(super) const SCOPE: Form = Form {
    allowed: "a scope such as \"tools:write\": 1-255 visible characters without `\"` and `\\`",
    admits: is_scope,
};
pub(super) const PERMISSIONS: Form = Form {
    allowed: "permissions: read-files, write-files, execute-code, network, read-database, write-database or admin",
    admits: |text| permission(text).is_some(),
};
pub(super) const INCLUDES: Form = Form {
    allowed: "pairs such as \"tools:admin=tools:write\": a broad scope, and one that it includes",
    admits: |text| include(text).is_some(),
};

/// Reads `BROAD=NARROW`.
pub(super) fn include(text: &str) -> Option<(String, String)> {
    let (broad, narrow) = text.split_once('=')?;
    let good = is_scope(broad) && is_scope(narrow) && !narrow.contains('=');
    good.then(|| (broad.to_owned(), narrow.to_owned()))
}

/// Reads the tables.
pub(super) fn rules(settings: &Settings<'_>) -> Option<ScopeRules> {
    let rule = |name: &String| {
        let key = |key: &str| format!("identity.scopes.{name}.{key}");
        Some(ScopeRule {
            scope: settings.text(&key("scope"))?,
            tools: settings.texts(&key("tools"))?,
            permissions: settings
                .texts(&key("permissions"))?
                .iter()
                .filter_map(|name| permission(name))
                .collect(),
        })
    };
    settings.raw.names("identity.scopes").iter().map(rule).collect::<Option<_>>().map(ScopeRules::new)
}

/// Tables that demand their scope of nothing: the operator meant something else.
pub(super) fn problems(raw: &Raw) -> Vec<Problem> {
    let says = |name: &str, key: &str| raw.values.contains_key(&format!("identity.scopes.{name}.{key}"));
    let problem = |name: &String| Problem {
        place: raw.place_of(&format!("identity.scopes.{name}")),
        message: format!("`identity.scopes.{name}` names nothing that needs its scope"),
        help: Some("add `tools = [\"NAME\"]` or `permissions = [\"write-database\"]`".into()),
    };
    let empty = |name: &&String| {
        let texts = |key: &str| {
            let read = raw.values.get(&format!("identity.scopes.{name}.{key}"));
            read.is_none_or(|read| read.value == super::kind::Value::Texts(Vec::new()))
        };
        says(name, "scope") && texts("tools") && texts("permissions")
    };
    raw.names("identity.scopes").iter().filter(empty).map(problem).collect()
}
