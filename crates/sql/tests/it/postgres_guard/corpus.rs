//! Both corpora against the guard alone: no server, so that whatever it lets through would reach one.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::shop::{denied, facts};

const ATTACKS: &str = include_str!("../../../../../corpora/sql-attacks.jsonl");
const BENIGN: &str = include_str!("../../../../../corpora/sql-benign.jsonl");

fn rows(corpus: &str) -> Vec<Json> {
    let rows = corpus.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.filter(|row: &Json| row["engine"] == "postgres").collect()
}

fn text<'a>(row: &'a Json, field: &str) -> &'a str {
    row[field].as_str().unwrap()
}

/// Attacks that the guard lets through, and why they do no harm.
const SURVIVORS: &[(&str, &str)] =
    &[("pg-a272", "parentheses leave no trace in the parse tree: the server parses them in a millisecond")];

#[test]
fn attacks_are_refused_by_the_guard_alone() {
    let survivors: BTreeMap<_, _> = SURVIVORS.iter().copied().collect();
    let mut table: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let mut rules: BTreeMap<String, usize> = BTreeMap::new();
    let mut through = Vec::new();
    let attacks = rows(ATTACKS);
    for attack in &attacks {
        let (id, sql, effect) = (text(attack, "id"), text(attack, "sql"), text(attack, "effect"));
        let counts = table.entry(effect.to_owned()).or_default();
        counts[0] += 1;
        match facts(sql) {
            Err(refusal) => {
                counts[1] += 1;
                *rules.entry(refusal.rule.code().to_owned()).or_default() += 1;
                assert!(!refusal.message.contains(sql), "{id} is quoted: {refusal}");
            }
            Ok(facts) => match denied(&facts) {
                Some(access) => {
                    assert_ne!(effect, "write", "{id} is left to the policy: {access:?}");
                    counts[2] += 1;
                }
                None => through.push((id, sql)),
            },
        }
    }
    println!("{:<20} attacks  refused  denied by the policy on tables and columns", "effect");
    for (effect, [all, refused, denied]) in &table {
        println!("{effect:<20} {all:>7}  {refused:>7}  {denied:>6}");
    }
    println!("rules: {rules:?}");
    for (id, sql) in &through {
        let start: String = sql.chars().take(80).collect();
        println!("through: {id}: {}: {start}", survivors.get(id).copied().unwrap_or("UNKNOWN"));
    }
    let stopped = attacks.len() - through.len();
    println!("{stopped} of {} stopped by the guard alone", attacks.len());
    assert!(stopped * 100 >= attacks.len() * 97);
    for (id, _) in through {
        assert!(survivors.contains_key(id), "{id} came through");
    }
}

#[test]
fn benign_statements_are_allowed() {
    let mut refused = Vec::new();
    let benign = rows(BENIGN);
    for row in &benign {
        match facts(text(row, "sql")) {
            Ok(facts) => assert_eq!(denied(&facts), None, "{}", text(row, "id")),
            Err(refusal) => refused.push(format!(
                "{} {}: {refusal}: {:?}",
                text(row, "id"),
                text(row, "sql"),
                refusal.detail
            )),
        }
    }
    println!("{} of {} benign statements allowed", benign.len() - refused.len(), benign.len());
    assert!(refused.is_empty(), "{refused:#?}");
}
