//! `cargo xtask test`: everything that must hold before a change is taken, in the order in which it fails fastest.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::e2e::{self, Checks};
use crate::{conformance, deny, mutate, process, setup, tidy, workspace};

/// Checks passed and failed in one step.
#[derive(Clone, Copy, Default)]
struct Count {
    passed: u32,
    failed: u32,
}

impl Count {
    const ONE: Self = Self { passed: 1, failed: 0 };
}

impl From<Checks> for Count {
    fn from(checks: Checks) -> Self {
        Self { passed: checks.passed, failed: checks.failed }
    }
}

type Step = fn() -> Result<Count>;

const STEPS: &[(&str, &str, Step)] = &[
    ("fmt", "formatting", fmt),
    ("tidy", "house rules", || tidy::main().map(|()| Count::ONE)),
    ("setup", "databases, Node.js, suites, Python environment", || setup::all().map(|()| Count::ONE)),
    ("deny", "licences, sources, bans", || deny::main().map(|()| Count::ONE)),
    ("clippy", "lints, warnings are errors", clippy),
    ("unit", "unit and integration tests", unit),
    ("doc", "documentation tests, compile-fail tests", doc),
    ("mutations", "every listed mutation still applies", || {
        mutate::main(&["--check".to_owned()]).map(|()| Count::ONE)
    }),
    ("build", "release binary", || release_binary().map(|_| Count::ONE)),
    ("quickstart", "the README's first command", || {
        e2e::quickstart::check(&release_binary()?).map(Count::from)
    }),
    ("pg-simple", "the move from pg-simple-mcp, on a real PostgreSQL", || {
        e2e::pg_simple::check(&release_binary()?).map(Count::from)
    }),
    ("oauth", "tokens of a real authorization server, and attacks with them", || {
        e2e::oauth::check(&release_binary()?).map(Count::from)
    }),
    ("fixtures", "binary with fixture tools", || fixtures_binary().map(|_| Count::ONE)),
    ("conformance", "official MCP conformance suites", conform),
    ("inspector", "MCP Inspector as a client", || {
        e2e::inspector::check(&fixtures_binary()?).map(Count::from)
    }),
];

/// Runs the chosen steps, every one of them even when another fails, and prints a table and the totals.
pub(crate) fn main(args: &[String]) -> Result<()> {
    if args.iter().any(|arg| arg == "--list") {
        for (name, what, _) in STEPS {
            println!("{name:<12} {what}");
        }
        return Ok(());
    }
    let mut rows = Vec::new();
    for (name, what, step) in chosen(args)? {
        println!("\n=== {name}: {what}");
        let start = Instant::now();
        let outcome = step();
        if let Err(error) = &outcome {
            println!("error: {error:#}");
        }
        // A step that could not finish is one failure at least.
        let count = outcome.unwrap_or(Count { passed: 0, failed: 1 });
        println!("=== {name}: {:.1} s", start.elapsed().as_secs_f64());
        rows.push((name, count, start.elapsed()));
    }
    report(&rows)
}

fn report(rows: &[(&str, Count, Duration)]) -> Result<()> {
    println!("\n{:<12} {:>8} {:>8} {:>8}", "step", "passed", "failed", "s");
    for (name, count, took) in rows {
        println!("{name:<12} {:>8} {:>8} {:>8.1}", count.passed, count.failed, took.as_secs_f64());
    }
    let total: Duration = rows.iter().map(|(_, _, took)| *took).sum();
    let (passed, failed): (u32, u32) =
        (rows.iter().map(|row| row.1.passed).sum(), rows.iter().map(|row| row.1.failed).sum());
    println!("{:<12} {passed:>8} {failed:>8} {:>8.1}\n", "all", total.as_secs_f64());
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        bail!("{failed} failed");
    }
    Ok(())
}

fn chosen(args: &[String]) -> Result<Vec<(&'static str, &'static str, Step)>> {
    let known = |name: &str| {
        STEPS
            .iter()
            .position(|(step, _, _)| *step == name)
            .with_context(|| format!("no step `{name}`: see `--list`"))
    };
    let mut steps: Vec<(&'static str, &'static str, Step)> = STEPS.to_vec();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let value = args.next().with_context(|| format!("`{arg}` needs a value"))?;
        match arg.as_str() {
            "--from" => {
                let first = known(value)?;
                steps = STEPS.iter().skip(first).copied().collect();
            }
            "--only" => {
                let names: Vec<&str> = value.split(',').collect();
                for name in &names {
                    known(name)?;
                }
                steps.retain(|(name, _, _)| names.contains(name));
            }
            other => bail!("unknown option `{other}`: known are --only, --from, --list"),
        }
    }
    Ok(steps)
}

