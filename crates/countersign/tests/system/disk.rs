//! A full disk and a read-only log refuse calls and say so. The tests mount real file systems, in a mount namespace of their own.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::world::*;

/// Runs one test of this binary again as root of a new user and mount namespace.
fn in_namespace(test: &str) {
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("COUNTERSIGN_MOUNTS", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn inside() -> bool {
    std::env::var_os("COUNTERSIGN_MOUNTS").is_some()
}

fn mount(args: &[&str], at: &Path) {
    assert!(Command::new("mount").args(args).arg(at).status().unwrap().success(), "mount {args:?}");
}

#[test]
fn a_full_disk_refuses_calls_and_says_so() {
    if !inside() {
        return in_namespace("disk::a_full_disk_refuses_calls_and_says_so");
    }
    let disk = tempfile::tempdir().unwrap();
    mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], disk.path());
    let world = World::new(Shape { audit: Some(disk.path().join("audit")), ..Shape::default() });
    let server = world.start();
    let mut refused = None;
    if ready(&world) {
        let mut client = world.client(&world.ann);
        for _ in 0..20_000 {
            let result = client.query("SELECT 1");
            if result["isError"] == true {
                refused = Some(text_of(&result));
                break;
            }
        }
        let refused = refused.expect("a megabyte is full after so many calls");
        assert!(refused.contains("audit log is unavailable; nothing was executed"), "{refused}");
        let again = text_of(&client.query("SELECT 1"));
        assert!(again.contains("audit log is unavailable"), "{again}");
    } else {
        let log = std::fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
        assert!(log.contains("audit"), "{log}");
    }
    drop(server);
}

#[test]
fn the_disk_reserve_refuses_calls_before_the_disk_is_full() {
    if !inside() {
        return in_namespace("disk::the_disk_reserve_refuses_calls_before_the_disk_is_full");
    }
    let disk = tempfile::tempdir().unwrap();
    mount(&["-t", "tmpfs", "-o", "size=32m", "tmpfs"], disk.path());
    let world = World::new(Shape {
        audit: Some(disk.path().join("audit")),
        audit_settings: "reserve = \"8 MiB\"".into(),
        ..Shape::default()
    });
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    assert_ne!(client.query("SELECT 1")["isError"], true);
    std::fs::write(disk.path().join("other"), vec![1; 22 << 20]).unwrap_or_default();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let refused = text_of(&client.query("SELECT 1"));
    assert!(refused.contains("audit log is unavailable"), "{refused}");
    std::fs::remove_file(disk.path().join("other")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_ne!(client.query("SELECT 1")["isError"], true, "the reserve is free again");
}

#[test]
fn a_read_only_log_refuses_to_start_and_says_so() {
    if !inside() {
        return in_namespace("disk::a_read_only_log_refuses_to_start_and_says_so");
    }
    let world = World::new(Shape::default());
    let server = world.serve();
    server.stop();
    mount(&["--bind", world.audit().to_str().unwrap()], &world.audit());
    mount(&["-o", "remount,ro,bind"], &world.audit());
    let mut server = world.start();
    let status = server.child.wait().unwrap();
    assert!(!status.success());
    let log = std::fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
    assert!(log.contains("audit log") && log.to_lowercase().contains("read-only"), "{log}");
}

fn ready(world: &World) -> bool {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while std::time::Instant::now() < end {
        if world.is_ready() {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    false
}
