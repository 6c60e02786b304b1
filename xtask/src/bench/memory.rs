//! What a server's processes use: memory and CPU time, read from `/proc` for the whole tree.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::client;
use crate::e2e::fresh_dir;
use crate::e2e::server::{Server, prepare, unlimited};

/// Proportional set size of a process tree, in MiB.
pub(super) struct Memory {
    pub(super) idle: f64,
    pub(super) abandoned: f64,
    pub(super) sessions: usize,
}

/// Measures a fresh server as shipped: at rest, and after sessions that were opened and never closed.
pub(super) fn measure(binary: &Path, sessions: usize) -> Result<Memory> {
    let prepared = prepare(binary, &fresh_dir("bench-memory")?, &unlimited())?;
    let server = Server::start(binary, &prepared)?;
    std::thread::sleep(Duration::from_secs(1));
    let idle = pss(server.pid())?;
    client::abandon(&server.address, prepared.key.as_deref(), sessions)?;
    std::thread::sleep(Duration::from_secs(1));
    Ok(Memory { idle, abandoned: pss(server.pid())?, sessions })
}

/// CPU seconds that a process tree has used, user and system, with children that ended.
pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    // SPEC: proc_pid_stat(5): fields 14 to 17 after the command name, in ticks of 1/100 s on Linux.
    let mut ticks = 0.0;
    for pid in tree(pid) {
        let Some(fields) = stat(pid) else { continue };
        ticks += fields.iter().skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
    }
    Ok(ticks / 100.0)
}

/// The proportional set size of a process tree, in MiB.
fn pss(pid: u32) -> Result<f64> {
    let mut kilobytes = 0.0;
    for pid in tree(pid) {
        let text =
            std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("cannot read memory use")?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
        kilobytes +=
            line.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()).unwrap_or_default();
    }
    Ok(kilobytes / 1024.0)
}

/// Watches the resident memory of a process tree from a thread of its own.
pub(super) struct Peak {
    stop: Arc<AtomicBool>,
    watcher: JoinHandle<f64>,
}

impl Peak {
    pub(super) fn watch(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let watcher = std::thread::spawn(move || {
            let mut peak = 0.0;
            while !stopped.load(Ordering::Relaxed) {
                peak = f64::max(peak, resident(pid));
                std::thread::sleep(Duration::from_millis(50));
            }
            peak
        });
        Self { stop, watcher }
    }

    /// The most that was seen, in MiB.
    pub(super) fn finish(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.watcher.join().unwrap_or_default()
    }
}

/// The resident memory of a process tree, in MiB; what processes share counts in each.
fn resident(pid: u32) -> f64 {
    let kilobytes = |pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()).unwrap_or_default()
    };
    tree(pid).into_iter().map(kilobytes).sum::<f64>() / 1024.0
}

/// A process and its descendants.
fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, stat(pid)?.get(1)?.parse().ok()?)))
        .collect();
    let mut pids = vec![root];
    let mut next = 0;
    while let Some(parent) = pids.get(next).copied() {
        pids.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    pids
}

/// The fields of a process after its name, which may itself hold spaces.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}
