//! The figures as a table for people and as JSON for programs, beside what was promised.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::figures::Sample;
use super::memory::Memory;
use crate::e2e::http::Era;

/// One line of a table: a server at a concurrency, medians of the rounds.
pub(super) struct Row {
    pub(super) server: &'static str,
    pub(super) era: Era,
    pub(super) callers: usize,
    pub(super) sample: Sample,
}

/// Everything that was measured.
pub(super) struct Results {
    pub(super) quick: bool,
    /// Bytes of the release binary.
    pub(super) size: u64,
    /// Milliseconds from start to the first answer.
    pub(super) start: f64,
    pub(super) memory: Memory,
    pub(super) echo: Vec<Row>,
    pub(super) sql: Vec<Row>,
    /// Median of the one-row query with rusqlite in process, microseconds.
    pub(super) in_process: f64,
}

/// A promise: what, how much it is, how much it may be; `at_least` turns the comparison round.
struct Promise {
    what: &'static str,
    measured: f64,
    limit: f64,
    at_least: bool,
}

impl Promise {
    fn kept(&self) -> bool {
        if self.at_least { self.measured >= self.limit } else { self.measured <= self.limit }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a file size")]
fn promises(results: &Results) -> Vec<Promise> {
    let at_most = |what, measured, limit| Promise { what, measured, limit, at_least: false };
    let at_least = |what, measured, limit| Promise { what, measured, limit, at_least: true };
    let echo = |server, callers| find(&results.echo, server, callers);
    let sql = |server, callers| find(&results.sql, server, callers);
    vec![
        at_most(
            "echo, 1 caller, log off: added p50, µs",
            echo("log off", 1).p50 - echo("bare", 1).p50,
            100.0,
        ),
        at_most(
            "echo, 1 caller, as shipped: added p50, µs",
            echo("as shipped", 1).p50 - echo("bare", 1).p50,
            250.0,
        ),
        at_least("echo, 16 callers, as shipped: calls/s", echo("as shipped", 16).rate, 20_000.0),
        at_most("echo, 16 callers, as shipped: CPU s per 10,000", echo("as shipped", 16).cpu, 0.5),
        at_most("one row, 1 caller, log off: p50, µs", sql("log off", 1).p50, 250.0),
        at_most("one row, 1 caller, as shipped: p50, µs", sql("as shipped", 1).p50, 400.0),
        at_most("memory idle, MiB", results.memory.idle, 15.0),
        at_most("memory after abandoned sessions, MiB", results.memory.abandoned, 30.0),
        at_most("start to first answer, ms", results.start, 100.0),
        at_most("release binary, MB", results.size as f64 / 1e6, 40.0),
    ]
}

/// The row of the newest era.
fn find(rows: &[Row], server: &str, callers: usize) -> Sample {
    let row =
        rows.iter().find(|row| row.server == server && row.callers == callers && row.era == Era::Stateless);
    row.map(|row| row.sample.clone()).unwrap_or_default()
}

/// The figures as Markdown: what is printed, and what `docs/performance.md` holds.
pub(super) fn markdown(results: &Results) -> String {
    let mut text = format!("{}\n", machine());
    for (title, rows) in [("Echo tool", &results.echo), ("One row from SQLite by its key", &results.sql)] {
        text.push_str(&format!(
            "\n## {title}\n\n| server | revision | callers | calls/s | p50 µs | p90 | p99 | p99.9 | CPU s/10k | calls | errors |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n"
        ));
        for row in rows {
            let s = &row.sample;
            text.push_str(&format!(
                "| {} | {} | {} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {:.3} | {} | {} |\n",
                row.server,
                revision(row.era),
                row.callers,
                s.rate,
                s.p50,
                s.p90,
                s.p99,
                s.p999,
                s.cpu,
                s.calls,
                s.errors
            ));
        }
    }
    let through = find(&results.sql, "as shipped", 1).p50;
    let memory = &results.memory;
    text.push_str(&format!(
        "\nThe same row with rusqlite in one process, unchecked: p50 {:.1} µs; through Countersign as shipped: {:.0} times that.\n\n\
         Memory (proportional set size of all processes): {:.1} MiB idle, {:.1} MiB after {} abandoned sessions.\n\n\
         ## Promises\n\n| promise | measured | limit | kept |\n|---|---|---|---|\n",
        results.in_process, through / results.in_process, memory.idle, memory.abandoned, memory.sessions
    ));
    for promise in promises(results) {
        let (sign, kept) =
            (if promise.at_least { "≥" } else { "≤" }, if promise.kept() { "yes" } else { "**no**" });
        text.push_str(&format!(
            "| {} | {:.1} | {sign} {} | {kept} |\n",
            promise.what, promise.measured, promise.limit
        ));
    }
    if results.quick {
        text.push_str("\nA quick run: short rounds, for a first look only.\n");
    }
    text
}

/// The machine in a line: figures mean nothing without it.
pub(super) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|rest| rest.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("Machine: {model}, {cores} cores, Linux {}.", kernel.trim())
}

fn revision(era: Era) -> &'static str {
    match era {
        Era::Stateless => "2026-07-28",
        Era::Session => "2025-11-25",
    }
}

pub(super) fn json(results: &Results) -> Value {
    let rows = |rows: &[Row]| {
        let row = |row: &Row| {
            let s = &row.sample;
            json!({
                "server": row.server, "revision": revision(row.era), "callers": row.callers, "calls_per_second": s.rate,
                "p50_us": s.p50, "p90_us": s.p90, "p99_us": s.p99, "p999_us": s.p999, "cpu_seconds_per_10000": s.cpu,
                "calls": s.calls, "errors": s.errors,
            })
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let promise = |p: &Promise| json!({"what": p.what, "measured": p.measured, "limit": p.limit, "at_least": p.at_least, "kept": p.kept()});
    json!({
        "quick": results.quick,
        "machine": machine(),
        "echo": rows(&results.echo),
        "sqlite": rows(&results.sql),
        "sqlite_in_process_p50_us": results.in_process,
        "memory_mib": {"idle": results.memory.idle, "after_abandoned_sessions": results.memory.abandoned, "sessions": results.memory.sessions},
        "start_ms": results.start,
        "binary_bytes": results.size,
        "promises": promises(results).iter().map(promise).collect::<Vec<_>>(),
    })
}

/// A wrong or missing answer fails the run; a figure that is not reached is shown, and no more, since machines differ.
pub(super) fn verdict(results: &Results) -> Result<()> {
    let errors: u64 = results.echo.iter().chain(&results.sql).map(|row| row.sample.errors).sum();
    if errors > 0 {
        bail!("{errors} calls failed or were answered wrongly");
    }
    Ok(())
}
