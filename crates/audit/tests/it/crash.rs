//! Processes that die under load: what they acknowledged is there.

use crate::support::{assert_verifies, open, role, short_epochs, this_test_as, wait};
use countersign_audit::{Log, read};
use countersign_core::ports::EntryClass;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

/// Rounds of the test below, each with two processes.
const ROUNDS: u32 = 20;

/// Not a test of its own: the process that is killed. Prints each entry that was acknowledged.
#[test]
fn appender() {
    let Some(dir) = role("crash::appender") else { return };
    let log = Log::open(&dir, &short_epochs()).unwrap();
    let process = std::process::id();
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let log = &log;
            scope.spawn(move || {
                for i in 0u64.. {
                    let call = format!("{process}-{thread}-{i}");
                    let record = format!(r#"{{"v":1,"kind":"intent","call":"{call}","t":{i}}}"#);
                    log.append(record.as_bytes(), EntryClass::Intent).unwrap();
                    let ticket = log
                        .append(record.replace("intent", "outcome").as_bytes(), EntryClass::Closing)
                        .unwrap();
                    wait(log.durable(ticket)).unwrap();
                    writeln!(std::io::stdout(), "ack {call}").unwrap();
                }
            });
        }
    });
}

#[test]
fn nothing_acknowledged_is_lost_when_processes_are_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = HashSet::new();
    for round in 0..ROUNDS {
        let mut children: Vec<_> = (0..2)
            .map(|_| this_test_as("crash::appender", dir.path(), &[]).stdout(Stdio::piped()).spawn().unwrap())
            .collect();
        // Let both get going, then kill them at a different moment each round.
        let mut outputs: Vec<_> =
            children.iter_mut().map(|child| BufReader::new(child.stdout.take().unwrap())).collect();
        let mut before = 0;
        for output in &mut outputs {
            let mut line = String::new();
            while !line.contains("ack ") {
                line.clear();
                assert!(output.read_line(&mut line).unwrap() > 0, "the process ended by itself");
            }
            acknowledged.insert(line.trim().split("ack ").nth(1).unwrap().to_owned());
            before += 1;
        }
        assert_eq!(before, 2);
        std::thread::sleep(Duration::from_millis(u64::from(round % 7) * 9));
        children.iter_mut().for_each(|child| child.kill().unwrap());
        for (output, child) in outputs.into_iter().zip(&mut children) {
            // A last line without its newline was cut by the kill; the call it names may be any.
            let text = std::io::read_to_string(output).unwrap();
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            acknowledged
                .extend(whole.lines().filter_map(|line| line.strip_prefix("ack ").map(str::to_owned)));
            child.wait().unwrap();
        }
        assert_verifies(dir.path());
    }

    let logs: Vec<Log> = (0..2).map(|_| open(dir.path())).collect();
    logs.iter().for_each(|log| log.close().unwrap());
    assert_verifies(dir.path());
    let found: HashSet<String> = read(dir.path())
        .unwrap()
        .filter_map(|entry| {
            let record: serde_json::Value = serde_json::from_slice(&entry.unwrap().bytes).unwrap();
            (record["kind"] == "outcome").then(|| record["call"].as_str().unwrap().to_owned())
        })
        .collect();
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(acknowledged.len() > 200, "too little load: {}", acknowledged.len());
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged calls are lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
}

/// A batch that was being written when the process died is cut; the log goes on behind the last acknowledged one.
#[test]
fn a_torn_batch_is_cut_wherever_it_was_torn() {
    let whole = tempfile::tempdir().unwrap();
    let log = open(whole.path());
    crate::support::record_many(&log, "kept", 20);
    log.close().unwrap();
    let wal = whole.path().join("slot-000/epoch-000001/wal");
    let bytes = std::fs::read(&wal).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // The start of a batch that was never acknowledged: an entry, and half a checkpoint.
    let torn = [&b"E\0\0\0\x05{...}C\0\0\0\xc8countersign"[..]].concat();
    for length in 1..torn.len() {
        let dir = tempfile::tempdir().unwrap();
        crate::support::copy_dir(whole.path(), dir.path());
        let mut damaged = bytes.clone();
        damaged[used..used + length].copy_from_slice(&torn[..length]);
        std::fs::write(dir.path().join("slot-000/epoch-000001/wal"), damaged).unwrap();
        let report = crate::support::report(dir.path());
        assert!(report.ok() && report.notices.len() == 1, "{report}");

        let log = open(dir.path());
        crate::support::record(&log, r#"{"after":true}"#).unwrap();
        log.close().unwrap();
        let report = crate::support::report(dir.path());
        // start, 20 entries, stop; start, one entry, stop
        assert!(report.ok() && report.notices.is_empty() && report.entries == 25, "{report}");
    }
}
