//! What becomes of a jail when those who watch it die.

use std::{
    fs,
    io::Read as _,
    thread,
    time::{Duration, Instant},
};

use super::{block_on, bombs::nothing_is_left, python, sandbox};

/// The role of a process that runs one jail and is killed meanwhile.
pub(crate) fn starter() {
    let mut jail = python("import sys, time\nprint('x')\ntime.sleep(60)");
    jail.args.push("orphaned-jail".into());
    jail.limits.wall = Duration::from_secs(60);
    let _ = block_on(sandbox().run(jail));
}

/// The jail must be gone within this time; the whole test run shares two processors.
const LATE: Duration = Duration::from_millis(200);

fn processes(mark: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    numbers
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|text| String::from_utf8_lossy(&text).contains(mark))
        })
        .collect()
}

pub(crate) fn until_running(mark: &str) -> u32 {
    let started = Instant::now();
    loop {
        if let Some(pid) = processes(mark).first() {
            return *pid;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{mark} never ran");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_jail_dies_with_a_starter_that_is_killed() {
    let mut took = Vec::new();
    for _ in 0..3 {
        let (starter, mut stream) = crate::start(crate::spawn("jail-starter"));
        until_running("orphaned-jail");
        starter.kill().unwrap();
        took.push(until_gone("orphaned-jail"));
        starter.wait().unwrap();
        nothing_is_left("orphaned-jail");
        let _ = stream.read(&mut [0]);
        if took.iter().any(|time| *time <= LATE) {
            return;
        }
    }
    panic!("the jail lived on for {took:?}");
}

/// How long the processes lived on.
fn until_gone(mark: &str) -> Duration {
    let killed = Instant::now();
    while !processes(mark).is_empty() {
        assert!(killed.elapsed() < Duration::from_secs(10), "the jail lives on");
        thread::sleep(Duration::from_millis(1));
    }
    killed.elapsed()
}

#[test]
fn a_jail_dies_with_a_supervisor_that_is_killed_and_its_groups_are_swept() {
    let mut jail = python("import time\ntime.sleep(60)");
    jail.args.push("unsupervised-jail".into());
    jail.limits.wall = Duration::from_secs(60);
    let sandbox = sandbox();
    let error = block_on(async {
        let run = tokio::spawn(async move { sandbox.run(jail).await });
        let program = tokio::task::spawn_blocking(|| until_running("unsupervised-jail")).await.unwrap();
        let parent = |pid: u32| -> u32 {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
        };
        let supervisor = rustix::process::Pid::from_raw(parent(parent(program)).cast_signed()).unwrap();
        rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
        run.await.unwrap().unwrap_err()
    });
    assert_eq!(error.to_string(), "the jail's supervisor failed: it ended without an answer");
    until_gone("unsupervised-jail");
    // The next start finds the groups and removes them.
    let _ = block_on(countersign_sandbox::self_test(super::launcher(&[])));
    nothing_is_left("unsupervised-jail");
}
