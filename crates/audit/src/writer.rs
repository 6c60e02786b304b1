//! The one thread that writes a slot: takes what waits, signs once, writes once, syncs once, then acknowledges.

use crate::error::{AppendError, At, FileError, OpenError};
use crate::files::{create_dir_with, sync_dir};
use crate::heads::{HeadFile, other_heads};
use crate::keys::FingerprintKey;
use crate::layout;
use crate::log::Shared;
use crate::queue::Taken;
use crate::records::{FORMAT, Head, LogEvent, LogRecord};
use crate::recover::SlotState;
use crate::tlog::{Checkpoint, Frontier, Hash, Signer, leaf_hash};
use crate::wal::{MAGIC, put_checkpoint, put_entry};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Space is claimed from the disk in steps of this size, so that a sync seldom has to record a new file length.
const PREALLOCATE: u64 = 1024 * 1024;
/// An intent and an outcome.
const ENTRIES_OF_A_CALL: usize = 2;
/// How long entries gather between two batches while several callers are at work.
const GATHER: Duration = Duration::from_micros(150);

/// When an epoch is complete and the next one begins.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// Bytes in the write-ahead file. It is read whole at every start.
    pub bytes: u64,
    /// Entries in the tree.
    pub entries: u64,
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation { bytes: 64 * 1024 * 1024, entries: 1 << 18 }
    }
}

/// The open end of a slot.
pub(crate) struct Writer {
    dir: PathBuf,
    slot: u32,
    signer: Signer,
    rotation: Rotation,
    epoch: Epoch,
    head: Option<HeadFile>,
    batch: Vec<u8>,
    /// The leaf hashes of the entries in `batch`.
    leaves: Vec<Hash>,
    shared: Arc<Shared>,
}

/// The tree that is being written.
struct Epoch {
    number: u32,
    origin: String,
    file: File,
    path: PathBuf,
    offset: u64,
    allocated: u64,
    frontier: Frontier,
    last: Option<Checkpoint>,
}

impl Writer {
    /// Continues a recovered slot: cuts the torn tail, writes and commits the start record.
    pub(crate) fn start(
        dir: &Path,
        slot: u32,
        signer: Signer,
        rotation: Rotation,
        found: SlotState,
        shared: Arc<Shared>,
    ) -> Result<Writer, OpenError> {
        let SlotState { epoch, replayed, previous } = found;
        let epoch = match &replayed.last {
            Some(_) => Epoch::reopen(dir, slot, epoch, &signer, replayed)?,
            None => Epoch::create(dir, slot, epoch.max(1), &signer)?,
        };
        let witnessed = other_heads(dir, slot, signer.verifier())?;
        let mut writer = Writer {
            dir: dir.to_owned(),
            slot,
            signer,
            rotation,
            epoch,
            head: None,
            batch: Vec::new(),
            leaves: Vec::new(),
            shared,
        };
        writer.use_fingerprint_key()?;
        let previous =
            previous.map(|checkpoint| Head::new(slot, writer.epoch.number.saturating_sub(1), &checkpoint));
        let record = writer.record(LogEvent::Start, previous, witnessed);
        writer.stage_own(&record);
        writer.write_batch()?;
        // INVARIANT: the head exists durably before anything but the first start record is acknowledged.
        let head = HeadFile::open(dir, slot)?;
        writer.head = Some(head);
        writer.publish_head()?;
        if let Some(head) = &writer.head {
            head.sync()?;
        }
        Ok(writer)
    }

