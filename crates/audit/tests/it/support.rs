//! What the tests share: small epochs, waiting without a runtime of one's own, copies of directories.

use countersign_audit::{AppendError, Log, Options, Report, Rotation, VerifyOptions, verify};
use countersign_core::ports::EntryClass;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Options under which epochs are short, so that every test passes through several.
pub(crate) fn short_epochs() -> Options {
    Options { reserve: 0, rotation: Rotation { bytes: 96 * 1024, entries: 600 }, ..Options::default() }
}

pub(crate) fn open(dir: &Path) -> Log {
    Log::open(dir, &short_epochs()).unwrap()
}

/// Appends one entry and waits until it is acknowledged.
pub(crate) fn record(log: &Log, entry: &str) -> Result<(), AppendError> {
    let ticket = log.append(entry.as_bytes(), EntryClass::Closing)?;
    wait(log.durable(ticket))
}

/// Appends `n` entries in batches of a few, with made-up times from `t` on.
pub(crate) fn record_many(log: &Log, name: &str, n: u64) {
    for i in 0..n {
        let entry =
            format!(r#"{{"v":1,"kind":"outcome","call":"{name}-{i}","t":{},"tool":"echo"}}"#, 1_000_000 + i);
        let ticket = log.append(entry.as_bytes(), EntryClass::Closing).unwrap();
        if i % 7 == 0 || i + 1 == n {
            wait(log.durable(ticket)).unwrap();
        }
    }
}

pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn report(dir: &Path) -> Report {
    verify(dir, &VerifyOptions::default()).unwrap()
}

pub(crate) fn assert_verifies(dir: &Path) {
    let report = report(dir);
    assert!(report.ok(), "{report}");
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// All files below `dir`, sorted.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// A command that runs one test of this binary in a process of its own, with `ROLE` set to `dir`.
pub(crate) fn this_test_as(role: &str, dir: &Path, wrapper: &[&str]) -> Command {
    let me = std::env::current_exe().unwrap();
    let program = wrapper.first().map_or_else(|| me.clone(), PathBuf::from);
    #[allow(clippy::disallowed_methods, reason = "a test of a crash needs a process to kill")]
    let mut command = Command::new(program);
    if let Some(rest) = wrapper.get(1..) {
        command.args(rest).arg(&me);
    }
    command
        .args(["--exact", role, "--nocapture", "--test-threads=1"])
        .env("AUDIT_TEST_ROLE", role)
        .env("AUDIT_TEST_DIR", dir);
    command
}

/// The directory to work in, when this process was started by [`this_test_as`] for `role`.
#[allow(clippy::disallowed_methods, reason = "how a test process is told its role")]
pub(crate) fn role(role: &str) -> Option<PathBuf> {
    (std::env::var("AUDIT_TEST_ROLE").ok()? == role)
        .then(|| std::env::var_os("AUDIT_TEST_DIR").map(PathBuf::from))?
}
