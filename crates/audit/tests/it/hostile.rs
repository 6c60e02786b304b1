//! A log directory that was made to hang, exhaust or mislead whoever checks it: names, sizes and kinds of files that no log has.

use crate::support::{copy_dir, open, record_many};
use countersign_audit::tlog::{Checkpoint, Signer};
use countersign_audit::{Log, OpenError, Options, Report, VerifyOptions, verify};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// One slot: a complete epoch and an open one.
fn log() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    record_many(&log, "call", 700);
    log.close().unwrap();
    drop(log);
    assert!(dir.path().join("slot-000/epoch-000002/wal").exists());
    dir
}

/// What verification says; that it ends is part of what is tested.
fn verified(dir: &Path) -> Result<Report, OpenError> {
    let (send, receive) = mpsc::channel();
    let dir = dir.to_owned();
    std::thread::spawn(move || send.send(verify(&dir, &VerifyOptions::default())).is_ok());
    receive.recv_timeout(Duration::from_secs(60)).unwrap()
}

fn assert_noticed(dir: &Path, what: &str) {
    if let Ok(report) = verified(dir) {
        assert!(!report.ok(), "not noticed: {what}");
        assert!(report.problems.len() < 300, "{what}: {} problems", report.problems.len());
    }
}

#[test]
fn gaps_in_names_are_told_in_few_words() {
    let dir = log();
    fs::create_dir(dir.path().join("slot-000/epoch-1000000")).unwrap();
    assert_noticed(dir.path(), "an epoch far away");
    let dir = log();
    fs::create_dir(dir.path().join("slot-1000000")).unwrap();
    assert_noticed(dir.path(), "a slot far away");
}

#[test]
fn the_last_numbers_end_the_search() {
    let dir = log();
    fs::create_dir(dir.path().join("slot-000/epoch-4294967295")).unwrap();
    fs::create_dir(dir.path().join("slot-4294967295")).unwrap();
    fs::write(dir.path().join("heads/slot-4294967295"), "x").unwrap();
    assert_noticed(dir.path(), "the last epoch and the last slot");
}

#[test]
fn other_spellings_of_a_number_are_other_names() {
    let dir = log();
    for name in ["slot-1", "slot-+2", "slot-0003", "slot-000/epoch-3", "slot-000/epoch-+00004"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let report = verified(dir.path()).unwrap();
    assert!(report.ok() && report.notices.is_empty(), "{report}");
}

#[test]
fn a_slot_that_holds_nothing_is_told() {
    let dir = log();
    fs::create_dir(dir.path().join("slot-001")).unwrap();
    let report = verified(dir.path()).unwrap();
    assert!(report.ok() && report.notices.len() == 1, "{report}");
}

#[test]
fn what_is_no_file_of_a_log_is_not_read() {
    for name in [
        "vkey",
        "heads/slot-000",
        "slot-000/epoch-000001/checkpoint",
        "slot-000/epoch-000001/tile/0/000",
        "slot-000/epoch-000001/tile/entries/000",
        "slot-000/epoch-000002/wal",
    ] {
        let sound = log();
        let replaced = |replace: fn(&Path)| {
            let dir = tempfile::tempdir().unwrap();
            copy_dir(sound.path(), dir.path());
            let path = dir.path().join(name);
            fs::remove_file(&path).unwrap();
            replace(&path);
            assert_noticed(dir.path(), name);
            if !name.contains("epoch-000001") {
                let opened = Log::open(dir.path(), &Options { reserve: 0, ..Options::default() });
                assert!(opened.is_err(), "{name}");
            }
        };
        replaced(|path| symlink("/dev/zero", path).unwrap());
        replaced(|path| mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap());
        replaced(|path| fs::create_dir(path).unwrap());
        // As long as it can be, and nearly nothing on the disk.
        replaced(|path| fs::File::create(path).unwrap().set_len(1 << 42).unwrap());
    }
}

#[test]
fn a_checkpoint_that_claims_too_much_is_refused_soon() {
    let dir = log();
    let key = fs::read_to_string(dir.path().join("keys/log.key")).unwrap();
    let signer = Signer::parse(key.trim_end()).unwrap();
    let origin = format!("{}/slot-000/epoch-000001", signer.verifier().name());
    for size in [1 << 20, 1 << 60, u64::MAX] {
        let claim = Checkpoint { origin: origin.clone(), size, root: [7; 32] }.sign(&signer).unwrap();
        fs::write(dir.path().join("slot-000/epoch-000001/checkpoint"), claim).unwrap();
        assert_noticed(dir.path(), "a size that nothing has");
    }
}

/// It would begin again without a link to what was before.
#[test]
fn a_slot_does_not_go_on_behind_an_epoch_that_was_never_there() {
    let dir = log();
    fs::create_dir(dir.path().join("slot-000/epoch-000099")).unwrap();
    fs::write(dir.path().join("slot-000/epoch-000099/wal"), "").unwrap();
    let opened = Log::open(dir.path(), &Options { reserve: 0, ..Options::default() });
    assert!(matches!(opened, Err(OpenError::Damaged { .. })));
}
