//! Proof that a test watches a control: take the control away, and the test must fail.
//!
//! `xtask/mutations.toml` lists the controls. Each mutation is applied to a copy of the source under `target/mutate`, never to the
//! checkout, and the named test runs there. A mutation that does not compile proves nothing and counts as an error, as does a test
//! that fails without any mutation.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use toml::Value;

use crate::{process, workspace};

const LIST: &str = "xtask/mutations.toml";
/// Seconds that a build or a test may take.
const TEST_LIMIT: &str = "1800";

/// A control that can be taken away.
#[derive(Debug)]
pub(crate) struct Mutation {
    pub(crate) id: String,
    /// The requirements that the control serves.
    pub(crate) requirements: Vec<String>,
    /// Relative to the workspace's root.
    file: String,
    /// Must occur exactly once in the file.
    find: String,
    replace: String,
    /// `package` or `package::filter`, the package with `+feature` if its test needs one: arguments of the test runner.
    test: String,
}

enum Verdict {
    Killed,
    Survived,
    Broken(String),
}

/// Reads the list; every entry is checked for its fields, and ids for being unique.
pub(crate) fn load() -> Result<Vec<Mutation>> {
    let path = workspace::root().join(LIST);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let table: toml::Table = text.parse().with_context(|| format!("{LIST} is not TOML"))?;
    let entries = table.get("mutation").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mutations: Vec<Mutation> = entries.iter().map(parse).collect::<Result<_>>()?;
    for (index, mutation) in mutations.iter().enumerate() {
        if mutations.iter().skip(index + 1).any(|other| other.id == mutation.id) {
            bail!("{LIST}: mutation {} is listed twice", mutation.id);
        }
    }
    Ok(mutations)
}

fn parse(entry: &Value) -> Result<Mutation> {
    let text = |name: &str| {
        let found = entry.get(name).and_then(Value::as_str).map(str::to_owned);
        found.with_context(|| format!("{LIST}: an entry lacks the text `{name}`: {entry}"))
    };
    let requirements = match entry.get("requirement") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => bail!("{LIST}: an entry lacks `requirement`: {entry}"),
    };
    Ok(Mutation {
        id: text("id")?,
        requirements,
        file: text("file")?,
        find: text("find")?,
        replace: text("replace")?,
        test: text("test")?,
    })
}

/// `cargo xtask mutate`: one mutation by its id or its requirement, all of them, or only a check that each still applies.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let mutations = load()?;
    for mutation in &mutations {
        mutation.apply(&workspace::root())?;
    }
    let chosen: Vec<&Mutation> = match args.first().map(String::as_str) {
        Some("--check") => {
            println!("{} mutations apply", mutations.len());
            return Ok(());
        }
        Some("--all") => mutations.iter().collect(),
        Some(id) => mutations
            .iter()
            .filter(|known| known.id == id || known.requirements.iter().any(|one| one == id))
            .collect(),
        None => bail!("name a mutation, a requirement, `--all` or `--check`; known are {}", ids(&mutations)),
    };
    if chosen.is_empty() {
        bail!("no such mutation; known are {}", ids(&mutations));
    }
    let copy = copy_source()?;
    let healthy = healthy_tests(&chosen, &copy)?;
    let mut rows = Vec::new();
    for mutation in chosen {
        let start = Instant::now();
        let verdict = if healthy.contains(&mutation.test.as_str()) {
            try_one(mutation, &copy)?
        } else {
            Verdict::Broken("the test fails, or does not compile, without the mutation".to_owned())
        };
        rows.push((mutation, verdict, start.elapsed()));
    }
    println!("\n{:<28} {:<12} {:<10} {:>6}  test", "mutation", "requirement", "verdict", "s");
    let mut bad = 0_u32;
    for (mutation, verdict, took) in &rows {
        let shown = match verdict {
            Verdict::Killed => "killed".to_owned(),
            Verdict::Survived => "SURVIVED".to_owned(),
            Verdict::Broken(why) => format!("ERROR {why}"),
        };
        bad += u32::from(!matches!(verdict, Verdict::Killed));
        println!(
            "{:<28} {:<12} {shown:<10} {:>6.1}  {}",
            mutation.id,
            mutation.requirements.join(","),
            took.as_secs_f64(),
            mutation.test
        );
    }
    if bad > 0 {
        bail!("{bad} of {} mutations were not noticed", rows.len());
    }
    println!("{} of {} mutations noticed", rows.len(), rows.len());
    Ok(())
}

