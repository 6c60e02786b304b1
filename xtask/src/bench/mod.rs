//! The load test: Countersign with and without its audit log beside a bare HTTP server that sends the same bytes, in one run.
//!
//! Client, servers and disk share the machine, so figures of one run compare with each other and with nothing else. Rounds are
//! interleaved and medians taken, so that a slow minute hits every server alike.

mod bare;
mod client;
mod connection;
mod figures;
mod files;
mod memory;
mod page;
mod policy;
mod question;
mod report;
mod sandbox;
mod sql;
mod sqlite;

pub(crate) use bare::main as bare_server;
pub(crate) use sql::raw_server as raw_sql_server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::e2e::fresh_dir;
use crate::e2e::http::{Client, Era};
use crate::e2e::server::{Prepared, Server, prepare, unlimited};
use crate::process::{self, Background};
use crate::workspace;
use client::Load;
use figures::Sample;
use question::Question;

const CONCURRENCY: [usize; 3] = [1, 16, 64];
const ROUNDS: usize = 3;
/// Sessions of the older era that are opened and never closed.
const ABANDONED: usize = 250;

/// How long each measurement takes.
struct Timing {
    warm_up: Duration,
    measure: Duration,
}

/// A server under load: where it listens, whose CPU it uses, what it is asked.
struct Target {
    name: &'static str,
    address: String,
    pid: u32,
    question: Question,
}

/// Runs everything, prints tables and writes `target/bench.json`; with `--write`, `docs/performance.md` too. Fails when any answer was wrong.
/// `sql` measures the database tools instead, `files` the file tools, `policy` the cost of decisions.
pub(crate) fn main(args: &[String]) -> Result<()> {
    match args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some(("sql", rest)) => return sql::main(rest),
        Some(("sandbox", rest)) => return sandbox::main(rest),
        Some(("policy", rest)) => return policy::main(rest),
        Some(("files", rest)) => return files::main(rest),
        _ => {}
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    let timing = if quick {
        Timing { warm_up: Duration::from_millis(100), measure: Duration::from_millis(400) }
    } else {
        Timing { warm_up: Duration::from_millis(500), measure: Duration::from_secs(2) }
    };
    let shipped = crate::test::release_binary()?;
    let size = std::fs::metadata(&shipped)?.len();
    let start = start_time(&shipped, if quick { 3 } else { 7 })?;
    let memory = memory::measure(&shipped, ABANDONED)?;
    let binary = bench_binary()?;

    let off = server(&binary, "bench-off", true)?;
    let on = server(&binary, "bench-on", false)?;
    let mut echo = Vec::new();
    for era in [Era::Stateless, Era::Session] {
        let question = Question::echo(era, on.key.as_deref());
        let template = client::capture(&on.server.address, &question)?;
        let bare = Bare::start(&template)?;
        let targets = [
            Target {
                name: "bare",
                address: bare.address.clone(),
                pid: bare.process.pid(),
                question: question.clone(),
            },
            Target {
                name: "log off",
                address: off.server.address.clone(),
                pid: off.server.pid(),
                question: Question::echo(era, off.key.as_deref()),
            },
            Target { name: "as shipped", address: on.server.address.clone(), pid: on.server.pid(), question },
        ];
        echo.extend(measure(&targets, era, &timing)?);
    }
    let subject = sqlite::Subject::find(&on.dir)?;
    let era = Era::Stateless;
    let target = |name, loaded: &Loaded| Target {
        name,
        address: loaded.server.address.clone(),
        pid: loaded.server.pid(),
        question: subject.question(era, loaded.key.as_deref()),
    };
    let rows = measure(&[target("log off", &off), target("as shipped", &on)], era, &timing)?;
    let in_process = subject.in_process(timing.measure)?;
    let results = report::Results { quick, size, start, memory, echo, sql: rows, in_process };
    let figures = report::markdown(&results);
    println!("\n{figures}");
    if args.iter().any(|arg| arg == "--write") {
        page::put("echo", &figures)?;
    }
    let path = workspace::work_dir().join("bench.json");
    std::fs::write(&path, serde_json::to_string_pretty(&report::json(&results))?)?;
    println!("written: {}", path.display());
    report::verdict(&results)
}

