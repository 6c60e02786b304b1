//! Runs the official MCP conformance suites against the server with its fixture tools, and writes `docs/conformance.md`.
//!
//! `xtask/conformance-floor.toml` holds what was reached: the number of passed checks of each scenario may only grow.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::e2e::server::Server;
use crate::{process, setup, workspace};

/// The page that shows the results.
pub(crate) const PAGE: &str = "docs/conformance.md";
const FLOOR: &str = "xtask/conformance-floor.toml";
const SUITE_LIMIT: Duration = Duration::from_secs(300);

/// A run of one version of the suite with one set of requirements.
struct Run {
    /// As it appears on the page and in the floor file.
    name: &'static str,
    /// The folder of `tests-e2e/npm`.
    npm: &'static str,
    args: &'static [&'static str],
}

const RUNS: &[Run] = &[
    Run { name: "0.1.16", npm: "conformance-0.1.16", args: &["--suite", "all"] },
    Run {
        name: "0.2.0-alpha.12, 2025-11-25",
        npm: "conformance-0.2.0-alpha.12",
        args: &["--requirements", "2025-11-25"],
    },
    Run {
        name: "0.2.0-alpha.12, 2026-07-28",
        npm: "conformance-0.2.0-alpha.12",
        args: &["--requirements", "2026-07-28"],
    },
];

/// What has been reached in one run.
pub(crate) struct Floor {
    pub(crate) name: String,
    /// Scenario and the fewest checks that must pass.
    pub(crate) scenarios: BTreeMap<String, u32>,
    /// Scenario and why it does not apply to us.
    not_applicable: BTreeMap<String, String>,
}

/// What one scenario gave.
struct Outcome {
    passed: u32,
    failed: u32,
    warnings: Vec<String>,
    failures: Vec<String>,
}

/// Checks passed and failed in all suites; a scenario that does not apply counts as neither.
#[derive(Default, Debug, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

/// `cargo xtask conformance [--raise] [--url URL]`: with `--url`, against a server that runs already, and nothing is written.
pub(crate) fn main(args: &[String]) -> Result<()> {
    setup::all()?;
    if let Some(url) = args.iter().position(|arg| arg == "--url").and_then(|at| args.get(at + 1)) {
        let results = run_all(url)?;
        print!("{}", page(&results, &floor()?));
        return Ok(());
    }
    let binary = crate::test::fixtures_binary()?;
    let server = Server::fixtures(&binary)?;
    let results = run_all(&server.url())?;
    drop(server);
    if args.iter().any(|arg| arg == "--raise") {
        raise(&results)?;
    }
    std::fs::write(workspace::root().join(PAGE), page(&results, &floor()?))?;
    verdict(&results, &floor()?).map(|totals| println!("conformance: {} passed", totals.passed))
}

/// Runs the suites against the binary and compares with the floor. The page is not written: a test run leaves the checkout as it is.
pub(crate) fn check(binary: &Path) -> Result<Totals> {
    let server = Server::fixtures(binary)?;
    let results = run_all(&server.url())?;
    verdict(&results, &floor()?)
}

type Results = Vec<(&'static str, BTreeMap<String, Outcome>)>;

fn run_all(url: &str) -> Result<Results> {
    RUNS.iter().map(|run| Ok((run.name, run_suite(run, url)?))).collect()
}

fn run_suite(run: &Run, url: &str) -> Result<BTreeMap<String, Outcome>> {
    let out = workspace::work_dir().join("conformance").join(run.name.replace([' ', ','], "-"));
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    std::fs::create_dir_all(&out)?;
    let script = setup::npm_dir(run.npm).join("node_modules/@modelcontextprotocol/conformance/dist/index.js");
    let mut command = setup::node(&script);
    command.args(["server", "--url", url]).args(run.args).arg("-o").arg(&out);
    let output = process::output_within(&mut command, SUITE_LIMIT)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    std::fs::write(out.join("output.txt"), &text)?;
    let mut results = BTreeMap::new();
    for scenario in scenarios(&text) {
        results.insert(scenario.clone(), read_outcome(&out, &scenario)?);
    }
    if results.is_empty() {
        bail!(
            "the suite {} ran nothing: {}",
            run.name,
            process::tail(&String::from_utf8_lossy(&output.stderr), 2000)
        );
    }
    println!("{}: {} scenarios", run.name, results.len());
    Ok(results)
}

/// The scenarios that the suite announced.
fn scenarios(text: &str) -> Vec<String> {
    let announced = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("=== Running scenario: ")?.strip_suffix(" ==="));
    announced.map(str::to_owned).collect()
}

