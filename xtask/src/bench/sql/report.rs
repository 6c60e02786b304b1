//! The figures of `bench sql` as a table for people and as JSON for programs, each beside the limit of the same run.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::CONCURRENCY;
use super::rows::ROWS;
use crate::bench::figures::{Sample, median};
use crate::bench::report::machine;
use crate::workspace;

/// One measurement.
pub(super) struct Measured {
    pub(super) server: &'static str,
    pub(super) rows: usize,
    pub(super) callers: usize,
    pub(super) sample: Sample,
    /// The most memory that was resident at a time, all processes of the server added up, MiB.
    pub(super) peak: f64,
}

/// Everything that was measured.
pub(super) struct Results {
    pub(super) quick: bool,
    pub(super) measured: Vec<Measured>,
    /// Servers that could not be measured, and why.
    pub(super) missing: Vec<(&'static str, String)>,
    /// What the guard costs a statement, as its own benchmark prints it.
    pub(super) guard: Result<String>,
}

impl Results {
    fn servers(&self) -> Vec<&'static str> {
        let mut servers: Vec<&'static str> = Vec::new();
        for one in &self.measured {
            if !servers.contains(&one.server) {
                servers.push(one.server);
            }
        }
        servers
    }

    /// Medians over the rounds; `None` when that was not measured.
    fn row(&self, server: &str, rows: usize, callers: usize) -> Option<(Sample, f64)> {
        let own: Vec<&Measured> = self
            .measured
            .iter()
            .filter(|one| (one.server, one.rows, one.callers) == (server, rows, callers))
            .collect();
        let samples: Vec<&Sample> = own.iter().map(|one| &one.sample).collect();
        let peak = median(&mut own.iter().map(|one| one.peak).collect::<Vec<_>>());
        (!own.is_empty()).then(|| (Sample::median(&samples), peak))
    }

    /// How many times slower than the limit, by the median; 0 when the limit was not measured.
    fn ratio(&self, sample: &Sample, rows: usize, callers: usize) -> f64 {
        self.row("raw", rows, callers).map_or(0.0, |(raw, _)| sample.p50 / raw.p50)
    }
}

pub(super) fn markdown(results: &Results) -> String {
    let mut text = format!(
        "{}\n\n| rows | callers | server | calls/s | p50 µs | x raw | p99 µs | CPU s/10k | peak MiB | calls | errors |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
        machine()
    );
    for (rows, callers, server, sample, peak) in lines(results) {
        text.push_str(&format!(
            "| {rows} | {callers} | {server} | {:.0} | {:.0} | {:.2} | {:.0} | {:.2} | {peak:.1} | {} | {} |\n",
            sample.rate,
            sample.p50,
            results.ratio(&sample, rows, callers),
            sample.p99,
            sample.cpu,
            sample.calls,
            sample.errors
        ));
    }
    for (server, why) in &results.missing {
        text.push_str(&format!("\nNot measured: {server}: {why}\n"));
    }
    match &results.guard {
        Ok(cost) => text.push_str(&format!("\n{}\n", cost.trim())),
        Err(error) => text.push_str(&format!("\nThe guard's cost could not be measured: {error:#}\n")),
    }
    if results.quick {
        text.push_str("\nA quick run: short rounds, for a first look only.\n");
    }
    text
}

fn lines(results: &Results) -> Vec<(usize, usize, &'static str, Sample, f64)> {
    let mut lines = Vec::new();
    for rows in ROWS {
        for callers in CONCURRENCY {
            for server in results.servers() {
                if let Some((sample, peak)) = results.row(server, rows, callers) {
                    lines.push((rows, callers, server, sample, peak));
                }
            }
        }
    }
    lines
}

pub(super) fn json(results: &Results) -> Value {
    let row = |(rows, callers, server, s, peak): (usize, usize, &str, Sample, f64)| {
        json!({
            "server": server, "rows": rows, "callers": callers, "calls_per_second": s.rate, "p50_us": s.p50,
            "p90_us": s.p90, "p99_us": s.p99, "times_raw": results.ratio(&s, rows, callers),
            "cpu_seconds_per_10000": s.cpu, "peak_rss_mib": peak, "calls": s.calls, "errors": s.errors,
        })
    };
    let missing = results.missing.iter().map(|(server, why)| json!({"server": server, "why": why}));
    json!({
        "quick": results.quick,
        "machine": machine(),
        "rows": lines(results).into_iter().map(row).collect::<Vec<_>>(),
        "not_measured": missing.collect::<Vec<_>>(),
        "guard": results.guard.as_ref().ok(),
    })
}

/// The guard's own benchmark: an example of the crate that holds it, since nothing but that crate knows it.
pub(super) fn guard_cost() -> Result<String> {
    let mut command = workspace::cargo(&[
        "run",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "countersign-sql",
        "--example",
        "guard_cost",
    ]);
    crate::process::capture(&mut command)
}

/// A wrong or missing answer fails the run; so does a server that was not measured, since a table without it says less than it seems.
pub(super) fn verdict(results: &Results) -> Result<()> {
    let errors: u64 = results.measured.iter().map(|one| one.sample.errors).sum();
    if errors > 0 {
        bail!("{errors} calls failed or were answered wrongly");
    }
    if let Some((server, why)) = results.missing.first() {
        bail!("{server} was not measured: {why}");
    }
    Ok(())
}
