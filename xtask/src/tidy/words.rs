//! Words that no file of the project may hold: paths of somebody's machine, hosts that locks record, texts that depend on where they
//! were written.

use anyhow::Result;

use super::{Findings, Sources};

/// Lists of attacks hold whatever paths attackers name; vendored code stays as it was written.
const EXEMPT: &[&str] = &["corpora/", "crates/pg-parser/vendor/", "xtask/src/tidy/words.rs"];

/// A word and why it is refused.
const WORDS: &[(&str, &str)] = &[
    ("/work/", "a path of one machine"),
    ("/root/", "a path of one machine"),
    ("/Users/", "a path of one machine"),
    ("/tmp/bash", "a path of one machine"),
    ("/tmp/target-", "a path of one machine"),
    ("artifactory", "a host of one network"),
    ("\"resolved\": ", "a lock must not record which registry host served a package"),
    ("TODO", "an open end: finish it, or write it into the documentation as open"),
    ("FIXME", "an open end: finish it, or write it into the documentation as open"),
    ("whitelist", "say allow list"),
    ("blacklist", "say deny list"),
];

pub(super) fn check(sources: &Sources, findings: &mut Findings) -> Result<()> {
    for file in &sources.files {
        let name = file.to_string_lossy();
        if EXEMPT.iter().any(|exempt| name.starts_with(exempt)) {
            continue;
        }
        for (number, line) in sources.read(file).lines().enumerate() {
            for (word, why) in WORDS {
                if line.contains(word) {
                    findings.error(format_args!("{name}:{}", number + 1), format_args!("`{word}`: {why}"));
                }
            }
        }
    }
    Ok(())
}
