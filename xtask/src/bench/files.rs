//! A file of 1 MiB: read in this process, answered from memory by the same server, and read through the file tool.
//!
//! The floor is what a call costs that returns as many bytes and touches no file: parsing, policy, redaction, encoding twice, the network.
//! What the tool adds to that is the file.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::client::{self, Load};
use super::figures::{self, Sample};
use super::question::Question;
use crate::e2e::fresh_dir;
use crate::e2e::http::Era;
use crate::e2e::server::{Server, prepare, unlimited};
use crate::workspace;

const BYTES: usize = 1 << 20;
/// How much slower than a direct read and the floor together a read may be.
const LIMIT: f64 = 1.3;

pub(super) fn main(args: &[String]) -> Result<()> {
    let quick = args.iter().any(|arg| arg == "--quick");
    let (rounds, time) = if quick { (1, Duration::from_millis(600)) } else { (5, Duration::from_secs(2)) };
    let binary = super::bench_binary()?;
    let dir = fresh_dir("bench-files")?;
    let mut settings = unlimited();
    settings.extend([("danger.audit_off", true.into()), ("files.bench.root", "files".into())]);
    let prepared = prepare(&binary, &dir, &settings)?;
    prepared.permit_server("bench")?;
    let file = dir.join("files/large.txt");
    std::fs::create_dir(dir.join("files"))?;
    std::fs::write(&file, text())?;
    let server = Server::start(&binary, &prepared)?;

    let key = prepared.key.as_deref();
    let ask = |tool, arguments| {
        Question::listed(Era::Stateless, key, tool, vec![(arguments, LINE.trim_end().to_owned())])
    };
    let questions = [
        ("from memory", ask("bench_text", json!({"line": LINE, "bytes": BYTES}))),
        ("read_file", ask("read_file", json!({"path": "large.txt"}))),
    ];
    let mut samples = [Vec::new(), Vec::new()];
    let mut direct = Vec::new();
    for round in 0..rounds {
        direct.push(read_directly(&file, time / 4)?);
        for ((name, question), samples) in questions.iter().zip(&mut samples) {
            let load = Load { address: &server.address, question, callers: 1 };
            client::run(&load, time / 4)?;
            let outcome = client::run(&load, time)?;
            anyhow::ensure!(outcome.errors == 0, "{name}: {}", outcome.failures.join("; "));
            let sample = Sample::of(outcome, 0.0);
            println!("round {} {name:<12} p50 {:>8.1} µs", round + 1, sample.p50);
            samples.push(sample.p50);
        }
    }
    let direct = figures::median(&mut direct);
    let [floor, read] = samples.map(|mut values| figures::median(&mut values));
    let ratio = read / (direct + floor);
    println!("\n| 1 MiB, one caller | p50, µs |\n|---|---:|");
    println!(
        "| direct read in process | {direct:.0} |\n| the call's own floor: as many bytes from memory | {floor:.0} |"
    );
    println!(
        "| `read_file` | {read:.0} |\n\n`read_file` takes {ratio:.2} times a direct read and the floor together; at most {LIMIT} is promised."
    );
    let path = workspace::work_dir().join("bench-files.json");
    let figures =
        json!({"bytes": BYTES, "direct_us": direct, "floor_us": floor, "read_us": read, "ratio": ratio});
    std::fs::write(&path, serde_json::to_string_pretty(&figures)?)?;
    println!("written: {}", path.display());
    anyhow::ensure!(ratio <= LIMIT, "reading a file costs {ratio:.2} times a direct read and the floor");
    Ok(())
}

/// What the file and the answer from memory consist of.
const LINE: &str = "The quick brown fox jumps over the lazy dog, and the dog does not mind at all.\n";

fn text() -> String {
    LINE.chars().cycle().take(BYTES).collect()
}

/// The median time to read the file in this process, in microseconds.
fn read_directly(file: &std::path::Path, time: Duration) -> Result<f64> {
    let mut took = Vec::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let start = Instant::now();
        let content = std::fs::read(file).context("cannot read the file")?;
        took.push(start.elapsed().as_secs_f64() * 1e6);
        anyhow::ensure!(content.len() == BYTES, "the file has another size");
    }
    Ok(figures::median(&mut took))
}
