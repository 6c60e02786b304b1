//! Measures the log alone: calls that append an intent and an outcome and wait once, at 1 and at 16 callers.
//!
//! `cargo run --release -p countersign-audit --example append_bench -- DIR` (DIR must be on a real disk).
#![allow(clippy::print_stdout, reason = "a measuring program prints its figures")]

use countersign_audit::{Log, Options};
use countersign_core::ports::EntryClass;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RUN_FOR: Duration = Duration::from_secs(3);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args_os().nth(1).map(PathBuf::from).ok_or("give the directory to write to")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    println!("callers  calls/s  p50 us  p99 us  cpu s per 10,000 calls");
    for callers in [1u32, 4, 16, 64] {
        let log = Arc::new(Log::open(&dir.join(callers.to_string()), &Options::default())?);
        let cpu_before = cpu_seconds()?;
        let began = Instant::now();
        let tasks: Vec<_> =
            (0..callers).map(|_| runtime.spawn(call_repeatedly(Arc::clone(&log), began))).collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(runtime.block_on(task)??);
        }
        let (elapsed, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu_before);
        times.sort_unstable();
        let quantile = |q: usize| times.get(times.len() * q / 100).map_or(0.0, |t| t.as_secs_f64() * 1e6);
        let calls = times.len() as f64;
        println!(
            "{callers:7} {:8.0} {:7.0} {:7.0} {:10.3}",
            calls / elapsed,
            quantile(50),
            quantile(99),
            cpu / calls * 1e4
        );
        log.close()?;
    }
    Ok(())
}

async fn call_repeatedly(
    log: Arc<Log>,
    began: Instant,
) -> Result<Vec<Duration>, countersign_audit::AppendError> {
    let record = format!(r#"{{"v":1,"kind":"bench","padding":"{}"}}"#, "x".repeat(360));
    let mut times = Vec::new();
    while began.elapsed() < RUN_FOR {
        let start = Instant::now();
        log.append(record.as_bytes(), EntryClass::Intent)?;
        let ticket = log.append(record.as_bytes(), EntryClass::Closing)?;
        log.durable(ticket).await?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// User and system time of this process.
fn cpu_seconds() -> Result<f64, std::io::Error> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / 100.0)
}
