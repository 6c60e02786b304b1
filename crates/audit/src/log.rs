//! The open log of one process: one slot of the directory, continued where it ended.

use crate::error::{AppendError, At, FileError, OpenError};
use crate::files::create_dir;
use crate::keys::{FingerprintKey, load_or_create_signer};
use crate::layout::{self, MAX_SLOTS};
use crate::publish::{self, Progress};
use crate::queue::Queue;
use crate::recover::recover_slot;
use crate::space::Reserve;
use crate::writer::{Rotation, Writer};
use countersign_core::ports::{EntryClass, Ticket};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

#[cfg(test)]
mod tests;

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// First part of the key's name, when a key has to be made; without white space and `+`.
    pub name: String,
    /// Bytes that stay free on the log's disk for the outcomes of running calls.
    pub reserve: u64,
    /// When a new epoch begins.
    pub rotation: Rotation,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            name: "countersign.local".to_owned(),
            reserve: 64 * 1024 * 1024,
            rotation: Rotation::default(),
        }
    }
}

/// What the log is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The slot that this process writes.
    pub slot: u32,
    /// The epoch that is being written.
    pub epoch: u32,
    /// The latest signed checkpoint: what to keep elsewhere.
    pub checkpoint: String,
    /// Why entries are refused, if they are.
    pub failure: Option<String>,
    /// Why the published form lags behind, if it does. Nothing is lost by that.
    pub publishing: Option<String>,
}

/// An open log. Appending is queueing; [`durable`](Log::durable) is the acknowledgement.
pub struct Log {
    dir: PathBuf,
    slot: u32,
    reserve: Reserve,
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held as long as the log is open.
    lock: File,
}

/// What the log's threads share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) progress: Progress,
    pub(crate) fingerprint_key: RwLock<Option<FingerprintKey>>,
    #[cfg(test)]
    pub(crate) fail_sync: std::sync::atomic::AtomicBool,
}

impl Shared {
    /// The sync that every acknowledgement waits for.
    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        #[cfg(test)]
        if self.fail_sync.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(io::Error::other("the disk did not take it"));
        }
        file.sync_data()
    }
}

impl Log {
    /// Takes the first free slot of `dir`, checks that it holds all it acknowledged, and continues it.
    ///
    /// Makes the directory, its keys and a slot where there are none.
    ///
    /// # Errors
    /// When a file cannot be written, when a slot is damaged, when all slots are taken.
    pub fn open(dir: &Path, options: &Options) -> Result<Log, OpenError> {
        create_dir(dir)?;
        let signer = load_or_create_signer(dir, &options.name)?;
        let (slot, lock) = take_slot(dir)?;
        let found = recover_slot(dir, slot, signer.verifier())?;

        let shared = Arc::new(Shared::default());
        let oldest = oldest_wal(dir, slot)?;
        let writer = Writer::start(dir, slot, signer, options.rotation, found, Arc::clone(&shared))?;
        let (epoch, _) = shared.progress.position();
        let log = Log {
            dir: dir.to_owned(),
            slot,
            reserve: Reserve::new(dir, options.reserve),
            shared: Arc::clone(&shared),
            threads: Mutex::default(),
            lock,
        };
        log.spawn("audit-write", move || writer.run())?;
        let dir = dir.to_owned();
        log.spawn("audit-publish", move || {
            publish::run(&dir, slot, oldest.unwrap_or(epoch), &shared.progress);
        })?;
        Ok(log)
    }

    /// Queues one entry of 1 to [`MAX_ENTRY`](crate::MAX_ENTRY) bytes, in order. It is not durable yet.
    ///
    /// # Errors
    /// When the log has failed or is closed, when too much waits, and for an intent when the disk reserve is reached.
    pub fn append(&self, entry: &[u8], class: EntryClass) -> Result<Ticket, AppendError> {
        if class == EntryClass::Intent {
            // MUTATE(I4-reserve): new work uses up the room that running work needs to be recorded
            self.reserve.check()?;
        }
        self.shared.queue.append(entry)
    }

    /// Waits until the entry and all before it are on the disk under a signed checkpoint.
    ///
    /// # Errors
    /// When they never will be: the call that they belong to must not be answered.
    pub async fn durable(&self, ticket: Ticket) -> Result<(), AppendError> {
        self.shared.queue.durable(ticket).await
    }

    /// HMAC-SHA256 of `message` under the key of the current epoch.
    pub fn fingerprint(&self, message: &[u8]) -> [u8; 32] {
        let key = self.shared.fingerprint_key.read().unwrap_or_else(PoisonError::into_inner);
        // INVARIANT: a key is set before `open` returns, and only ever replaced.
        key.as_ref().map(|key| key.fingerprint(message)).unwrap_or_default()
    }

    /// What the log is doing.
    pub fn status(&self) -> Status {
        Status {
            slot: self.slot,
            epoch: self.shared.progress.position().0,
            checkpoint: self.shared.progress.note(),
            failure: self.shared.queue.failure().map(|error| error.to_string()),
            publishing: self.shared.progress.error(),
        }
    }

    /// The log's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes what waits and a stop record, publishes everything, and gives the slot free.
    ///
    /// # Errors
    /// When the log had failed, or fails now.
    pub fn close(&self) -> Result<(), AppendError> {
        self.shared.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let panicked = threads.into_iter().map(JoinHandle::join).any(|result| result.is_err());
        let _ = self.lock.unlock();
        match self.shared.queue.failure() {
            Some(AppendError::Closed) | None if !panicked => Ok(()),
            Some(failure) => Err(failure),
            None => Err(AppendError::Poisoned("a thread of the log ended early".to_owned())),
        }
    }

    fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), FileError> {
        let thread =
            thread::Builder::new().name(name.to_owned()).spawn(body).at("start a thread for", &self.dir)?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

/// Locks the first slot that no other process holds.
fn take_slot(dir: &Path) -> Result<(u32, File), OpenError> {
    for slot in 0..MAX_SLOTS {
        create_dir(&layout::slot(dir, slot))?;
        let path = layout::lock(dir, slot);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .at("open", &path)?;
        match file.try_lock() {
            Ok(()) => return Ok((slot, file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(FileError { action: "lock", path, source: error }.into());
            }
        }
    }
    Err(OpenError::NoFreeSlot { slots: MAX_SLOTS, path: dir.to_owned() })
}

/// The oldest epoch whose write-ahead file is still there: publishing resumes with it.
fn oldest_wal(dir: &Path, slot: u32) -> Result<Option<u32>, FileError> {
    let epochs = layout::list_epochs(dir, slot)?;
    Ok(epochs.into_iter().find(|epoch| layout::wal(&layout::epoch(dir, slot, *epoch)).exists()))
}
