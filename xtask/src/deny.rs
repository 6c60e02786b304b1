//! The checks of `deny.toml` that need no network: licences, bans, duplicates and sources, read from `cargo metadata`.
//!
//! `cargo deny` reads the same file and checks more (licence texts, advisories); this needs nothing installed and runs in seconds.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use toml::Value;

use crate::{
    process,
    workspace::{self, Package},
};

struct Rules {
    licenses: Vec<String>,
    bans: Vec<(String, String)>,
    registries: Vec<String>,
}

/// Prints what is wrong; duplicates are only warned of.
pub(crate) fn main() -> Result<()> {
    let rules = rules()?;
    let built = built()?;
    let mut packages = workspace::all_packages()?;
    packages.retain(|package| built.contains(&format!("{} v{}", package.name, package.version)));
    let mut errors = Vec::new();
    for package in packages.iter().filter(|package| package.source.is_some()) {
        errors.extend(license(package, &rules));
        errors.extend(source(package, &rules));
        for (name, reason) in &rules.bans {
            if package.name == *name {
                errors.push(format!("{} {} is banned: {reason}", package.name, package.version));
            }
        }
    }
    for (name, versions) in duplicates(&packages) {
        println!("warning: {name} is built in {} versions: {}", versions.len(), versions.join(", "));
    }
    for error in &errors {
        println!("error: {error}");
    }
    if !errors.is_empty() {
        bail!("{} packages break deny.toml", errors.len());
    }
    println!("deny: {} packages, licences, bans and sources ok", packages.len());
    Ok(())
}

/// Every package that some build with all features contains, as `NAME vVERSION`. The lock file, and so `cargo metadata`, also names packages
/// that a feature of a dependency could bring in and none does.
fn built() -> Result<BTreeSet<String>> {
    let graph = ["tree", "--workspace", "--all-features", "--target", "all", "--edges", "normal,build,dev"];
    let text = process::capture(workspace::cargo(&graph).args(["--prefix", "none", "--format", "{p}"]))?;
    let package = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    Ok(text.lines().map(package).collect())
}

fn rules() -> Result<Rules> {
    let text =
        std::fs::read_to_string(workspace::root().join("deny.toml")).context("cannot read deny.toml")?;
    let table: toml::Table = text.parse().context("deny.toml is not TOML")?;
    let list = |section: &str, name: &str| -> Result<Vec<Value>> {
        let found = table.get(section).and_then(|section| section.get(name)).and_then(Value::as_array);
        Ok(found.with_context(|| format!("deny.toml lacks the list {section}.{name}"))?.clone())
    };
    let texts =
        |values: Vec<Value>| values.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let field =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Rules {
        licenses: texts(list("licenses", "allow")?),
        bans: list("bans", "deny")?.iter().map(|ban| (field(ban, "crate"), field(ban, "reason"))).collect(),
        registries: texts(list("sources", "allow-registry")?),
    })
}

fn license(package: &Package, rules: &Rules) -> Option<String> {
    let Some(expression) = &package.license else {
        return Some(format!("{} {} states no licence", package.name, package.version));
    };
    if allowed(expression, &rules.licenses) {
        return None;
    }
    Some(format!("{} {}: licence `{expression}` is not allowed", package.name, package.version))
}

/// Whether an SPDX expression can be satisfied with allowed licences. Old crates write `/` for `OR`.
fn allowed(expression: &str, licenses: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let satisfied = any_of(&mut rest, licenses);
    satisfied && rest.is_empty()
}

fn any_of(words: &mut &[&str], licenses: &[String]) -> bool {
    let mut satisfied = all_of(words, licenses);
    while let Some((&"OR", rest)) = words.split_first() {
        *words = rest;
        // Both sides are read, so that the position moves on.
        let right = all_of(words, licenses);
        satisfied = satisfied || right;
    }
    satisfied
}

fn all_of(words: &mut &[&str], licenses: &[String]) -> bool {
    let mut satisfied = one(words, licenses);
    while let Some((&"AND", rest)) = words.split_first() {
        *words = rest;
        let right = one(words, licenses);
        satisfied = satisfied && right;
    }
    satisfied
}

fn one(words: &mut &[&str], licenses: &[String]) -> bool {
    let Some((first, rest)) = words.split_first() else { return false };
    *words = rest;
    if *first == "(" {
        let inner = any_of(words, licenses);
        if let Some((&")", rest)) = words.split_first() {
            *words = rest;
            return inner;
        }
        return false;
    }
    let mut name = (*first).to_owned();
    if let Some((&"WITH", [exception, rest @ ..])) = words.split_first() {
        name = format!("{name} WITH {exception}");
        *words = rest;
    }
    licenses.contains(&name)
}

fn source(package: &Package, rules: &Rules) -> Option<String> {
    let source = package.source.as_deref().unwrap_or_default();
    let registry = source.strip_prefix("registry+").or_else(|| source.strip_prefix("sparse+"));
    if registry.is_some_and(|url| rules.registries.iter().any(|allowed| allowed == url)) {
        return None;
    }
    Some(format!("{} {} comes from `{source}`, not from an allowed registry", package.name, package.version))
}

fn duplicates(packages: &[Package]) -> BTreeMap<&str, Vec<&str>> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    versions.retain(|_, list| list.len() > 1);
    versions
}