/// Reads the checks that the suite wrote for a scenario. A scenario that wrote none failed: it did not get that far.
fn read_outcome(out: &Path, scenario: &str) -> Result<Outcome> {
    let prefix = format!("server-{scenario}-");
    let dir = std::fs::read_dir(out)?.filter_map(Result::ok).map(|entry| entry.path()).find(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // A time stamp follows the name, so a longer scenario name cannot match.
        name.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with("20"))
    });
    let text = dir.and_then(|dir| std::fs::read_to_string(dir.join("checks.json")).ok());
    let Some(text) = text else {
        return Ok(Outcome {
            passed: 0,
            failed: 1,
            warnings: Vec::new(),
            failures: vec!["the scenario wrote no result".to_owned()],
        });
    };
    let checks: Value = serde_json::from_str(&text).with_context(|| format!("result of {scenario}"))?;
    let mut outcome = Outcome { passed: 0, failed: 0, warnings: Vec::new(), failures: Vec::new() };
    for check in checks.as_array().map(Vec::as_slice).unwrap_or_default() {
        let field = |name: &str| check.get(name).and_then(Value::as_str).unwrap_or_default();
        let message = || format!("{}: {}", field("id"), field("errorMessage"));
        match field("status") {
            "SUCCESS" => outcome.passed += 1,
            "FAILURE" => {
                outcome.failed += 1;
                outcome.failures.push(message());
            }
            "WARNING" => outcome.warnings.push(message()),
            _ => {}
        }
    }
    Ok(outcome)
}

/// Fails when a scenario that applies has a failed check, or fewer passed ones than before.
fn verdict(results: &Results, floors: &[Floor]) -> Result<Totals> {
    let (mut totals, mut errors) = (Totals::default(), Vec::new());
    for (run, outcomes) in results {
        let floor = floors
            .iter()
            .find(|floor| floor.name == *run)
            .with_context(|| format!("{FLOOR} lacks the run `{run}`"))?;
        for (scenario, outcome) in outcomes {
            if floor.not_applicable.contains_key(scenario) {
                continue;
            }
            totals.passed += outcome.passed;
            totals.failed += outcome.failed;
            errors.extend(outcome.failures.iter().map(|failure| format!("{run}: {scenario}: {failure}")));
        }
        for (scenario, least) in &floor.scenarios {
            let passed = outcomes.get(scenario).map_or(0, |outcome| outcome.passed);
            if passed < *least {
                errors.push(format!("{run}: {scenario}: {passed} checks passed, it was {least}"));
            }
        }
    }
    for error in &errors {
        println!("error: {error}");
    }
    if !errors.is_empty() {
        bail!("conformance: {} passed, {} failed", totals.passed, totals.failed);
    }
    Ok(totals)
}

/// Reads what has been reached.
pub(crate) fn floor() -> Result<Vec<Floor>> {
    let text = std::fs::read_to_string(workspace::root().join(FLOOR))
        .with_context(|| format!("cannot read {FLOOR}"))?;
    let table: toml::Table = text.parse().with_context(|| format!("{FLOOR} is not TOML"))?;
    let texts = |name: &str, run: &str| {
        table
            .get(name)
            .and_then(|all| all.get(run))
            .and_then(toml::Value::as_table)
            .cloned()
            .unwrap_or_default()
    };
    Ok(RUNS
        .iter()
        .map(|run| Floor {
            name: run.name.to_owned(),
            scenarios: texts("passed", run.name)
                .into_iter()
                .map(|(name, least)| {
                    (name, least.as_integer().and_then(|least| u32::try_from(least).ok()).unwrap_or(u32::MAX))
                })
                .collect(),
            not_applicable: texts("not-applicable", run.name)
                .into_iter()
                .map(|(name, why)| (name, why.as_str().unwrap_or_default().to_owned()))
                .collect(),
        })
        .collect())
}

