//! Where things are in the workspace, and what cargo says about it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::process;

/// The workspace's root directory, absolute.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The directory that cargo builds into.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// What the steps of this tool install and write, apart from cargo's own output: always under the workspace, kept between runs.
pub(crate) fn work_dir() -> PathBuf {
    root().join("target")
}

/// A command that runs cargo in the workspace.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    // A nested cargo must not inherit what the outer one set for this binary alone.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION", "RUSTUP_TOOLCHAIN_SOURCE"] {
        command.env_remove(name);
    }
    // Where Debian packages are unpacked rather than installed, the linker and the tests find their libraries so.
    if let Some(path) = countersign_testbed::library_path() {
        command.env("LIBRARY_PATH", &path).env("LD_LIBRARY_PATH", path);
    }
    command
}

/// One package as `cargo metadata` describes it.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// `None` for packages of this workspace.
    pub(crate) source: Option<String>,
    /// Normal and build dependencies; development dependencies reach no user and are left out.
    pub(crate) dependencies: Vec<String>,
}

/// The workspace's own packages, without resolving anything.
pub(crate) fn members() -> Result<Vec<Package>> {
    packages(&metadata(&["--no-deps"])?)
}

/// Every package that a build of the workspace on this platform uses, at whatever depth, development dependencies included.
pub(crate) fn all_packages() -> Result<Vec<Package>> {
    packages(&metadata(&["--locked", "--all-features", "--filter-platform", &host()?])?)
}

fn host() -> Result<String> {
    let text = process::capture(Command::new("rustc").arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    Ok(host.to_owned())
}

fn metadata(args: &[&str]) -> Result<Value> {
    let mut command = cargo(&["metadata", "--format-version", "1"]);
    command.args(args);
    serde_json::from_str(&process::capture(&mut command)?).context("cargo metadata printed no JSON")
}

fn packages(metadata: &Value) -> Result<Vec<Package>> {
    let list = metadata.get("packages").and_then(Value::as_array).context("metadata without packages")?;
    Ok(list.iter().map(package).collect())
}

fn package(value: &Value) -> Package {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let dependencies =
        value.get("dependencies").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Package {
        name: text("name").unwrap_or_default(),
        version: text("version").unwrap_or_default(),
        license: text("license"),
        source: text("source"),
        dependencies: dependencies
            .iter()
            .filter(|dep| dep.get("kind").and_then(Value::as_str) != Some("dev"))
            .filter_map(|dep| dep.get("name").and_then(Value::as_str).map(str::to_owned))
            .collect(),
    }
}

/// Every file that is, or would be, under version control; relative to the root, sorted.
pub(crate) fn tracked_files() -> Result<Vec<PathBuf>> {
    let mut command = Command::new("git");
    command.current_dir(root()).args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let mut files: Vec<PathBuf> = process::capture(&mut command)?
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .collect();
    files.retain(|file| root().join(file).is_file());
    files.sort();
    files.dedup();
    if files.is_empty() {
        bail!("git lists no files: run from a checkout");
    }
    Ok(files)
}

/// Whether `file` has the extension `wanted`.
pub(crate) fn has_extension(file: &Path, wanted: &str) -> bool {
    file.extension() == Some(OsStr::new(wanted))
}

/// What a guarded fetch costs beside a plain one. The measurement is an example of the crate that it measures.
pub(crate) fn bench_fetch() -> Result<()> {
    let example =
        ["run", "--quiet", "--release", "--locked", "--package", "countersign-egress", "--example", "cost"];
    process::run(&mut cargo(&example))
}

/// The load test needs optimised code and crates that no other command needs, so it is this package built again with its feature.
#[cfg(not(feature = "bench"))]
pub(crate) fn rerun_bench(args: &[String]) -> Result<()> {
    let mut command =
        cargo(&["run", "--quiet", "--release", "--package", "xtask", "--features", "bench", "--", "bench"]);
    command.args(args);
    process::run(&mut command)
}
