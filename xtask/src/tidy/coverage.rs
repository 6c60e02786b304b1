//! `docs/coverage.md` stays true: every requirement once, and each one that claims to be built names code, tests and mutations that exist.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::{Findings, Sources};
use crate::{mutate, workspace};

const PAGE: &str = "docs/coverage.md";

/// The requirements: `("A", 22)` stands for A1 to A22.
const REQUIREMENTS: &[(&str, u32)] = &[
    ("A", 22),
    ("B", 4),
    ("C", 3),
    ("D", 2),
    ("E", 5),
    ("F", 3),
    ("G", 8),
    ("H", 7),
    ("I", 5),
    ("J", 4),
    ("K", 5),
    ("L", 7),
    ("M", 4),
    ("N", 6),
    ("O", 8),
    ("P", 8),
];

/// One row: `| id | what | status | code | tests | mutations | note |`. Lists inside a cell are separated by commas; names are in backticks.
struct Row {
    status: String,
    code: Vec<String>,
    tests: Vec<String>,
    mutations: Vec<String>,
    note: String,
}

pub(super) fn check(sources: &Sources, findings: &mut Findings) -> Result<()> {
    let text = sources.read(Path::new(PAGE));
    let mut rows = rows(&text, findings);
    let known_mutations = mutate::load()?;
    let rust: Vec<String> = sources.rust().map(|file| sources.read(file)).collect();
    for (letter, count) in REQUIREMENTS {
        for number in 1..=*count {
            let id = format!("{letter}{number}");
            match rows.remove(&id) {
                None => findings.error(PAGE, format_args!("{id} has no row")),
                Some(row) => check_row(&id, &row, &known_mutations, &rust, findings),
            }
        }
    }
    for id in rows.keys() {
        findings.error(PAGE, format_args!("{id} is no requirement"));
    }
    for mutation in &known_mutations {
        let named = text.lines().any(|line| cell_list(line, 5).contains(&mutation.id));
        if !named {
            findings
                .error(PAGE, format_args!("mutation {} proves nothing here: no row names it", mutation.id));
        }
    }
    Ok(())
}

fn rows(text: &str, findings: &mut Findings) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let Some(id) = cell(line, 0).filter(|id| is_id(id)) else { continue };
        let row = Row {
            status: cell(line, 2).unwrap_or_default(),
            code: cell_list(line, 3),
            tests: cell_list(line, 4),
            mutations: cell_list(line, 5),
            note: cell(line, 6).unwrap_or_default(),
        };
        if rows.insert(id.clone(), row).is_some() {
            findings.error(PAGE, format_args!("{id} has two rows"));
        }
    }
    rows
}

fn check_row(id: &str, row: &Row, mutations: &[mutate::Mutation], rust: &[String], findings: &mut Findings) {
    match row.status.as_str() {
        "open" => {
            if !row.code.is_empty() || !row.tests.is_empty() || !row.mutations.is_empty() {
                findings.error(
                    PAGE,
                    format_args!("{id} is open, yet names code, tests or mutations; say `part` or `done`"),
                );
            }
            return;
        }
        "part" if row.note.is_empty() => {
            findings.error(PAGE, format_args!("{id} is built in part: its note must say what is missing"))
        }
        "part" | "done" => {}
        other => {
            findings.error(PAGE, format_args!("{id} has the status `{other}`; known are done, part, open"))
        }
    }
    if row.code.is_empty() || row.tests.is_empty() || row.mutations.is_empty() {
        findings
            .error(PAGE, format_args!("{id} must name code, a test, and a mutation that the test notices"));
    }
    for path in &row.code {
        if !workspace::root().join(path).exists() {
            findings.error(PAGE, format_args!("{id} names `{path}`, which does not exist"));
        }
    }
    for test in &row.tests {
        let function = test.rsplit("::").next().unwrap_or(test);
        let defined = format!("fn {function}(");
        if !rust.iter().any(|text| text.contains(&defined)) {
            findings.error(PAGE, format_args!("{id} names the test `{test}`, which does not exist"));
        }
    }
    for mutation in &row.mutations {
        match mutations.iter().find(|known| known.id == *mutation) {
            None => findings.error(
                PAGE,
                format_args!("{id} names the mutation `{mutation}`, which xtask/mutations.toml lacks"),
            ),
            Some(known) if !known.requirements.iter().any(|requirement| requirement == id) => {
                findings.error(
                    PAGE,
                    format_args!(
                        "{id} names the mutation `{mutation}`, which is registered for {}",
                        known.requirements.join(", ")
                    ),
                );
            }
            Some(_) => {}
        }
    }
}

/// Names and tests (first and third cells) of the rows of the table whose first heading is this one.
pub(super) fn table(text: &str, heading: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let rows = text.lines().skip_while(|line| cell(line, 0).as_deref() != Some(heading)).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| (cell_list(line, 0), cell_list(line, 2)))
        .collect()
}

/// The text of a table cell, counted from 0, without white space.
fn cell(line: &str, index: usize) -> Option<String> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    inner.split('|').nth(index).map(|text| text.trim().to_owned())
}

fn cell_list(line: &str, index: usize) -> Vec<String> {
    let text = cell(line, index).unwrap_or_default();
    text.split(',')
        .map(|item| item.trim().trim_matches('`').to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

fn is_id(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_ascii_uppercase()) && {
        let rest = chars.as_str();
        !rest.is_empty() && rest.chars().all(|digit| digit.is_ascii_digit())
    }
}