/// Writes the floor again with what was reached where it is more.
fn raise(results: &Results) -> Result<()> {
    let floors = floor()?;
    let mut text = String::from(
        "# Checks of the MCP conformance suites that pass; the numbers may only grow (`cargo xtask conformance --raise`).\n",
    );
    for (run, outcomes) in results {
        let old = floors.iter().find(|floor| floor.name == *run);
        writeln!(text, "\n[passed.\"{run}\"]")?;
        for (scenario, outcome) in outcomes {
            let least = old.and_then(|floor| floor.scenarios.get(scenario)).copied().unwrap_or_default();
            // What passes by accident in a scenario that does not apply is nothing to hold on to.
            let applies = old.is_none_or(|floor| !floor.not_applicable.contains_key(scenario));
            writeln!(text, "{scenario} = {}", if applies { least.max(outcome.passed) } else { 0 })?;
        }
    }
    text.push_str("\n# Scenarios that do not apply to us, and why; they are listed and never counted.\n");
    for floor in &floors {
        writeln!(text, "\n[not-applicable.\"{}\"]", floor.name)?;
        for (scenario, why) in &floor.not_applicable {
            writeln!(text, "{scenario} = \"{why}\"")?;
        }
    }
    Ok(std::fs::write(workspace::root().join(FLOOR), text)?)
}

fn page(results: &Results, floors: &[Floor]) -> String {
    let mut text = String::from(
        "# MCP conformance\n\nWritten by `cargo xtask conformance`, which runs the official suites against the server with its fixture tools \
         (built with the feature `fixtures`, which releases lack).\nThe number of passed checks of a scenario may only grow; \
         `cargo xtask test` enforces it.\n",
    );
    for (run, outcomes) in results {
        let none = BTreeMap::new();
        let not_applicable =
            floors.iter().find(|floor| floor.name == *run).map_or(&none, |floor| &floor.not_applicable);
        let applies = || {
            outcomes
                .iter()
                .filter(|(scenario, _)| !not_applicable.contains_key(*scenario))
                .map(|(_, outcome)| outcome)
        };
        let (passed, failed): (u32, u32) =
            (applies().map(|one| one.passed).sum(), applies().map(|one| one.failed).sum());
        // Writing into a String cannot fail.
        let _ = writeln!(text, "\n## Suite {run}\n\n{passed} checks passed, {failed} failed.\n");
        text.push_str("| scenario | passed | failed | verdict | remark |\n|---|---|---|---|---|\n");
        for (scenario, outcome) in outcomes {
            let (verdict, remark) = match not_applicable.get(scenario) {
                Some(why) => ("not applicable", why.clone()),
                None if outcome.failed > 0 => ("failed", outcome.failures.join("; ")),
                None if outcome.passed == 0 => ("nothing to check", outcome.warnings.join("; ")),
                None => ("passed", outcome.warnings.join("; ")),
            };
            let remark: String = remark.replace(['|', '\n'], " ").chars().take(300).collect();
            let _ = writeln!(
                text,
                "| {scenario} | {} | {} | {verdict} | {remark} |",
                outcome.passed, outcome.failed
            );
        }
    }
    text
}

/// The passed checks that a page shows, by run and scenario.
pub(crate) fn parse_page(text: &str) -> BTreeMap<(String, String), u32> {
    let (mut shown, mut run) = (BTreeMap::new(), String::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## Suite ") {
            run = name.to_owned();
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, scenario, passed, ..] = cells.as_slice()
            && let Ok(passed) = passed.parse()
        {
            shown.insert((run.clone(), (*scenario).to_owned()), passed);
        }
    }
    shown
}
