//! Which crate may depend on which: the architecture, enforced. ARCHITECTURE.md explains each row.

use anyhow::Result;

use super::{Findings, Sources};
use crate::workspace;

/// A crate and what it may depend on among the crates of the workspace. `countersign` is the only one that knows them all.
const ALLOWED: &[(&str, &[&str])] = &[
    ("countersign-core", &["countersign-redact"]),
    ("countersign-sql", &["countersign-pg-parser"]),
    ("countersign-pg-parser", &[]),
    ("countersign-sandbox", &[]),
    ("countersign-egress", &[]),
    ("countersign-redact", &[]),
    ("countersign-policy", &["countersign-core"]),
    ("countersign-identity", &["countersign-core", "countersign-egress"]),
    ("countersign-audit", &["countersign-core", "countersign-egress"]),
    ("countersign-state", &["countersign-core"]),
    (
        "countersign-tools",
        &[
            "countersign-core",
            "countersign-sql",
            "countersign-sandbox",
            "countersign-egress",
            "countersign-redact",
        ],
    ),
    ("countersign-mcp", &["countersign-core", "countersign-egress", "countersign-sandbox"]),
    ("countersign-console", &["countersign-core"]),
    (
        "countersign-review",
        &["countersign-core", "countersign-mcp", "countersign-egress", "countersign-sandbox"],
    ),
    ("countersign-testbed", &[]),
    ("xtask", &["countersign-testbed", "countersign-sandbox"]),
];

/// Equipment of tests, and who alone may ship with it: nobody but the development tool.
const DEVELOPMENT: (&str, &str) = ("countersign-testbed", "xtask");

/// The binary, which may depend on every crate and on which none may depend.
const BINARY: &str = "countersign";

pub(super) fn check(_: &Sources, findings: &mut Findings) -> Result<()> {
    let members = workspace::members()?;
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    for member in &members {
        let (equipment, tool) = DEVELOPMENT;
        if member.name != tool && member.dependencies.iter().any(|name| name == equipment) {
            findings.error(&member.name, format_args!("may use {equipment} in its tests alone"));
        }
        if member.name == BINARY {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == member.name) else {
            findings.error(&member.name, "a crate that the table of allowed dependencies does not know");
            continue;
        };
        for dependency in member.dependencies.iter().filter(|name| names.contains(&name.as_str())) {
            if !allowed.contains(&dependency.as_str()) {
                findings.error(&member.name, format_args!("may not depend on {dependency}"));
            }
        }
    }
    Ok(())
}
