//! House rules that no compiler checks. Each rule is one file with one `check` function and one entry in [`RULES`].

mod conformance;
mod coverage;
mod edges;
mod events;
mod files;
mod modules;
mod words;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::workspace;

/// What every rule looks at.
pub(crate) struct Sources {
    /// Every file under version control, relative to the root.
    files: Vec<PathBuf>,
}

impl Sources {
    fn load() -> Result<Self> {
        Ok(Self { files: workspace::tracked_files()? })
    }

    /// The text of a file; empty for one that is not UTF-8.
    fn read(&self, file: &std::path::Path) -> String {
        std::fs::read_to_string(workspace::root().join(file)).unwrap_or_default()
    }

    fn rust(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter().filter(|file| workspace::has_extension(file, "rs"))
    }
}

/// What the rules found. Errors fail the run, warnings do not.
#[derive(Default)]
pub(crate) struct Findings {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn error(&mut self, place: impl std::fmt::Display, message: impl std::fmt::Display) {
        self.errors.push(format!("{place}: {message}"));
    }

    fn warn(&mut self, place: impl std::fmt::Display, message: impl std::fmt::Display) {
        self.warnings.push(format!("{place}: {message}"));
    }
}

type Rule = fn(&Sources, &mut Findings) -> Result<()>;

const RULES: &[(&str, Rule)] = &[
    ("files", files::check),
    ("modules", modules::check),
    ("edges", edges::check),
    ("words", words::check),
    ("coverage", coverage::check),
    ("conformance", conformance::check),
    ("events", events::check),
];

/// Runs every rule and prints what they found.
pub(crate) fn main() -> Result<()> {
    let sources = Sources::load()?;
    let mut findings = Findings::default();
    for (name, rule) in RULES {
        let before = findings.errors.len();
        rule(&sources, &mut findings)?;
        let found = findings.errors.len() - before;
        println!("tidy {name}: {}", if found == 0 { "ok".to_owned() } else { format!("{found} errors") });
    }
    for warning in &findings.warnings {
        println!("warning: {warning}");
    }
    for error in &findings.errors {
        println!("error: {error}");
    }
    if !findings.errors.is_empty() {
        bail!("{} house rules broken", findings.errors.len());
    }
    Ok(())
}
