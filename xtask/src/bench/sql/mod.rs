//! `bench sql`: the same rows from the same PostgreSQL through a server that checks nothing (the limit), Countersign, and other MCP
//! servers for databases, in one run.
//!
//! Client, servers and database share the machine: figures of one run compare with each other and with nothing else. A peer that cannot
//! be installed or started is named in the table; it never drops out silently.

mod peers;
mod raw;
mod report;
mod rows;
mod subject;

pub(crate) use raw::main as raw_server;

use std::time::Duration;

use anyhow::Result;

use super::client::{self, Load};
use super::figures::Sample;
use super::memory::{self, Peak};
use crate::workspace;
use report::{Measured, Results};
use rows::ROWS;
use subject::Subject;

const CONCURRENCY: [usize; 2] = [1, 16];

/// Runs everything, prints a table and writes `target/bench-sql.json`. Fails when any answer was wrong.
/// `--quick` shortens the rounds; `--only A,B` keeps the named servers.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let quick = args.iter().any(|arg| arg == "--quick");
    let only = args.iter().position(|arg| arg == "--only").and_then(|at| args.get(at + 1));
    let wanted = |name: &str| only.is_none_or(|list| list.split(',').any(|one| one == name));
    let (rounds, time) =
        if quick { (1, Duration::from_millis(600)) } else { (3, Duration::from_millis(1_500)) };

    crate::debian::databases()?;
    let database = rows::load();
    let mut subjects = Vec::new();
    let mut missing = Vec::new();
    for (name, start) in subject::ALL.iter().filter(|(name, _)| wanted(name)) {
        match start(&database) {
            Ok(subject) => subjects.push((*name, subject)),
            Err(error) => {
                println!("{name} is not measured: {error:#}");
                missing.push((*name, format!("{error:#}")));
            }
        }
    }
    let mut measured = Vec::new();
    for round in 0..rounds {
        for rows in ROWS {
            for callers in CONCURRENCY {
                for (name, subject) in &subjects {
                    let one = measure(subject, rows, callers, time)?;
                    println!(
                        "round {} {rows:>6} rows {callers:>2} callers {name:<14} {:>8.0} calls/s  p50 {:>9.1} µs  {:>6.1} MiB",
                        round + 1,
                        one.sample.rate,
                        one.sample.p50,
                        one.peak
                    );
                    measured.push(Measured { server: name, rows, callers, ..one });
                }
            }
        }
    }
    let results = Results { quick, measured, missing, guard: report::guard_cost() };
    let figures = report::markdown(&results);
    println!("\n{figures}");
    if args.iter().any(|arg| arg == "--write") {
        super::page::put("sql", &figures)?;
    }
    let path = workspace::work_dir().join("bench-sql.json");
    std::fs::write(&path, serde_json::to_string_pretty(&report::json(&results))?)?;
    println!("written: {}", path.display());
    report::verdict(&results)
}

fn measure(subject: &Subject, rows: usize, callers: usize, time: Duration) -> Result<Measured> {
    let question = rows::question(&subject.asked, rows);
    let load = Load { address: &subject.address, question: &question, callers };
    client::run(&load, time / 4)?;
    let before = memory::cpu_seconds(subject.pid())?;
    let peak = Peak::watch(subject.pid());
    let outcome = client::run(&load, time)?;
    let peak = peak.finish();
    let cpu = memory::cpu_seconds(subject.pid())? - before;
    for failure in &outcome.failures {
        println!("failure: {rows} rows, {callers} callers: {failure}");
    }
    Ok(Measured { server: "", rows, callers, sample: Sample::of(outcome, cpu), peak })
}

#[cfg(test)]
mod tests;
