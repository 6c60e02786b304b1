//! Debian packages: installed with apt as root, unpacked under `target/debs/root` as anybody else. The test bed finds them either way.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{process, workspace};

/// PostgreSQL, the ODBC drivers, and what the ODBC engine is built with. An error names what could not be had.
pub(crate) fn databases() -> Result<()> {
    let missing = countersign_testbed::missing_packages();
    if missing.is_empty() {
        return Ok(());
    }
    println!("missing: {}", missing.join(", "));
    if is_root() {
        install(&missing)?;
    } else {
        for package in not_installed(&missing)? {
            unpack(&package)?;
        }
    }
    let missing = countersign_testbed::missing_packages();
    if !missing.is_empty() {
        bail!("could neither install nor unpack {}: apt-get install them as root", missing.join(", "));
    }
    Ok(())
}

/// Installs packages, as root.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    process::run(Command::new("apt-get").args(["update", "-q"]))?;
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "-q", "-y", "--no-install-recommends"])
        .args(packages);
    process::run(&mut command)
}

/// Downloads a package and unpacks it without installing it; returns the folder that stands for `/`.
pub(crate) fn unpack(package: &str) -> Result<PathBuf> {
    let dir = workspace::work_dir().join("debs");
    std::fs::create_dir_all(&dir)?;
    process::run(Command::new("apt-get").current_dir(&dir).args(["download", "-q", package]))?;
    let deb = std::fs::read_dir(&dir)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{package}_")))
        })
        .with_context(|| format!("apt-get downloaded no {package}"))?;
    let root = dir.join("root");
    process::run(Command::new("dpkg").arg("-x").arg(deb).arg(&root))?;
    Ok(root)
}

pub(crate) fn is_root() -> bool {
    process::capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// The packages and what they depend on, as far as this machine lacks them: apt works it out without doing it, for which it needs no
/// rights.
fn not_installed(packages: &[&str]) -> Result<Vec<String>> {
    let mut command = Command::new("apt-get");
    command.args(["install", "--simulate", "--no-install-recommends"]).args(packages);
    let planned = process::capture(&mut command)?;
    let names = planned.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}