/// The shipped code with the echo tool, which no release has.
fn bench_binary() -> Result<PathBuf> {
    process::run(&mut workspace::cargo(&[
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "countersign",
        "--features",
        "bench",
    ]))?;
    let to = fresh_dir("bench-bin")?.join("countersign");
    std::fs::copy(workspace::target_dir().join("release/countersign"), &to)
        .context("cannot copy the binary")?;
    Ok(to)
}

/// A running Countersign whose limits are so high that the load never meets them.
struct Loaded {
    server: Server,
    key: Option<String>,
    dir: PathBuf,
}

fn server(binary: &Path, name: &str, audit_off: bool) -> Result<Loaded> {
    let dir = fresh_dir(name)?;
    let mut settings = unlimited();
    settings.push(("danger.audit_off", audit_off.into()));
    let prepared = prepare(binary, &dir, &settings)?;
    prepared.permit_server("bench")?;
    let server = Server::start(binary, &prepared)?;
    Ok(Loaded { server, key: prepared.key, dir })
}

/// The bare server in a process of its own.
struct Bare {
    address: String,
    process: Background,
}

impl Bare {
    fn start(template: &client::Template) -> Result<Self> {
        let dir = fresh_dir("bare")?;
        let file = dir.join("template.json");
        std::fs::write(&file, template.to_json())?;
        let address = format!("127.0.0.1:{}", crate::e2e::server::free_port()?);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare-server").arg(&address).arg(&file);
        let mut process = Background::start(&mut command, &dir.join("log"))?;
        let start = Instant::now();
        while std::net::TcpStream::connect(&address).is_err() {
            process.check()?;
            anyhow::ensure!(start.elapsed() < Duration::from_secs(10), "the bare server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { address, process })
    }
}

/// Loads each target at each concurrency, in turns, and returns the median of the rounds.
fn measure(targets: &[Target], era: Era, timing: &Timing) -> Result<Vec<report::Row>> {
    let mut samples: Vec<(usize, usize, Sample)> = Vec::new();
    for round in 0..ROUNDS {
        for callers in CONCURRENCY {
            for (index, target) in targets.iter().enumerate() {
                let load = Load { address: &target.address, question: &target.question, callers };
                client::run(&load, timing.warm_up)?;
                let before = memory::cpu_seconds(target.pid)?;
                let outcome = client::run(&load, timing.measure)?;
                let cpu = memory::cpu_seconds(target.pid)? - before;
                for failure in &outcome.failures {
                    println!("failure: {} at {callers} callers: {failure}", target.name);
                }
                let sample = Sample::of(outcome, cpu);
                println!(
                    "round {} {era:?} {:>2} callers {:<10} {:>8.0} calls/s  p50 {:>7.1} µs",
                    round + 1,
                    callers,
                    target.name,
                    sample.rate,
                    sample.p50
                );
                samples.push((callers, index, sample));
            }
        }
    }
    let mut rows = Vec::new();
    for callers in CONCURRENCY {
        for (index, target) in targets.iter().enumerate() {
            let own: Vec<&Sample> = samples
                .iter()
                .filter(|(c, i, _)| (*c, *i) == (callers, index))
                .map(|(_, _, sample)| sample)
                .collect();
            rows.push(report::Row { server: target.name, era, callers, sample: Sample::median(&own) });
        }
    }
    Ok(rows)
}

/// The median time from starting the process to its first answer, in milliseconds.
fn start_time(binary: &Path, times: usize) -> Result<f64> {
    let prepared: Prepared = prepare(binary, &fresh_dir("bench-start")?, &[])?;
    let mut took = Vec::new();
    for _ in 0..times {
        let start = Instant::now();
        let server = Server::start_polling(binary, &prepared, Duration::from_micros(500))?;
        let status =
            Client::new(&server.address, None, Era::Stateless).request("server/discover", json!({}))?.status;
        took.push(start.elapsed().as_secs_f64() * 1000.0);
        anyhow::ensure!(status == 401, "HTTP {status} to a caller without a key");
    }
    Ok(figures::median(&mut took))
}

/// Text fields of a JSON object, empty when absent.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
