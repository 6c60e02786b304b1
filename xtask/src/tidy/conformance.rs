//! `docs/conformance.md` names every scenario of every suite run, and shows no fewer passed checks than were reached before.

use std::path::Path;

use anyhow::Result;

use super::{Findings, Sources};
use crate::conformance;

pub(super) fn check(sources: &Sources, findings: &mut Findings) -> Result<()> {
    let page = conformance::PAGE;
    let text = sources.read(Path::new(page));
    let shown = conformance::parse_page(&text);
    for suite in conformance::floor()? {
        let mut missing = Vec::new();
        for (scenario, least) in &suite.scenarios {
            match shown.get(&(suite.name.clone(), scenario.clone())) {
                None => missing.push(scenario.as_str()),
                Some(passed) if passed < least => {
                    findings.error(
                        page,
                        format_args!(
                            "scenario {scenario} of {}: {passed} passed, it was {least}",
                            suite.name
                        ),
                    );
                }
                Some(_) => {}
            }
        }
        if !missing.is_empty() {
            findings.error(
                page,
                format_args!(
                    "suite {} lacks {}: run `cargo xtask conformance`",
                    suite.name,
                    missing.join(", ")
                ),
            );
        }
    }
    Ok(())
}
