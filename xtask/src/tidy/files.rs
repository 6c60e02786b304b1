//! Every Rust file opens with why it exists, stays short, and keeps unsafe code behind its two doors.

use std::path::Path;

use anyhow::Result;

use super::{Findings, Sources};

const LONG: usize = 400;
const TOO_LONG: usize = 600;
/// Tests may be longer: they are lists of cases.
const TOO_LONG_TEST: usize = 900;

/// The crates that may hold unsafe code, each in one file: the sandbox forks, the parser of PostgreSQL's grammar calls C.
const UNSAFE_CRATES: [&str; 2] = ["crates/sandbox/src", "crates/pg-parser/src"];

pub(super) fn check(sources: &Sources, findings: &mut Findings) -> Result<()> {
    let mut doors = Vec::new();
    for file in sources.rust() {
        let text = sources.read(file);
        let place = file.display();
        if !text.trim_start().starts_with("//!") {
            findings.error(&place, "does not open with a `//!` header that says why the file exists");
        }
        let lines = text.lines().count();
        let limit = if is_test(file) { TOO_LONG_TEST } else { TOO_LONG };
        if lines > limit {
            findings.error(&place, format_args!("{lines} lines, more than {limit}"));
        } else if lines > LONG && !is_test(file) {
            findings.warn(&place, format_args!("{lines} lines, more than {LONG}"));
        }
        let door = UNSAFE_CRATES.iter().find(|door| file.starts_with(door));
        if is_crate_root(file) && door.is_none() && !text.contains("#![forbid(unsafe_code)]") {
            findings.error(&place, "a crate root without `#![forbid(unsafe_code)]`");
        }
        if text.lines().any(holds_unsafe) {
            match door {
                Some(door) => doors.push((*door, file.display().to_string())),
                None => findings.error(&place, "unsafe code outside the crates that may hold it"),
            }
        }
    }
    for door in UNSAFE_CRATES {
        let files: Vec<&str> =
            doors.iter().filter(|(found, _)| *found == door).map(|(_, file)| file.as_str()).collect();
        if files.len() > 1 {
            findings.error(door, format_args!("unsafe code in more than one file: {}", files.join(", ")));
        }
    }
    Ok(())
}

/// Files that hold tests alone: `tests.rs`, `x_tests.rs`, anything under a `tests` directory.
pub(super) fn is_test(file: &Path) -> bool {
    let named = file.file_stem().is_some_and(|stem| {
        let stem = stem.to_string_lossy();
        stem == "tests" || stem.ends_with("_tests")
    });
    named || file.components().any(|part| part.as_os_str() == "tests")
}

fn is_crate_root(file: &Path) -> bool {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    file.parent().is_some_and(|dir| dir.ends_with("src")) && (name == "lib.rs" || name == "main.rs")
}

fn holds_unsafe(line: &str) -> bool {
    let code = line.trim_start();
    if code.starts_with("//") {
        return false;
    }
    // Written apart so that this file does not match itself.
    ["{", "fn ", "impl ", "extern "].iter().any(|next| {
        let pattern = format!("{} {next}", "unsafe");
        code.starts_with(&pattern)
            || [" ", "(", "=", "{", ";"].iter().any(|before| code.contains(&format!("{before}{pattern}")))
    })
}
