//! Mutated statements: judged and resolved without panic, overflow or hang, and never let past what a role is not granted.
//!
//! 20,000 of them by default; `MUTATED_STATEMENTS=500000` runs more.

use std::time::{Duration, Instant};

use countersign_sql::{
    Access, Object,
    engines::postgres::guard::{Syntax, judge, judge_write, resolve},
};
use serde_json::Value as Json;

use super::shop::{catalogue, config};

const CORPORA: [&str; 2] = [
    include_str!("../../../../../corpora/sql-attacks.jsonl"),
    include_str!("../../../../../corpora/sql-benign.jsonl"),
];

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "(",
    ")",
    "((((((((",
    "))))))))",
    ",",
    "*",
    ".",
    ";",
    "'",
    "\"",
    "$$",
    "$1",
    "--",
    "/*",
    "*/",
    "::",
    "::regclass",
    "[",
    "]",
    "[1]",
    "users",
    "u",
    "password_hash",
    "restricted.secrets",
    "pg_class",
    "log_call('x')",
    "touch",
    "c.touch",
    "NATURAL JOIN",
    "JOIN",
    "USING (id)",
    "ON true",
    "AS",
    "AS u(a, b)",
    "WITH",
    "WITH RECURSIVE",
    "x AS (",
    "UNION ALL",
    "INTERSECT",
    "EXCEPT",
    "VALUES",
    "LATERAL",
    "ROWS FROM (",
    "TABLESAMPLE",
    "OVER (",
    "FILTER (",
    "WITHIN GROUP (",
    "GROUP BY",
    "GROUPING SETS (",
    "ORDER BY",
    "LIMIT",
    "OFFSET",
    "FOR UPDATE",
    "INTO x",
    "RETURNING *",
    "INSERT INTO",
    "UPDATE",
    "SET a = 1",
    "DELETE FROM",
    "MERGE INTO",
    "EXPLAIN",
    "EXPLAIN ANALYZE",
    "SHOW",
    "CASE",
    "WHEN",
    "THEN",
    "END",
    "IN (",
    "ANY (",
    "ARRAY[",
    "ROW(",
    "CAST(",
    "COLLATE \"C\"",
    "OPERATOR(public.+)",
    "###",
    "->>",
    "@>",
    "~",
    "||",
    "generate_series(1, 10)",
    "repeat('x', 99999)",
    "xmltable(",
    "JSON_TABLE(",
    "E'\\x41'",
    "U&'\\0041'",
    "U&\"\\0041\"",
    "\u{e9}",
    "\u{feff}",
    "\u{202e}",
    "1e999",
    "-1",
    "0x10",
    "NULL",
    "true",
    "current_user",
    "DEFAULT",
    "ONLY",
];

/// A small generator of numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or_default() % sides.max(1)
    }
}

fn mutate(seed: &str, other: &str, dice: &mut Dice) -> String {
    let mut parts: Vec<&str> = seed.split_inclusive([' ', '(', ',', '.']).collect();
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(parts.len());
        match dice.roll(6) {
            0 if !parts.is_empty() => drop(parts.remove(at)),
            1 => parts.insert(at, WORDS[dice.roll(WORDS.len())]),
            2 if !parts.is_empty() => parts[at] = WORDS[dice.roll(WORDS.len())],
            3 if !parts.is_empty() => parts.insert(at, parts[dice.roll(parts.len())]),
            4 => parts.insert(at, other),
            _ => parts.truncate(at + 1),
        }
    }
    let text = parts.join(if dice.roll(2) == 0 { " " } else { "" });
    text.chars().take(4_000).collect()
}

#[allow(clippy::disallowed_methods, reason = "how many statements to try is asked of the environment")]
fn rounds() -> usize {
    std::env::var("MUTATED_STATEMENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

#[test]
fn mutated_statements_are_judged_without_panic() {
    let seeds: Vec<String> = CORPORA
        .iter()
        .flat_map(|corpus| corpus.lines())
        .map(|line| serde_json::from_str::<Json>(line).unwrap())
        .filter(|row| row["engine"] == "postgres")
        .map(|row| row["sql"].as_str().unwrap().chars().take(2_000).collect())
        .collect();
    let (config, catalogue) = (config(), catalogue());
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut allowed, mut judged) = (0, 0);
    let mut slowest = (Duration::ZERO, String::new());
    let all = rounds();
    for round in 0..all {
        let sql = mutate(&seeds[dice.roll(seeds.len())], &seeds[dice.roll(seeds.len())], &mut dice);
        let started = Instant::now();
        let syntax = if round % 8 == 0 { judge_write(&sql, &config) } else { judge(&sql, &config) };
        if let Ok(syntax) = syntax {
            judged += 1;
            assert_eq!(Syntax::decode(&syntax.encode()).unwrap(), syntax, "{sql}");
            if let Ok(facts) = resolve(&syntax, &catalogue, &config) {
                allowed += 1;
                let evil = |access: &Access| matches!(&access.object, Object::Function { name } if name.contains("log_call") || name == "touch");
                assert!(!facts.accesses.iter().any(evil), "{sql}");
            }
        }
        if started.elapsed() > slowest.0 {
            slowest = (started.elapsed(), sql);
        }
    }
    println!(
        "{all} statements: {judged} judged harmless, {allowed} of them resolved; slowest {:?}: {:.80}",
        slowest.0, slowest.1
    );
    assert!(allowed * 200 > all, "the mutations are too wild to mean anything: {allowed}");
    assert!(slowest.0 < Duration::from_secs(2));
}
