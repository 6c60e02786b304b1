//! Both corpora: each attack first without the guard, then refused or harmless; each benign statement answered.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use countersign_sql::Rule;
use serde_json::Value as Json;

use crate::{
    fixture::{Answer, Fixture, LIMITS, is_restricted, run_unguarded},
    process,
};

const ATTACKS: &str = include_str!("../../../../corpora/sql-attacks.jsonl");
const BENIGN: &str = include_str!("../../../../corpora/sql-benign.jsonl");

fn rows(corpus: &str) -> Vec<Json> {
    let rows = corpus.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.filter(|row: &Json| row["engine"] == "sqlite").collect()
}

/// Attacks that are answered, and why that is harmless.
const HARMLESS: &[(&str, &str)] = &[
    ("sl-a090", "the cross join is stopped at the deadline"),
    ("sl-a091", "a short pattern on a short text: SQLite's LIKE ends in milliseconds"),
    ("sl-a100", "the long result is cut at the limit on rows"),
];

/// Exhaustion that the bundled SQLite itself refuses at once, unguarded too.
const EXTINCT: &[&str] = &["sl-a096", "sl-a102"];

fn text<'a>(row: &'a Json, field: &str) -> &'a str {
    row[field].as_str().unwrap()
}

#[test]
fn attacks_work_without_the_guard() {
    for attack in rows(ATTACKS) {
        let (id, verified) = (text(&attack, "id"), text(&attack["verified"], "unguarded"));
        let fixture = Fixture::new();
        let (digest, files) = (fixture.digest(), fixture.files());
        let sql = text(&attack, "sql")
            .replace("/tmp/attack/sq_out/", &format!("{}/", fixture.folder.path().display()));
        if attack["effect"] == "dos" {
            let extinct = EXTINCT.contains(&id);
            let time = Duration::from_millis(if extinct { 10_000 } else { 250 });
            let ended = process::unguarded_for(&fixture.path, &sql, time);
            assert_eq!(matches!(ended, Some(Err(_))), extinct, "{id}: {ended:?}");
            continue;
        }
        let result = run_unguarded(&fixture.path, &sql);
        match verified {
            "ok+data-changed" => {
                assert_ne!(fixture.digest(), digest, "{id} no longer changes data: {result:?}")
            }
            "ok+file-written" => {
                assert_ne!(fixture.files(), files, "{id} no longer writes a file: {result:?}")
            }
            "ok" => assert_eq!(result, Ok(()), "{id} no longer works"),
            "skipped" => {}
            failing => {
                assert!(failing.starts_with("error:") && result.is_err(), "{id}: {failing} but {result:?}")
            }
        }
    }
}

#[test]
fn attacks_are_refused_or_harmless() {
    let harmless: BTreeMap<_, _> = HARMLESS.iter().copied().collect();
    for attack in rows(ATTACKS) {
        let (id, sql) = (text(&attack, "id"), text(&attack, "sql"));
        let fixture = Fixture::new();
        let (digest, files, started) = (fixture.digest(), fixture.files(), Instant::now());
        let answer = fixture.ask(sql);
        let took = started.elapsed();
        assert_eq!(fixture.digest(), digest, "{id} changed data");
        assert_eq!(fixture.files(), files, "{id} wrote a file");
        assert!(took < LIMITS.time + Duration::from_millis(200), "{id} took {took:?}");
        match answer {
            Answer::Refused(refusal) => assert!(!refusal.message.contains(sql), "{id} is quoted"),
            Answer::Forbidden(access) => {
                assert_ne!(attack["effect"], "write", "{id} left to the policy: {access:?}")
            }
            Answer::Rows(collected) => {
                assert!(harmless.contains_key(id), "{id} was answered: {sql}");
                assert!(!collected.rows.iter().flatten().any(is_restricted), "{id} leaked");
            }
        }
    }
}

#[test]
fn benign_statements_are_answered() {
    for benign in rows(BENIGN) {
        let (id, sql) = (text(&benign, "id"), text(&benign, "sql"));
        match Fixture::new().ask(sql) {
            Answer::Rows(_) => {}
            // A documented rule: pragmas are refused; describe_table answers what table_info would.
            Answer::Refused(refusal) if sql.starts_with("PRAGMA") => {
                assert_eq!(refusal.rule, Rule::ForbiddenAction)
            }
            refused => panic!("{id} was refused: {sql}: {refused:?}"),
        }
    }
}
