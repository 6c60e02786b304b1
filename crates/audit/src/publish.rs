//! Turns acknowledged batches into the public form, in the background: tiles, entry bundles and a checkpoint that any
//! C2SP tlog-tiles client can read. Once an epoch is complete and published durably, its write-ahead file is removed.
//!
//! It follows the write-ahead file like any other reader, so nothing here can delay or change what is acknowledged.

use crate::error::{At, FileError};
use crate::files::{create_dir, replace};
use crate::layout;
use crate::records::LogRecord;
use crate::tlog::{
    Checkpoint, Hash, TILE_WIDTH, Tile, encode_bundle_entry, entries_path, leaf_hash, merkle_tree_hash,
};
use crate::wal::{Batch, WalReader};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The published form is at most this much older than what was acknowledged.
const INTERVAL: Duration = Duration::from_secs(1);
/// Leaf hashes that wait for a publisher which lags behind; it computes those beyond itself.
const MAX_LEAVES: usize = 1 << 17;

/// How far the writer has come. The only thing that writer and publisher share.
#[derive(Default)]
pub(crate) struct Progress {
    state: Mutex<ProgressState>,
    changed: Condvar,
}

#[derive(Default)]
struct ProgressState {
    epoch: u32,
    offset: u64,
    note: String,
    finished: bool,
    publisher_idle: bool,
    error: Option<String>,
    leaves: Leaves,
}

/// Leaf hashes of one epoch that the writer has computed already, so that the publisher need not hash the entries again. What
/// is published is checked against the signed root all the same.
#[derive(Default)]
struct Leaves {
    epoch: u32,
    /// The index in the tree of the first of them.
    first: u64,
    hashes: Vec<Hash>,
}

impl Leaves {
    /// Adds hashes that end at tree size `size`. Those of an earlier epoch, or before a gap, are forgotten.
    fn extend(&mut self, epoch: u32, size: u64, hashes: &[Hash]) {
        let first = size.saturating_sub(hashes.len() as u64);
        let follows = self.epoch == epoch && self.first.saturating_add(self.hashes.len() as u64) == first;
        if !follows || self.hashes.len() > MAX_LEAVES {
            *self = Leaves { epoch, first, hashes: Vec::new() };
        }
        self.hashes.extend_from_slice(hashes);
    }

    fn get(&self, epoch: u32, index: u64) -> Option<Hash> {
        let place = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.hashes.get(place).copied().filter(|_| self.epoch == epoch)
    }
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, ProgressState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The write-ahead file of `epoch` is durable up to `offset`, where `note` is its last checkpoint.
    ///
    /// `leaves` are the hashes of the last entries up to there, `size` the number of all.
    pub(crate) fn advance(&self, epoch: u32, offset: u64, note: String, size: u64, leaves: &[Hash]) {
        let mut state = self.lock();
        (state.epoch, state.offset, state.note) = (epoch, offset, note);
        state.leaves.extend(epoch, size, leaves);
        if state.publisher_idle {
            state.publisher_idle = false;
            self.changed.notify_one();
        }
    }

    /// The writer has stopped.
    pub(crate) fn finish(&self) {
        self.lock().finished = true;
        self.changed.notify_one();
    }

    /// The latest signed checkpoint.
    pub(crate) fn note(&self) -> String {
        self.lock().note.clone()
    }

    /// Epoch and write-ahead offset.
    pub(crate) fn position(&self) -> (u32, u64) {
        let state = self.lock();
        (state.epoch, state.offset)
    }

    /// [`position`](Self::position), and the leaf hashes that have come since the last time.
    fn take(&self) -> (u32, u64, Leaves) {
        let mut state = self.lock();
        (state.epoch, state.offset, std::mem::take(&mut state.leaves))
    }

    /// Why publishing fails at present, if it does.
    pub(crate) fn error(&self) -> Option<String> {
        self.lock().error.clone()
    }

