//! Roles in roles: `roles.toml`, beside the policies, says which other roles a role includes. It is part of the set, under its digest.
//!
//! ```toml
//! [roles]
//! reader = []
//! analyst = ["reader"]      # whoever is an analyst is a reader as well
//! ```

use std::collections::{BTreeMap, BTreeSet};

use toml::de::{DeTable, DeValue};

use crate::{
    error::{PolicyError, PolicyErrors},
    source::PolicyFile,
};

/// The name of the file in the policies directory.
pub(crate) const ROLES_FILE: &str = "roles.toml";

/// Each declared role with every role that it includes, itself among them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Roles {
    included: BTreeMap<String, BTreeSet<String>>,
}

impl Roles {
    /// Reads the file. Every role that is included is declared as well, and none includes itself by a detour.
    pub(crate) fn parse(file: &PolicyFile) -> Result<Roles, PolicyErrors> {
        let problem = |span: std::ops::Range<usize>, message: String| {
            let span = Some((span.start, span.len()));
            PolicyError::at(&file.name, &file.text, span, message)
        };
        let document = DeTable::parse(&file.text)
            .map_err(|e| problem(e.span().unwrap_or_default(), e.message().replace('\n', "; ")))?;
        let mut direct: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut places = BTreeMap::new();
        let mut errors = Vec::new();
        for (key, value) in document.get_ref() {
            let ("roles", DeValue::Table(table)) = (key.get_ref().as_ref(), value.get_ref()) else {
                errors.push(problem(key.span(), "only the table `[roles]` belongs here".into()));
                continue;
            };
            for (role, includes) in table {
                let name = role.get_ref().as_ref();
                if !is_role(name) {
                    let rule = "a role's name must be 1-64 characters of A-Z, a-z, 0-9, `_`, `.`, `@` or `-`";
                    errors.push(problem(role.span(), rule.into()));
                    continue;
                }
                match texts(includes.get_ref()) {
                    Some(texts) => {
                        direct.insert(name.to_owned(), texts);
                        places.insert(name.to_owned(), (role.span(), includes.span()));
                    }
                    None => errors.push(problem(
                        includes.span(),
                        format!("`{name}` must be a list of the roles that it includes"),
                    )),
                }
            }
        }
        let (key, list) = (
            |role: &String| places.get(role).map(|(key, _)| key.clone()).unwrap_or_default(),
            |role: &String| places.get(role).map(|(_, list)| list.clone()).unwrap_or_default(),
        );
        for (role, includes) in &direct {
            for unknown in includes.iter().filter(|other| !direct.contains_key(*other)) {
                let message = format!("`{role}` includes `{unknown}`, which is not declared");
                errors.push(problem(list(role), message).help(format!("add `{unknown} = []`")));
            }
        }
        let included: BTreeMap<String, BTreeSet<String>> =
            direct.keys().map(|role| (role.clone(), closure(role, &direct))).collect();
        for (role, includes) in &direct {
            let looped =
                includes.iter().any(|other| included.get(other).is_some_and(|all| all.contains(role)));
            if looped {
                errors.push(problem(key(role), format!("`{role}` includes itself")));
            }
        }
        if errors.is_empty() { Ok(Roles { included }) } else { Err(PolicyErrors { errors }) }
    }

    /// These roles and all that they include.
    pub(crate) fn of<'a>(&'a self, roles: &'a [String]) -> BTreeSet<&'a str> {
        let mut all = BTreeSet::new();
        for role in roles {
            // MUTATE(M4-roles): a role is not what it includes
            all.extend(self.included.get(role).into_iter().flatten().map(String::as_str));
            all.insert(role);
        }
        all
    }

    /// All declared roles.
    pub fn declared(&self) -> impl Iterator<Item = &str> {
        self.included.keys().map(String::as_str)
    }

    /// What each role includes, itself among them.
    pub(crate) fn included(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.included
    }
}

/// A role with everything that can be reached from it.
fn closure(role: &str, direct: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let (mut reached, mut pending) = (BTreeSet::new(), vec![role.to_owned()]);
    while let Some(next) = pending.pop() {
        if reached.insert(next.clone()) {
            pending.extend(direct.get(&next).into_iter().flatten().cloned());
        }
    }
    reached
}

fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
}

fn is_role(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'@' | b'-'))
}

#[cfg(test)]
mod tests;
