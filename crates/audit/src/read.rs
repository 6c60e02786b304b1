//! Reads entries back: in order of time over all slots, once or as they come.

use crate::error::{FileError, OpenError};
use crate::files::read_if_there;
use crate::follow::{Follower, Step};
use crate::keys::load_verifier;
use crate::layout;
use crate::tlog::{Checkpoint, TILE_WIDTH, Verifier, decode_bundle, entries_path};
use serde::Deserialize;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// One entry and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The slot.
    pub slot: u32,
    /// The epoch.
    pub epoch: u32,
    /// The position in the epoch's tree, from 0.
    pub index: u64,
    /// The record, JSON.
    pub bytes: Vec<u8>,
}

impl Entry {
    /// The record's time in microseconds since 1970 UTC; 0 when it has none.
    pub fn time(&self) -> u64 {
        #[derive(Deserialize)]
        struct Timed {
            t: u64,
        }
        serde_json::from_slice::<Timed>(&self.bytes).map(|timed| timed.t).unwrap_or(0)
    }
}

/// Why reading cannot go on. `audit verify` says more.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is there is not what was signed.
    #[error("`{}` is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl From<FileError> for ReadError {
    fn from(error: FileError) -> ReadError {
        ReadError::Open(error.into())
    }
}

/// The entries of all slots, merged by time; within a slot always in the order of the log.
///
/// An iterator that ended may be asked again: it then yields what was written since. That is how one follows a log.
pub struct Entries {
    slots: Vec<SlotEntries>,
    /// False before the first entry, and after an end that was reported.
    begun: bool,
    dir: PathBuf,
    verifier: Verifier,
}

/// Opens `dir` for reading; it may be served meanwhile.
///
/// # Errors
/// When the directory or its verifier key cannot be read.
pub fn read(dir: &Path) -> Result<Entries, OpenError> {
    let verifier = load_verifier(dir)?;
    Ok(Entries { slots: Vec::new(), begun: false, dir: dir.to_owned(), verifier })
}

impl Entries {
    /// Looks for new slots, and once more at the end of those that had ended.
    fn begin(&mut self) -> Result<(), ReadError> {
        for slot in layout::list_slots(&self.dir)? {
            if !self.slots.iter().any(|known| known.slot == slot) {
                self.slots.push(SlotEntries::new(slot));
            }
        }
        self.slots.iter_mut().for_each(|slot| slot.ended = false);
        self.begun = true;
        Ok(())
    }

    fn fill(&mut self) -> Result<(), ReadError> {
        if !self.begun {
            self.begin()?;
        }
        for slot in &mut self.slots {
            if slot.waiting.is_empty() && !slot.ended {
                slot.fill(&self.dir, &self.verifier)?;
                slot.ended = slot.waiting.is_empty();
            }
        }
        Ok(())
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.fill() {
            return Some(Err(error));
        }
        let waiting = self.slots.iter_mut().filter(|slot| !slot.waiting.is_empty());
        let entry = waiting.min_by_key(|slot| slot.next_time()).and_then(|slot| slot.waiting.pop_front());
        self.begun = entry.is_some();
        entry.map(|(_, entry)| Ok(entry))
    }
}

/// The entries of one slot, epoch after epoch.
struct SlotEntries {
    slot: u32,
    epoch: u32,
    source: Option<Source>,
    index: u64,
    ended: bool,
    /// With the time of each.
    waiting: VecDeque<(u64, Entry)>,
}

/// Where an epoch is read from.
enum Source {
    Wal(Box<Follower>),
    /// A complete epoch: its published bundles.
    Bundles {
        size: u64,
    },
}

impl SlotEntries {
    fn new(slot: u32) -> SlotEntries {
        SlotEntries { slot, epoch: 0, source: None, index: 0, ended: false, waiting: VecDeque::new() }
    }

    fn next_time(&self) -> u64 {
        self.waiting.front().map_or(u64::MAX, |(time, _)| *time)
    }

    fn fill(&mut self, dir: &Path, verifier: &Verifier) -> Result<(), ReadError> {
        while self.waiting.is_empty() {
            // INVARIANT: an epoch takes no more entries once the next one is there; so look for that first.
            let next = layout::list_epochs(dir, self.slot)?.into_iter().find(|number| *number > self.epoch);
            self.read_more(dir, verifier)?;
            let (true, Some(next)) = (self.waiting.is_empty(), next) else { break };
            (self.epoch, self.index) = (next, 0);
            self.source = self.open(dir, verifier)?;
        }
        Ok(())
    }

    fn open(&self, dir: &Path, verifier: &Verifier) -> Result<Option<Source>, ReadError> {
        if let Some(wal) = Follower::open(dir, self.slot, self.epoch, verifier)? {
            return Ok(Some(Source::Wal(Box::new(wal))));
        }
        let path = layout::checkpoint(&layout::epoch(dir, self.slot, self.epoch));
        let damaged = |what: String| ReadError::Damaged { path: path.clone(), what };
        let note = read_if_there(&path)?.ok_or_else(|| damaged("it is missing".to_owned()))?;
        let note = String::from_utf8(note).map_err(|error| damaged(error.to_string()))?;
        let checkpoint = Checkpoint::open(&note, verifier).map_err(|error| damaged(error.to_string()))?;
        Ok(Some(Source::Bundles { size: checkpoint.size }))
    }

    fn read_more(&mut self, dir: &Path, verifier: &Verifier) -> Result<(), ReadError> {
        let epoch_dir = layout::epoch(dir, self.slot, self.epoch);
        match &mut self.source {
            None => {}
            Some(Source::Wal(wal)) => match wal.next(verifier)? {
                Step::Batch(batch) => batch.entries().for_each(|entry| self.push(entry.to_vec())),
                Step::End { .. } => {}
                Step::Damaged { offset, what } => {
                    let what = format!("at byte {offset}: {what}");
                    return Err(ReadError::Damaged { path: layout::wal(&epoch_dir), what });
                }
            },
            Some(Source::Bundles { size }) => {
                let width = size.saturating_sub(self.index).min(TILE_WIDTH);
                if width > 0 {
                    let path = epoch_dir.join(entries_path(self.index / TILE_WIDTH, width));
                    let damaged = |what: String| ReadError::Damaged { path: path.clone(), what };
                    let bundle = read_if_there(&path)?.ok_or_else(|| damaged("it is missing".to_owned()))?;
                    let entries = decode_bundle(&bundle).map_err(|error| damaged(error.to_string()))?;
                    if entries.len() as u64 != width {
                        return Err(damaged(format!(
                            "it holds {} entries where {width} belong",
                            entries.len()
                        )));
                    }
                    entries.into_iter().for_each(|entry| self.push(entry.to_vec()));
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, bytes: Vec<u8>) {
        let entry = Entry { slot: self.slot, epoch: self.epoch, index: self.index, bytes };
        self.index = self.index.saturating_add(1);
        self.waiting.push_back((entry.time(), entry));
    }
}
