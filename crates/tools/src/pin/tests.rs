//! A pinned program is that program: replaced, rewritten and writable ones are refused.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::Pin;

fn program(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_program_that_was_replaced_does_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tool");
    program(&path, "#!/bin/sh\necho one\n", 0o755);
    let pin = Pin::of(&path).unwrap();
    pin.check().unwrap();
    // The same bytes in another file are the same program.
    let copy = dir.path().join("copy");
    program(&copy, "#!/bin/sh\necho one\n", 0o755);
    fs::rename(&copy, &path).unwrap();
    pin.check().unwrap();
    program(&copy, "#!/bin/sh\necho two\n", 0o755);
    fs::rename(&copy, &path).unwrap();
    assert!(pin.check().is_err(), "another file");
    let pin = Pin::of(&path).unwrap();
    fs::write(&path, "#!/bin/sh\necho six\n").unwrap();
    assert!(pin.check().is_err(), "other bytes in the same file");
    fs::remove_file(&path).unwrap();
    assert!(pin.check().is_err(), "gone");
}

#[test]
fn what_others_can_change_is_no_program() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tool");
    program(&path, "#!/bin/sh\n", 0o777);
    assert!(Pin::of(&path).unwrap_err().contains("changed by others"));
    program(&path, "#!/bin/sh\n", 0o644);
    assert!(Pin::of(&path).unwrap_err().contains("no program"));
    assert!(Pin::of(dir.path()).unwrap_err().contains("no program"));
    assert!(Pin::of(Path::new("tool")).unwrap_err().contains("absolute"));
    assert!(Pin::of(Path::new("/nonexistent")).is_err());
}