fn fmt() -> Result<Count> {
    process::run(&mut workspace::cargo(&["fmt", "--all", "--check"]))?;
    Ok(Count::ONE)
}

fn clippy() -> Result<Count> {
    process::run(&mut workspace::cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    Ok(Count::ONE)
}

/// One set for all tests, so that nothing is built twice.
const FEATURES: &str = "xtask/bench,countersign/prove,countersign/container,countersign-sandbox/container,countersign-sql/odbc,countersign-tools/odbc,countersign/odbc";

fn unit() -> Result<Count> {
    let nextest = process::exists("cargo-nextest");
    let mut command =
        workspace::cargo(if nextest { &["nextest", "run"] } else { &["test", "--all-targets"] });
    command.args(["--workspace", "--features", FEATURES, "--locked", "--no-fail-fast", "--color", "never"]);
    let (ok, text) = process::tee(&mut command)?;
    counted(if nextest { nextest_summary(&text) } else { libtest_summary(&text) }, ok, "unit tests")
}

fn doc() -> Result<Count> {
    let (ok, text) = process::tee(&mut workspace::cargo(&[
        "test",
        "--workspace",
        "--features",
        FEATURES,
        "--locked",
        "--doc",
        "--no-fail-fast",
        "--color",
        "never",
    ]))?;
    counted(libtest_summary(&text), ok, "documentation tests")
}

/// A runner that failed without a failed test (it did not compile) is one failure; one that ran nothing proves nothing.
fn counted(count: Count, ok: bool, what: &str) -> Result<Count> {
    match (ok, count) {
        (true, Count { passed: 0, .. }) => bail!("no {what} ran"),
        (false, Count { failed: 0, .. }) => bail!("the {what} did not run to the end"),
        _ => Ok(count),
    }
}

/// Adds up `test result: ok. 3 passed; 0 failed; …` lines.
fn libtest_summary(text: &str) -> Count {
    let mut count = Count::default();
    for line in text.lines().filter(|line| line.starts_with("test result: ")) {
        count.passed += number_before(line, " passed");
        count.failed += number_before(line, " failed");
    }
    count
}

/// Reads `Summary [ 1.2s] 40 tests run: 39 passed (1 slow), 1 failed, 0 skipped`.
fn nextest_summary(text: &str) -> Count {
    let line = text.lines().rev().find(|line| line.trim_start().starts_with("Summary [")).unwrap_or_default();
    Count {
        passed: number_before(line, " passed"),
        failed: number_before(line, " failed") + number_before(line, " timed out"),
    }
}

fn number_before(line: &str, word: &str) -> u32 {
    let before = line.split(word).next().filter(|_| line.contains(word)).unwrap_or_default();
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn conform() -> Result<Count> {
    let totals = conformance::check(&fixtures_binary()?)?;
    Ok(Count { passed: totals.passed, failed: totals.failed })
}

/// Builds the binary that users get.
pub(crate) fn release_binary() -> Result<PathBuf> {
    process::run(&mut workspace::cargo(&[
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "countersign",
    ]))?;
    Ok(workspace::target_dir().join("release/countersign"))
}

/// Builds the binary with fixture tools, which no user gets, and moves it out of the way of the ordinary one.
pub(crate) fn fixtures_binary() -> Result<PathBuf> {
    process::run(&mut workspace::cargo(&[
        "build",
        "--quiet",
        "--locked",
        "--package",
        "countersign",
        "--features",
        "fixtures",
    ]))?;
    let to = workspace::work_dir().join("e2e/bin/countersign");
    if let Some(dir) = to.parent() {
        std::fs::create_dir_all(dir)?;
    }
    copy_program(&workspace::target_dir().join("debug/countersign"), &to)?;
    Ok(to)
}

/// Copies a program beside its place and renames it, since a program that runs cannot be written to.
fn copy_program(from: &Path, to: &Path) -> Result<()> {
    let beside = to.with_extension("new");
    std::fs::copy(from, &beside).with_context(|| format!("cannot copy {}", from.display()))?;
    std::fs::rename(&beside, to)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{libtest_summary, nextest_summary};

    #[test]
    fn reads_what_the_runners_print() {
        let libtest = libtest_summary(
            "test result: ok. 3 passed; 0 failed; 0 ignored\nx\ntest result: FAILED. 1 passed; 2 failed; 0 ignored",
        );
        assert_eq!((libtest.passed, libtest.failed), (4, 2));
        let nextest = nextest_summary(
            "     Summary [   0.012s] 40 tests run: 38 passed (1 slow), 1 failed, 1 timed out, 0 skipped",
        );
        assert_eq!((nextest.passed, nextest.failed), (38, 2));
    }
}
