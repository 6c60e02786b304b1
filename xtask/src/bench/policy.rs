//! `cargo xtask bench policy`: what a decision costs, whatever the number of policies. The measurement is an example of the policy crate, which
//! alone knows how decisions are made; its exit code says whether the bound holds.

use anyhow::Result;

use super::page;
use crate::{process, workspace};

/// Prints the figures; with `--write` puts them into `docs/performance.md`.
pub(super) fn main(args: &[String]) -> Result<()> {
    let (held, figures) = process::tee(&mut workspace::cargo(&[
        "run",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "countersign-policy",
        "--example",
        "decision_cost",
    ]))?;
    if args.iter().any(|arg| arg == "--write") {
        page::put("policy", &figures)?;
    }
    anyhow::ensure!(held, "the measurement failed, or a decision takes longer than it may");
    Ok(())
}
