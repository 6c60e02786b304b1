//! Readers while the log is being written: no false alarm, nothing missed; and what reading is good for.

use crate::support::{assert_verifies, open, record, record_many, report};
use countersign_audit::{
    CheckError, Log, Query, VerifyOptions, check_proof, prove, prove_call, read, search, verify,
};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[test]
fn verifying_while_serving_never_raises_a_false_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (dir, done) = (dir.path(), &done);
            scope.spawn(move || {
                let mut generation = 0;
                while !done.load(Ordering::Relaxed) {
                    // Opening and closing again and again: starts, stops and witnesses are written too.
                    let log = open(dir);
                    for round in 0..5 {
                        record_many(&log, &format!("{writer}-{generation}-{round}"), 60);
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    log.close().unwrap();
                    generation += 1;
                }
            });
        }
        while !dir.path().join("slot-002/epoch-000001").exists() {
            std::thread::yield_now();
        }
        let (began, mut rounds) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_secs(3) || rounds < 8 {
            let report = report(dir.path());
            if !report.ok() {
                done.store(true, Ordering::Relaxed);
            }
            assert!(report.ok(), "{report}");
            rounds += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_verifies(dir.path());
}

#[test]
fn following_yields_every_entry_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let mut entries = read(dir.path()).unwrap();
    let mut calls = Vec::new();
    for round in 0..8 {
        record_many(&log, &round.to_string(), 200);
        for entry in entries.by_ref() {
            let record: serde_json::Value = serde_json::from_slice(&entry.unwrap().bytes).unwrap();
            calls.extend(record["call"].as_str().map(str::to_owned));
        }
        assert_eq!(calls.len(), (round + 1) * 200);
    }
    let distinct: HashSet<_> = calls.iter().collect();
    assert_eq!(distinct.len(), calls.len());
    assert!(log.status().epoch >= 3, "no rotation was met");
    log.close().unwrap();
}

#[test]
fn slots_are_merged_by_time_and_searched() {
    let dir = tempfile::tempdir().unwrap();
    let logs = [open(dir.path()), open(dir.path())];
    for t in 0..40u64 {
        let record_text = format!(
            r#"{{"v":1,"kind":"refusal","call":"call-{t}","t":{t},"who":{{"subject":"user-{}"}},"tool":"query_shop","decision":"{}"}}"#,
            t % 3,
            if t % 2 == 0 { "deny" } else { "allow" }
        );
        record(&logs[(t % 2) as usize], &record_text).unwrap();
    }
    let calls = |query: Query| -> Vec<u64> {
        search(read(dir.path()).unwrap(), query)
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.bytes.starts_with(br#"{"v":1,"kind":"refusal""#))
            .map(|entry| entry.time())
            .collect()
    };
    // The log's own start records carry the wall clock and so come later than these.
    let mut all = calls(Query::default());
    assert_eq!(all.len(), 40);
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<_>>());
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(calls(Query { call: text("call-7"), ..Query::default() }), [7]);
    assert_eq!(calls(Query { principal: text("user-1"), ..Query::default() }).len(), 13);
    assert_eq!(
        calls(Query { decision: text("deny"), since: Some(10), until: Some(20), ..Query::default() }),
        [10, 12, 14, 16, 18, 20]
    );
    assert!(calls(Query { tool: text("other"), ..Query::default() }).is_empty());
    assert_eq!(calls(Query { text: text("call-3\""), ..Query::default() }), [3]);
    logs.iter().for_each(|log| log.close().unwrap());
}

