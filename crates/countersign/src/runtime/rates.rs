//! Rate counters, and what of an hour's rows and bytes is used up, in a file, for processes that come and go: a stdio process started anew goes on with the limits of the one before.
//!
//! The file holds one line a key: the SHA-256 of the key and a theoretical arrival time in microseconds since 1970. It is locked while it
//! is read and written. A file that cannot be read or written refuses the call.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use countersign_core::{
    Digest,
    limits::{Lease, Rate, RateStore},
};

/// The first line: the format's version.
const HEADER: &str = "countersign rates v1";
/// Larger than any file that this program writes.
const MAX_BYTES: u64 = 1 << 20;

/// Rates in one locked file.
pub(crate) struct FileRates {
    file: Mutex<File>,
}

impl FileRates {
    /// Opens or creates the file, readable by its owner alone.
    pub(crate) fn open(path: &Path) -> std::io::Result<FileRates> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        Ok(FileRates { file: Mutex::new(file) })
    }
}

#[async_trait]
impl RateStore for FileRates {
    async fn lease(&self, key: &str, rate: Rate, want: u32, now: u64) -> Result<Lease, String> {
        self.locked(|file| {
            exchange(file, key, |arrival| match rate.lease(arrival, now, want) {
                (Lease::Wait(micros), _) => (Lease::Wait(micros), None),
                (granted, next) => (granted, Some(next)),
            })
        })
    }

    async fn charge(&self, principal: &str, by: [u64; 2], now: u64) -> Result<[u64; 2], String> {
        let [rows, bytes] = by;
        self.locked(|file| {
            let mut charge = |kind: &str, by: u64| {
                exchange(file, &format!("{kind}\u{0}{principal}"), |until| {
                    // MUTATE(I1-volume-file): rows and bytes of an hour begin anew with each process
                    let next = until.max(now).saturating_add(by);
                    (next.saturating_sub(now), Some(next))
                })
            };
            Ok([charge("rows", rows)?, charge("bytes", bytes)?])
        })
    }
}

impl FileRates {
    /// Works on the file while no other process does.
    fn locked<T>(&self, work: impl FnOnce(&mut File) -> Result<T, String>) -> Result<T, String> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.lock().map_err(|e| format!("the rate file cannot be locked: {e}"))?;
        let done = work(&mut file);
        let unlocked = file.unlock().map_err(|e| format!("the rate file cannot be unlocked: {e}"));
        unlocked.and(done)
    }
}

/// Puts what `step` makes of the time of a key, if anything, in its place.
fn exchange<T>(file: &mut File, key: &str, step: impl FnOnce(u64) -> (T, Option<u64>)) -> Result<T, String> {
    let io = |e: std::io::Error| format!("the rate file cannot be used: {e}");
    let key = &Digest::of(key.as_bytes()).to_string();
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(io)?;
    let mut entries = parse(&text)?;
    let known = entries.iter().position(|(name, _)| name == key);
    let arrival = known.and_then(|at| entries.get(at)).map_or(0, |(_, arrival)| *arrival);
    let (outcome, next) = step(arrival);
    let Some(next) = next else { return Ok(outcome) };
    entries.retain(|(name, arrival)| name != key && *arrival > now());
    entries.push((key.to_owned(), next));
    let mut written = String::from(HEADER);
    for (name, arrival) in &entries {
        written.push_str(&format!("\n{name} {arrival}"));
    }
    written.push('\n');
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    file.write_all(written.as_bytes()).map_err(io)?;
    file.set_len(written.len() as u64).map_err(io)?;
    Ok(outcome)
}

/// INVARIANT: a file that is not understood is an error, never an empty set of limits; only a new, empty file is empty.
fn parse(text: &str) -> Result<Vec<(String, u64)>, String> {
    let mut lines = text.lines();
    match lines.next() {
        None => return Ok(Vec::new()),
        Some(HEADER) => {}
        Some(_) => return Err("the rate file is damaged; remove it to start anew".into()),
    }
    let entry = |line: &str| {
        let (name, arrival) = line.split_once(' ')?;
        Some((name.to_owned(), arrival.parse().ok()?))
    };
    lines
        .map(|line| entry(line).ok_or_else(|| "the rate file is damaged; remove it to start anew".to_owned()))
        .collect()
}

pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
