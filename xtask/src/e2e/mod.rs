//! End-to-end checks of the built binary, driven from outside by independent programs.

pub(crate) mod http;
pub(crate) mod inspector;
pub(crate) mod oauth;
pub(crate) mod pg_simple;
pub(crate) mod quickstart;
pub(crate) mod server;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::workspace;

/// Counts named checks and prints each; a check that fails does not stop the others.
#[derive(Default)]
pub(crate) struct Checks {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

impl Checks {
    /// Records one check and returns its value when it held.
    pub(crate) fn record<T>(&mut self, name: &str, outcome: Result<T>) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.passed += 1;
                println!("  ok      {name}");
                Some(value)
            }
            Err(error) => {
                self.failed += 1;
                println!("  FAILED  {name}: {error:#}");
                None
            }
        }
    }
}

/// A directory of its own for one check, empty.
pub(crate) fn fresh_dir(name: &str) -> Result<PathBuf> {
    let dir = workspace::work_dir().join("e2e").join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}