#[test]
fn proofs_stand_alone() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    record_many(&log, "call", 900);
    let vkey = std::fs::read_to_string(dir.path().join("vkey")).unwrap();
    log.close().unwrap();
    drop(log);
    assert!(dir.path().join("slot-000/epoch-000002").exists());
    for (call, sealed) in [("call-3", true), ("call-890", false)] {
        let wal =
            dir.path().join(if sealed { "slot-000/epoch-000001/wal" } else { "slot-000/epoch-000002/wal" });
        assert_eq!(wal.exists(), !sealed);
        let proofs = prove_call(dir.path(), call).unwrap();
        assert_eq!(proofs.len(), 1);
        let text = serde_json::to_string(&proofs[0]).unwrap();
        let proof = serde_json::from_str(&text).unwrap();
        let proven = check_proof(&proof, Some(&vkey)).unwrap();
        assert!(String::from_utf8(proven.entry).unwrap().contains(&format!("\"{call}\"")));

        let mut forged = proof.clone();
        forged.entry = forged.entry.replacen('e', "f", 1);
        assert!(check_proof(&forged, None).is_err());
        let mut moved = proof.clone();
        moved.index += 1;
        assert!(check_proof(&moved, None).is_err());
        let mut short = proof.clone();
        short.inclusion.pop();
        assert!(check_proof(&short, None).is_err());
        let other = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        assert!(matches!(check_proof(&proof, Some(other)), Err(CheckError::OtherKey)));
    }
    assert!(prove_call(dir.path(), "no-such-call").is_err());
    assert!(prove(dir.path(), 0, 1, 1 << 40).is_err());
}

#[test]
fn an_older_checkpoint_is_continued_or_the_rollback_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    record_many(&log, "early", 30);
    let early = log.status().checkpoint;
    record_many(&log, "late", 900);
    let late = log.status().checkpoint;
    log.close().unwrap();
    drop(log);
    let since = |text: &str| {
        verify(dir.path(), &VerifyOptions { since: Some(text.to_owned()), ..VerifyOptions::default() })
            .unwrap()
    };
    let both = since(&format!("{early}{late}"));
    assert!(both.ok() && both.consistent_with.len() == 2, "{both}");
    assert!(!since("rubbish").ok());
    assert!(!since(&early.replace("\n31\n", "\n30\n")).ok(), "an altered checkpoint was believed");

    // Everything in the directory goes back to an earlier copy: only the checkpoint kept elsewhere can tell.
    let back = tempfile::tempdir().unwrap();
    let log = open(back.path());
    record_many(&log, "early", 30);
    log.close().unwrap();
    drop(log);
    let copy = tempfile::tempdir().unwrap();
    crate::support::copy_dir(back.path(), copy.path());
    let log = open(back.path());
    record_many(&log, "late", 30);
    let kept = log.status().checkpoint;
    log.close().unwrap();
    drop(log);
    assert_verifies(copy.path());
    let report =
        verify(copy.path(), &VerifyOptions { since: Some(kept), ..VerifyOptions::default() }).unwrap();
    assert!(!report.ok() && report.problems[0].meaning.contains("earlier state"), "{report}");
}

#[test]
fn slots_are_taken_by_one_process_and_continued() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let second = open(dir.path());
    assert_eq!((first.status().slot, second.status().slot), (0, 1));
    let fingerprint = first.fingerprint(b"arguments");
    assert_eq!(fingerprint, first.fingerprint(b"arguments"));
    assert_ne!(fingerprint, second.fingerprint(b"arguments"), "fingerprint keys must differ by slot");
    record(&first, "{}").unwrap();
    first.close().unwrap();
    drop(first);
    let again = open(dir.path());
    assert_eq!((again.status().slot, again.status().epoch), (0, 1));
    assert_eq!(fingerprint, again.fingerprint(b"arguments"), "the key of an epoch stays");
    again.close().unwrap();
    second.close().unwrap();
    // start, entry, stop, start, stop; start, stop
    let report = report(dir.path());
    assert!(report.ok() && report.entries == 7, "{report}");
}

#[test]
fn entries_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log: Log = open(dir.path());
    let append = |entry: &[u8]| log.append(entry, countersign_core::ports::EntryClass::Closing);
    assert!(append(b"").is_err());
    assert!(append(&vec![b'x'; countersign_audit::MAX_ENTRY + 1]).is_err());
    let ticket = append(&vec![b'x'; countersign_audit::MAX_ENTRY]).unwrap();
    crate::support::wait(log.durable(ticket)).unwrap();
    log.close().unwrap();
    assert_verifies(dir.path());
}
