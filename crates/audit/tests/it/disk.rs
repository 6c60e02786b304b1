//! Full and read-only disks: real ones, mounted in a mount namespace of their own, so that the tests need no clean-up and
//! work for root (whom permissions do not stop) and for others (through a user namespace).

use crate::support::{assert_verifies, record, role, this_test_as};
use countersign_audit::{AppendError, Log, OpenError, Options};
use countersign_core::ports::EntryClass;
use std::path::Path;
use std::process::Command;

fn in_mount_namespace(test: &str) {
    let dir = tempfile::tempdir().unwrap();
    let wrapper: &[&str] = if rustix::process::getuid().is_root() {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--user", "--map-root-user", "--mount"]
    };
    let output = this_test_as(test, dir.path(), wrapper).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("CHECKED"), "the test did not reach its end: {text}");
}

fn mount(arguments: &[&str], target: &Path) {
    #[allow(clippy::disallowed_methods, reason = "a real mount is what is tested against")]
    let status = Command::new("mount").args(arguments).arg(target).status().unwrap();
    assert!(status.success(), "mount {arguments:?}");
}

#[test]
fn a_full_disk_refuses_and_says_so() {
    let Some(dir) = role("disk::a_full_disk_refuses_and_says_so") else {
        return in_mount_namespace("disk::a_full_disk_refuses_and_says_so");
    };
    mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], &dir);
    let log = Log::open(&dir, &Options { reserve: 0, ..Options::default() }).unwrap();
    let padding = "x".repeat(4000);
    let mut kept = 0;
    let refused = loop {
        match record(&log, &format!(r#"{{"padding":"{padding}","i":{kept}}}"#)) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 1000, "the disk never fills");
    };
    assert!(kept > 10, "{refused}");
    assert!(refused.to_string().contains("No space left on device"), "{refused}");
    assert!(refused.to_string().starts_with("audit unavailable"), "{refused}");
    // For good, intents and outcomes alike.
    assert!(matches!(log.append(b"{}", EntryClass::Intent), Err(AppendError::Poisoned(_))));
    assert!(matches!(log.append(b"{}", EntryClass::Closing), Err(AppendError::Poisoned(_))));
    assert!(log.close().is_err());
    drop(log);

    // Everything acknowledged is there, even without room to work.
    assert_verifies(&dir);
    let entries = countersign_audit::read(&dir)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().bytes.starts_with(b"{\"padding\""));
    assert!(entries.count() >= kept);
    println!("CHECKED");
}

#[test]
fn the_reserve_refuses_new_work_and_lets_running_work_end() {
    let Some(dir) = role("disk::the_reserve_refuses_new_work_and_lets_running_work_end") else {
        return in_mount_namespace("disk::the_reserve_refuses_new_work_and_lets_running_work_end");
    };
    mount(&["-t", "tmpfs", "-o", "size=32m", "tmpfs"], &dir);
    let log = Log::open(&dir, &Options { reserve: 16 << 20, ..Options::default() }).unwrap();
    log.append(b"{}", EntryClass::Intent).unwrap();
    let filler = dir.join("filler");
    std::fs::write(&filler, vec![1u8; 20 << 20]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let refused = log.append(b"{}", EntryClass::Intent).unwrap_err();
    assert!(matches!(refused, AppendError::DiskReserve { .. }), "{refused}");
    assert!(refused.to_string().contains("below the reserve of 16777216"), "{refused}");
    record(&log, r#"{"outcome":true}"#).unwrap();
    // With room again, work goes on.
    std::fs::remove_file(&filler).unwrap();
    log.append(b"{}", EntryClass::Intent).unwrap();
    log.close().unwrap();
    assert_verifies(&dir);
    println!("CHECKED");
}

#[test]
fn a_read_only_log_refuses_to_open_and_says_so() {
    let Some(dir) = role("disk::a_read_only_log_refuses_to_open_and_says_so") else {
        return in_mount_namespace("disk::a_read_only_log_refuses_to_open_and_says_so");
    };
    let log = Log::open(&dir, &Options { reserve: 0, ..Options::default() }).unwrap();
    record(&log, "{}").unwrap();
    log.close().unwrap();
    drop(log);
    let path = dir.to_str().unwrap().to_owned();
    mount(&["--bind", &path], &dir);
    mount(&["-o", "remount,ro,bind"], &dir);
    let Err(refused) = Log::open(&dir, &Options::default()) else { panic!("it opened") };
    assert!(matches!(refused, OpenError::File(_)), "{refused}");
    assert!(refused.to_string().contains("Read-only file system"), "{refused}");
    // Verifying needs no writing.
    assert_verifies(&dir);
    println!("CHECKED");
}