fn ids(mutations: &[Mutation]) -> String {
    mutations.iter().map(|mutation| mutation.id.as_str()).collect::<Vec<_>>().join(", ")
}

impl Mutation {
    /// The mutated text of the file, or why it cannot be mutated.
    fn apply(&self, root: &Path) -> Result<(PathBuf, String, String)> {
        let path = root.join(&self.file);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("mutation {}: cannot read {}", self.id, self.file))?;
        let count = text.matches(&self.find).count();
        if count != 1 {
            bail!("mutation {}: its text occurs {count} times in {}, not once", self.id, self.file);
        }
        let mutated = text.replace(&self.find, &self.replace);
        if mutated == text {
            bail!("mutation {} changes nothing", self.id);
        }
        Ok((path, text, mutated))
    }
}

/// The tests that pass while nothing is mutated: only their failure means anything.
fn healthy_tests<'a>(mutations: &[&'a Mutation], copy: &Path) -> Result<Vec<&'a str>> {
    let mut tests: Vec<&str> = mutations.iter().map(|mutation| mutation.test.as_str()).collect();
    tests.sort_unstable();
    tests.dedup();
    let mut healthy = Vec::new();
    for name in tests {
        println!("\n== {name}, nothing mutated");
        if test(name, copy, false)? {
            healthy.push(name);
        }
    }
    Ok(healthy)
}

fn try_one(mutation: &Mutation, copy: &Path) -> Result<Verdict> {
    println!("\n== {}: {}", mutation.id, mutation.file);
    let (path, original, mutated) = mutation.apply(copy)?;
    std::fs::write(&path, mutated)?;
    let compiled = test(&mutation.test, copy, true);
    let passed = if matches!(compiled, Ok(true)) { test(&mutation.test, copy, false) } else { Ok(false) };
    std::fs::write(&path, original)?;
    Ok(match (compiled?, passed?) {
        (false, _) => Verdict::Broken("does not compile with the mutation".to_owned()),
        (true, true) => Verdict::Survived,
        (true, false) => Verdict::Killed,
    })
}

/// Runs a test in the copy, or only builds it. A test that hangs has noticed that something is wrong as well.
fn test(name: &str, copy: &Path, build_only: bool) -> Result<bool> {
    let (package, filter) =
        name.split_once("::").map_or((name, None), |(package, filter)| (package, Some(filter)));
    let (package, feature) =
        package.split_once('+').map_or((package, None), |(package, feature)| (package, Some(feature)));
    let cargo = workspace::cargo(&[]);
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", TEST_LIMIT]).arg(cargo.get_program()).args([
        "test",
        "--package",
        package,
    ]);
    command.current_dir(copy).env("CARGO_TARGET_DIR", workspace::work_dir().join("mutate/target"));
    if let Some(feature) = feature {
        command.args(["--features", feature]);
    }
    command.args(if build_only { &["--quiet", "--no-run"][..] } else { &["--quiet"] });
    if let Some(filter) = filter.filter(|_| !build_only) {
        command.args(["--", filter]);
    }
    let (passed, text) = process::tee(&mut command)?;
    let ran =
        text.lines().filter_map(|line| line.strip_prefix("running ")).any(|rest| !rest.starts_with("0 "));
    if passed && !build_only && !ran {
        bail!("no test matches `{name}`");
    }
    Ok(passed)
}

/// Copies every tracked file whose text differs, and removes files that are gone, so that cargo rebuilds only what changed.
fn copy_source() -> Result<PathBuf> {
    let copy = workspace::work_dir().join("mutate/source");
    let files = workspace::tracked_files()?;
    for file in &files {
        let (from, to) = (workspace::root().join(file), copy.join(file));
        let bytes = std::fs::read(&from)?;
        if std::fs::read(&to).is_ok_and(|existing| existing == bytes) {
            continue;
        }
        if let Some(dir) = to.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(&to, bytes).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    remove_others(&copy, &copy, &files)?;
    Ok(copy)
}

fn remove_others(copy: &Path, dir: &Path, files: &[PathBuf]) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(copy, &path, files)?;
        } else if path.strip_prefix(copy).is_ok_and(|name| !files.iter().any(|file| file == name)) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}