    /// Waits for something new beyond `seen`, at least [`INTERVAL`] after the last time; returns whether the writer has stopped.
    fn wait(&self, seen: (u32, u64), error: Option<String>) -> bool {
        let mut state = self.lock();
        state.error = error;
        // Collect for an interval, unless the end has come.
        let wait = self.changed.wait_timeout_while(state, INTERVAL, |state| !state.finished);
        state = wait.unwrap_or_else(PoisonError::into_inner).0;
        while !state.finished && (state.epoch, state.offset) == seen && state.error.is_none() {
            state.publisher_idle = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.publisher_idle = false;
        state.finished
    }
}

/// The thread's body: publishes until the writer has stopped, then once more.
///
/// `first` is the oldest epoch that still has a write-ahead file.
pub(crate) fn run(dir: &Path, slot: u32, first: u32, progress: &Progress) {
    let mut number = first;
    let mut epoch = None;
    let mut last_round = false;
    loop {
        let (current, offset, leaves) = progress.take();
        let durable = Durable { epoch: current, offset, leaves };
        let result = publish_up_to(dir, slot, &mut number, &mut epoch, &durable);
        let failed = result.is_err();
        if failed {
            // The files on disk are as they were; begin this epoch afresh next time.
            epoch = None;
        }
        let error = result.err().map(|error| error.to_string());
        if last_round {
            progress.lock().error = error;
            return;
        }
        last_round = progress.wait((current, offset), error);
    }
}

/// What may be published: all epochs before `epoch`, and that one up to `offset` in its write-ahead file.
struct Durable {
    epoch: u32,
    offset: u64,
    leaves: Leaves,
}

fn publish_up_to(
    dir: &Path,
    slot: u32,
    number: &mut u32,
    open: &mut Option<EpochPublisher>,
    durable: &Durable,
) -> Result<(), FileError> {
    while *number <= durable.epoch {
        let mut epoch = match open.take() {
            Some(epoch) => epoch,
            None => match EpochPublisher::open(layout::epoch(dir, slot, *number), *number)? {
                Some(epoch) => epoch,
                None => {
                    *number = number.saturating_add(1);
                    continue;
                }
            },
        };
        // INVARIANT: nothing beyond what is durable is ever published.
        let complete = *number < durable.epoch;
        epoch.follow(if complete { u64::MAX } else { durable.offset }, &durable.leaves)?;
        epoch.publish()?;
        if !complete {
            *open = Some(epoch);
            return Ok(());
        }
        epoch.seal(&layout::epoch(dir, slot, number.saturating_add(1)))?;
        *number = number.saturating_add(1);
    }
    Ok(())
}

/// One epoch on its way to the public form. Holds the right edge only.
struct EpochPublisher {
    dir: PathBuf,
    number: u32,
    wal: WalReader,
    /// The incomplete tile of each level.
    levels: Vec<Level>,
    bundle: Vec<u8>,
    size: u64,
    published: u64,
    note: String,
}

#[derive(Default)]
struct Level {
    /// How many full tiles lie before.
    full: u64,
    hashes: Vec<Hash>,
}

impl EpochPublisher {
    fn open(dir: PathBuf, number: u32) -> Result<Option<EpochPublisher>, FileError> {
        let Some(wal) = WalReader::open(&layout::wal(&dir))? else { return Ok(None) };
        let (levels, bundle, note) = (Vec::new(), Vec::new(), String::new());
        Ok(Some(EpochPublisher { dir, number, wal, levels, bundle, size: 0, published: 0, note }))
    }

    fn follow(&mut self, limit: u64, leaves: &Leaves) -> Result<(), FileError> {
        self.wal.limit(limit);
        while let Some(batch) = self.wal.next()? {
            self.add(&batch, leaves)?;
        }
        Ok(())
    }

    fn add(&mut self, batch: &Batch, leaves: &Leaves) -> Result<(), FileError> {
        for entry in batch.entries() {
            let leaf = leaves.get(self.number, self.size).unwrap_or_else(|| leaf_hash(entry));
            // INVARIANT: entries were bounded when they were appended, below what a bundle can hold.
            if encode_bundle_entry(&mut self.bundle, entry).is_err() {
                return Err(self.broken("an entry is too long"));
            }
            self.size = self.size.saturating_add(1);
            if self.size.is_multiple_of(TILE_WIDTH) {
                let index = self.size / TILE_WIDTH - 1;
                self.write(&entries_path(index, TILE_WIDTH), &self.bundle)?;
                self.remove_partials(&entries_path(index, TILE_WIDTH))?;
                self.bundle.clear();
            }
            self.push(0, leaf)?;
        }
        self.note.clone_from(&batch.note);
        Ok(())
    }

    fn push(&mut self, level: usize, hash: Hash) -> Result<(), FileError> {
        if self.levels.len() <= level {
            self.levels.push(Level::default());
        }
        let Some(tile) = self.levels.get_mut(level) else { return Ok(()) };
        tile.hashes.push(hash);
        if (tile.hashes.len() as u64) < TILE_WIDTH {
            return Ok(());
        }
        let hashes = std::mem::take(&mut tile.hashes);
        let path = tile_path(level, tile.full, TILE_WIDTH);
        tile.full = tile.full.saturating_add(1);
        self.write(&path, hashes.as_flattened())?;
        self.remove_partials(&path)?;
        self.push(level.saturating_add(1), merkle_tree_hash(&hashes))
    }