    /// Runs until the queue is closed or a write fails.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut taken = Taken::default();
        loop {
            shared.queue.take(&mut taken);
            if let Err(error) = self.commit(&taken) {
                // INVARIANT: after a failed write or sync the state of the file is unknown. Nothing is retried.
                shared.queue.fail(AppendError::Poisoned(error.to_string()));
                break;
            }
            shared.queue.committed(taken.last);
            if taken.closing {
                shared.queue.fail(AppendError::Closed);
                break;
            }
            // Several calls at once: let more of them gather, so that they share one signature and one sync. A lone caller never waits here.
            if taken.leaves.len() > ENTRIES_OF_A_CALL {
                thread::sleep(GATHER);
            }
        }
        shared.progress.finish();
    }

    fn commit(&mut self, taken: &Taken) -> Result<(), OpenError> {
        if !taken.leaves.is_empty() {
            self.rotate_if_due()?;
            self.batch.extend_from_slice(&taken.frames);
            self.stage(&taken.leaves);
        }
        if taken.closing {
            let record = self.record(LogEvent::Stop, None, Vec::new());
            self.stage_own(&record);
        }
        if self.batch.is_empty() {
            return Ok(());
        }
        self.write_batch()?;
        self.publish_head()?;
        if let (true, Some(head)) = (taken.closing, &self.head) {
            head.sync()?;
        }
        Ok(())
    }

    fn rotate_if_due(&mut self) -> Result<(), OpenError> {
        let Some(last) = &self.epoch.last else { return Ok(()) };
        if self.epoch.offset < self.rotation.bytes && self.epoch.frontier.size() < self.rotation.entries {
            return Ok(());
        }
        let previous = Head::new(self.slot, self.epoch.number, last);
        let number = self.epoch.number.saturating_add(1);
        self.epoch = Epoch::create(&self.dir, self.slot, number, &self.signer)?;
        self.use_fingerprint_key()?;
        let witnessed = other_heads(&self.dir, self.slot, self.signer.verifier())?;
        let record = self.record(LogEvent::Rotate, Some(previous), witnessed);
        self.stage_own(&record);
        Ok(())
    }

    fn use_fingerprint_key(&self) -> Result<(), OpenError> {
        let key = FingerprintKey::load_or_create(&self.dir, self.slot, self.epoch.number)?;
        *self.shared.fingerprint_key.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(())
    }

    fn record(&self, kind: LogEvent, previous: Option<Head>, witnessed: Vec<Head>) -> LogRecord {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let t = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        LogRecord { v: FORMAT, kind, t, slot: self.slot, epoch: self.epoch.number, previous, witnessed }
    }

    fn stage_own(&mut self, record: &LogRecord) {
        let entry = record.to_bytes();
        put_entry(&mut self.batch, &entry);
        self.stage(&[leaf_hash(&entry)]);
    }

    fn stage(&mut self, leaves: &[Hash]) {
        self.leaves.extend_from_slice(leaves);
        leaves.iter().for_each(|leaf| self.epoch.frontier.push(*leaf));
    }

    /// Closes the staged batch with a checkpoint; one write, one sync.
    fn write_batch(&mut self) -> Result<(), OpenError> {
        let epoch = &mut self.epoch;
        let checkpoint = Checkpoint {
            origin: epoch.origin.clone(),
            size: epoch.frontier.size(),
            root: epoch.frontier.root(),
        };
        let note = checkpoint.sign(&self.signer)?;
        put_checkpoint(&mut self.batch, &note);
        epoch.allocate(self.batch.len() as u64);
        epoch.file.write_all_at(&self.batch, epoch.offset).at("write", &epoch.path)?;
        // MUTATE(L2-durable): entries are acknowledged before they are on the disk
        self.shared.sync(&epoch.file).at("sync", &epoch.path)?;
        epoch.offset = epoch.offset.saturating_add(self.batch.len() as u64);
        self.shared.progress.advance(epoch.number, epoch.offset, note, checkpoint.size, &self.leaves);
        epoch.last = Some(checkpoint);
        self.batch.clear();
        self.leaves.clear();
        Ok(())
    }

    fn publish_head(&mut self) -> Result<(), FileError> {
        match &self.head {
            Some(head) => head.write(&self.shared.progress.note()),
            None => Ok(()),
        }
    }
}

impl Epoch {
    /// Begins an epoch that has no entry yet, whatever a crash may have left of it.
    fn create(dir: &Path, slot: u32, number: u32, signer: &Signer) -> Result<Epoch, OpenError> {
        let epoch_dir = layout::epoch(dir, slot, number);
        // INVARIANT: an epoch appears with its log file, so that one without has lost it.
        create_dir_with(&epoch_dir, layout::WAL)?;
        let mut epoch = Epoch::open(dir, slot, number, signer)?;
        epoch.file.set_len(0).at("truncate", &epoch.path)?;
        epoch.allocate(PREALLOCATE);
        epoch.file.write_all_at(MAGIC, 0).at("write", &epoch.path)?;
        epoch.offset = MAGIC.len() as u64;
        epoch.file.sync_all().at("sync", &epoch.path)?;
        for directory in [epoch_dir.as_path(), &layout::slot(dir, slot), dir] {
            sync_dir(directory)?;
        }
        Ok(epoch)
    }

    /// Continues an epoch behind its last acknowledged batch.
    fn reopen(
        dir: &Path,
        slot: u32,
        number: u32,
        signer: &Signer,
        replayed: crate::recover::Replayed,
    ) -> Result<Epoch, OpenError> {
        let mut epoch = Epoch::open(dir, slot, number, signer)?;
        epoch.file.set_len(replayed.end).at("truncate", &epoch.path)?;
        epoch.offset = replayed.end;
        epoch.allocated = replayed.end;
        epoch.frontier = replayed.frontier;
        epoch.last = replayed.last;
        epoch.allocate(PREALLOCATE);
        epoch.file.sync_all().at("sync", &epoch.path)?;
        Ok(epoch)
    }

    fn open(dir: &Path, slot: u32, number: u32, signer: &Signer) -> Result<Epoch, FileError> {
        let path = layout::wal(&layout::epoch(dir, slot, number));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .at("open", &path)?;
        Ok(Epoch {
            number,
            origin: layout::origin(signer.verifier().name(), slot, number),
            file,
            path,
            offset: 0,
            allocated: 0,
            frontier: Frontier::default(),
            last: None,
        })
    }

    /// Claims space ahead of a write of `length` bytes. Failure is no error here: the write itself will tell.
    fn allocate(&mut self, length: u64) {
        let needed = self.offset.saturating_add(length);
        if needed > self.allocated {
            let wanted = needed.saturating_add(PREALLOCATE);
            let grown = wanted.saturating_sub(self.allocated);
            let _ = fallocate(&self.file, FallocateFlags::empty(), self.allocated, grown);
            self.allocated = wanted;
        }
    }
}
