//! Every Rust file opens with why it exists, stays short, and keeps unsafe code behind its two doors.

use std::path::Path;

use anyhow::Result;

use super::{Findings, Sources};

const LONG: usize = 400;
const TOO_LONG: usize = 600;
/// Tests may be longer: they are lists of cases.
const TOO_LONG_TEST: usize = 900;

/// The only files that may hold unsafe code: what the sandbox does between `fork` and `execve`, its system calls that have no safe form,
/// and the parser of PostgreSQL's grammar, which is C.
const DOORS: [&str; 3] =
    ["crates/sandbox/src/contain.rs", "crates/sandbox/src/door.rs", "crates/pg-parser/src/ffi.rs"];
/// The crates of those files, whose roots cannot forbid it.
const UNSAFE_CRATES: [&str; 2] = ["crates/sandbox/src", "crates/pg-parser/src"];

pub(super) fn check(sources: &Sources, findings: &mut Findings) -> Result<()> {
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
        if text.lines().any(holds_unsafe) && !DOORS.iter().any(|known| file == Path::new(known)) {
            findings.error(&place, format_args!("unsafe code outside {}", DOORS.join(", ")));
        }
    }
    for known in DOORS {
        if !sources.read(Path::new(known)).lines().any(holds_unsafe) {
            findings.error(known, "holds no unsafe code and need not be listed as a door");
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
