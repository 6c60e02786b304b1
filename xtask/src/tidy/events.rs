//! Every security event stands in the table of docs/audit.md, with the test that provokes it; and nothing stands there that does not exist.

use std::{collections::BTreeSet, path::Path};

use anyhow::Result;

use super::{Findings, Sources, coverage, files};

const PAGE: &str = "docs/audit.md";

/// What names an event in code, directly in front of the name.
const CALLS: &[&str] = &[
    "unauthenticated(\"",
    "security_event(\"",
    "security_detail(\"",
    "report(\"",
    ".event(\"",
    "event: \"",
    "record(\"",
    "write_down(\"",
];

/// Events of operation, which no SIEM needs to look at.
const OPERATION: &[&str] = &["files-swept"];

pub(super) fn check(sources: &Sources, findings: &mut Findings) -> Result<()> {
    let page = sources.read(Path::new(PAGE));
    let rust: Vec<(bool, String)> =
        sources.rust().map(|file| (files::is_test(file), sources.read(file))).collect();
    let mut listed = BTreeSet::new();
    for (names, tests) in coverage::table(&page, "event") {
        for test in &tests {
            let defined = format!("fn {test}(");
            if !rust.iter().any(|(_, text)| text.contains(&defined)) {
                findings.error(PAGE, format_args!("names the test `{test}`, which does not exist"));
            }
        }
        for name in names {
            let literal = format!("\"{name}\"");
            if !rust.iter().any(|(test, text)| !test && text.contains(&literal)) {
                findings.error(PAGE, format_args!("lists the event `{name}`, which nothing records"));
            }
            listed.insert(name);
        }
    }
    for file in sources.rust().filter(|file| file.starts_with("crates") && !files::is_test(file)) {
        for name in events(&sources.read(file)) {
            if !listed.contains(&name) && !OPERATION.contains(&name.as_str()) {
                findings.error(
                    file.display(),
                    format_args!("records the event `{name}`, which {PAGE} does not list"),
                );
            }
        }
    }
    Ok(())
}

/// The events that a text records, whatever lines they stand on.
fn events(text: &str) -> BTreeSet<String> {
    let text: String = text.split_whitespace().collect();
    let after = |call: &&str| {
        text.split(*call)
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let plain =
        |name: &String| name.contains('-') && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    CALLS
        .iter()
        .map(|call| call.replace(' ', ""))
        .flat_map(|call| after(&call.as_str()))
        .filter(plain)
        .collect()
}