    /// Writes partial tiles and bundle, then the checkpoint that needs them.
    fn publish(&mut self) -> Result<(), FileError> {
        if self.size == self.published || self.note.is_empty() {
            return Ok(());
        }
        let checkpoint = Checkpoint::parse_unverified(&self.note);
        if checkpoint.map(|checkpoint| (checkpoint.size, checkpoint.root)) != Some((self.size, self.root())) {
            return Err(self.broken("its entries are not those that were signed"));
        }
        let rest = self.size % TILE_WIDTH;
        if rest > 0 {
            self.write(&entries_path(self.size / TILE_WIDTH, rest), &self.bundle)?;
        }
        for (level, tile) in self.levels.iter().enumerate() {
            if !tile.hashes.is_empty() {
                let path = tile_path(level, tile.full, tile.hashes.len() as u64);
                self.write(&path, tile.hashes.as_flattened())?;
            }
        }
        replace(&layout::checkpoint(&self.dir), self.note.as_bytes())?;
        self.prune()?;
        self.published = self.size;
        Ok(())
    }

    /// Removes partial files that two checkpoints have outgrown; a reader of the one before still finds its own.
    fn prune(&self) -> Result<(), FileError> {
        // A level's hashes cover 256 of the level below, so its sizes are the tree's, shifted by 8 bits a level.
        let (mut now, mut before) = (self.size, self.published);
        for level in 0..self.levels.len() {
            let (index, outgrown) = (now / TILE_WIDTH, before % TILE_WIDTH);
            if index == before / TILE_WIDTH {
                self.remove_narrower(&tile_path(level, index, TILE_WIDTH), outgrown)?;
                if level == 0 {
                    self.remove_narrower(&entries_path(index, TILE_WIDTH), outgrown)?;
                }
            }
            (now, before) = (index, before / TILE_WIDTH);
        }
        Ok(())
    }

    fn root(&self) -> Hash {
        // The incomplete tiles from the top down are the tree, cut at the powers of 256.
        let mut root: Option<Hash> = None;
        for tile in self.levels.iter().filter(|tile| !tile.hashes.is_empty()) {
            let mut hashes = tile.hashes.clone();
            hashes.extend(root);
            root = Some(merkle_tree_hash(&hashes));
        }
        root.unwrap_or_else(|| merkle_tree_hash(&[]))
    }

    /// Makes the complete epoch durable in its public form, then removes the write-ahead file.
    ///
    /// INVARIANT: it is complete only if the next epoch's first entry names exactly what was published.
    fn seal(self, next: &Path) -> Result<(), FileError> {
        let named = match WalReader::open(&layout::wal(next))? {
            Some(mut wal) => {
                wal.next()?.and_then(|batch| LogRecord::parse(batch.entries().next()?)?.previous)
            }
            None => None,
        };
        if named.map(|head| (head.size, head.root())) != Some((self.published, Some(self.root()))) {
            return Err(self.broken("it is not what the next epoch continues"));
        }
        let directory = File::open(&self.dir).at("open", &self.dir)?;
        rustix::fs::syncfs(&directory).at("sync", &self.dir)?;
        fs::remove_file(self.wal.path()).at("remove", self.wal.path())
    }

    /// Writes one immutable file, unless it is there with the right length already (a restart publishes anew).
    fn write(&self, path: &str, content: &[u8]) -> Result<(), FileError> {
        let path = self.dir.join(path);
        if fs::metadata(&path).is_ok_and(|found| found.len() == content.len() as u64) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            create_dir(parent)?;
        }
        replace(&path, content)
    }

    /// A full tile makes its partial ones superfluous; readers fall back to the full one.
    fn remove_partials(&self, full: &str) -> Result<(), FileError> {
        let path = self.dir.join(format!("{full}.p"));
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.at("remove", &path),
        }
    }

    fn remove_narrower(&self, full: &str, width: u64) -> Result<(), FileError> {
        let dir = self.dir.join(format!("{full}.p"));
        for (path, found) in layout::partials(&dir)? {
            if found < width {
                fs::remove_file(&path).at("remove", &path)?;
            }
        }
        Ok(())
    }

    fn broken(&self, what: &'static str) -> FileError {
        FileError { action: "publish", path: self.wal.path().to_owned(), source: io::Error::other(what) }
    }
}

fn tile_path(level: usize, index: u64, width: u64) -> String {
    Tile { level: u8::try_from(level).unwrap_or(u8::MAX), index, width }.path()
}
