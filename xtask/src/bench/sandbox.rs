//! What a jail costs: the start of Python bare, in the jail, and in a container, in turns on one machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use countersign_sandbox::{Collect, Jail, Launcher, Sandbox, Status, View, self_test};

use super::figures::median;
use crate::{process, workspace};

const PYTHON: &str = "/usr/bin/python3";
const SCRIPT: &str = "print(1)";
const IMAGE: &str = "localhost/python:bench";
const RUNS: usize = 41;
/// A container takes so long that fewer runs tell as much.
const CONTAINER_RUNS: usize = 5;
/// The goal: a jailed start against a bare one.
const GOAL: f64 = 3.0;

/// Prints medians and fails if the jail costs more than it may.
pub(super) fn main(args: &[String]) -> Result<()> {
    let value = |name: &str| args.iter().skip_while(|arg| *arg != name).nth(1);
    let runs = value("--runs").map(|runs| runs.parse()).transpose()?.unwrap_or(RUNS);
    let binary = match value("--binary") {
        Some(binary) => PathBuf::from(binary).canonicalize()?,
        None => crate::test::release_binary()?,
    };
    let python = std::fs::canonicalize(PYTHON).context("Debian's python3 is missing: cargo xtask setup")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(self_test(Launcher { program: binary, args: vec!["__jail".into()] }));
    println!("grade: {}", report.grade);
    report.findings.iter().for_each(|finding| println!("  {finding}"));
    let Some(sandbox) = report.sandbox() else { bail!("no jail holds on this machine") };

    let (mut bare, mut jailed) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        bare.push(milliseconds(|| start_bare(&python))?);
        jailed.push(milliseconds(|| runtime.block_on(start_jailed(&sandbox, &python)))?);
    }
    let (bare, jailed) = (median(&mut bare), median(&mut jailed));
    println!("\n| start of Python | median ms | times bare |\n|---|---|---|");
    let row = |name: &str, time: f64| println!("| {name} | {time:.1} | {:.2} |", time / bare);
    row("bare", bare);
    row("in the jail", jailed);
    match container() {
        Ok(time) => row("podman run", time),
        Err(error) => println!("| podman run | {error:#} | |"),
    }
    if jailed > GOAL * bare {
        bail!("a jailed start takes {:.2} times a bare one, more than {GOAL}", jailed / bare);
    }
    Ok(())
}

fn milliseconds(run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

fn start_bare(python: &Path) -> Result<()> {
    process::capture(Command::new(python).args(["-I", "-B", "-c", SCRIPT]).stdin(Stdio::null())).map(drop)
}

async fn start_jailed(sandbox: &Sandbox, python: &Path) -> Result<()> {
    let mut jail = Jail::new(python);
    jail.args = ["-I", "-B", "-c", SCRIPT].map(Into::into).to_vec();
    jail.view = View::system();
    jail.limits.cpu_percent = 100;
    jail.limits.wall = Duration::from_secs(30);
    jail.collect = Collect::nothing();
    let finished = sandbox.run(jail).await?;
    if finished.status != Status::Exit(0) || finished.stdout.head != b"1\n" {
        bail!("the jailed program ended wrongly: {finished:?}");
    }
    Ok(())
}

/// The same script with Podman's command and the limits of a jail, from an image of this machine's Python.
fn container() -> Result<f64> {
    let script = workspace::root().join("crates/sandbox/tests/image.sh");
    process::run(Command::new(script).args([IMAGE, "podman", "--runtime", "runc"]))?;
    let python = std::fs::canonicalize(PYTHON)?;
    let mut times = Vec::new();
    for _ in 0..CONTAINER_RUNS {
        let mut command = Command::new("podman");
        command.args(["--runtime", "runc", "run", "--rm", "--network", "none", "--read-only"]);
        command.args([
            "--memory",
            "256m",
            "--memory-swap",
            "256m",
            "--pids-limit",
            "17",
            "--cap-drop",
            "ALL",
        ]);
        command.args([
            "--security-opt",
            "no-new-privileges",
            "--user",
            "65534:65534",
            "--log-driver",
            "none",
        ]);
        command.args(["--ulimit", "nofile=64:64", "--ulimit", "nproc=64:64", IMAGE]);
        command.arg(&python).args(["-I", "-B", "-c", SCRIPT]);
        times.push(milliseconds(|| process::capture(&mut command).map(drop))?);
    }
    Ok(median(&mut times))
}
