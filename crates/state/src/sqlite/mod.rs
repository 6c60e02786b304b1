//! The embedded store: one SQLite file in WAL mode, mode 0600, that several local processes share. Work runs on threads that may block.

mod approvals;
mod keys;
mod once;
mod rates;
mod runs;
mod schema;
mod seen;
mod stops;
mod volumes;

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use countersign_core::{
    Label,
    limits::{Lease, Rate},
};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::{
    error::StateError,
    stops::{StopKind, StopRow},
    store::{Judged, KeyRow, NewRequest, OnceRow, RequestRow, Store, UseRow, VoteRow},
    time::{micros, time},
};

/// How long a step waits for another process.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// A store in one file.
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// Device and inode of the file that is open.
    file: (u64, u64),
    connection: Mutex<Connection>,
    /// What only reads waits for no writer, in this process as little as in another.
    reader: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens the store at `path`, made if it is not there. Blocks.
    ///
    /// # Errors
    /// If the file cannot be used, is open to others, or was written by a newer program.
    pub fn open(path: &Path) -> Result<SqliteStore, StateError> {
        let io = |action, source| StateError::Io { action, path: path.to_owned(), source };
        // INVARIANT: the file is private before SQLite writes to it; its journal files take its mode.
        let made =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let meta = made.and_then(|file| file.metadata()).map_err(|e| io("open", e))?;
        let mode = meta.mode() & 0o777;
        // MUTATE(P4-private): a state file that others can write to is used
        if mode & 0o077 != 0 {
            return Err(StateError::OpenToOthers { path: path.to_owned(), mode });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(LOCK_WAIT)?;
        // An acknowledged step survives a power cut: every commit is synced.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;",
        )?;
        schema::migrate(&mut connection)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(path, flags)?;
        reader.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
        let inner = Inner {
            path: path.to_owned(),
            file: (meta.dev(), meta.ino()),
            connection: Mutex::new(connection),
            reader: Mutex::new(reader),
        };
        Ok(SqliteStore { inner: Arc::new(inner) })
    }

    /// Runs `step` as one transaction, on a thread that may block. Writers queue: no step sees half of another.
    async fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Transaction<'_>) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        self.within(|inner| &inner.connection, TransactionBehavior::Immediate, step).await
    }

    /// The same for what only reads: it waits for no writer.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Transaction<'_>) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        // MUTATE(P4-reader): what only reads waits for writers
        self.within(|inner| &inner.reader, TransactionBehavior::Deferred, look).await
    }

    async fn within<T: Send + 'static>(
        &self,
        connection: fn(&Inner) -> &Mutex<Connection>,
        behavior: TransactionBehavior,
        step: impl FnOnce(&Transaction<'_>) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let inner = Arc::clone(&self.inner);
        let work = move || {
            inner.is_same()?;
            let mut connection = connection(&inner).lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction_with_behavior(behavior)?;
            let done = step(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(StateError::Lost))
    }
}

impl Inner {
    /// INVARIANT: the file under the path is the one that is open; on another one, other processes would decide otherwise.
    fn is_same(&self) -> Result<(), StateError> {
        let replaced = || StateError::Replaced { path: self.path.clone() };
        let meta = fs::metadata(&self.path).map_err(|_| replaced())?;
        if (meta.dev(), meta.ino()) == self.file { Ok(()) } else { Err(replaced()) }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn ask(&self, new: NewRequest, limit: u32) -> Result<Option<String>, StateError> {
        self.step(move |t| approvals::ask(t, &new, limit)).await
    }

    async fn open_requests(&self, principal: &str, now: u64) -> Result<u32, StateError> {
        let principal = principal.to_owned();
        self.look(move |t| approvals::open_requests(t, &principal, now)).await
    }

    async fn pending(&self, bound: [u8; 32], now: u64) -> Result<Option<RequestRow>, StateError> {
        self.step(move |t| approvals::pending(t, bound, now)).await
    }

    async fn request(&self, id: &str) -> Result<Option<RequestRow>, StateError> {
        let id = id.to_owned();
        self.step(move |t| approvals::by_id(t, &id)).await
    }

    async fn requests(&self, limit: u32) -> Result<Vec<RequestRow>, StateError> {
        self.step(move |t| approvals::latest(t, limit)).await
    }

    async fn vote(&self, id: &str, vote: VoteRow) -> Result<bool, StateError> {
        let id = id.to_owned();
        self.step(move |t| approvals::vote(t, &id, &vote)).await
    }

    async fn consume(&self, id: &str, by: UseRow, judged: Judged) -> Result<bool, StateError> {
        let id = id.to_owned();
        self.step(move |t| approvals::consume(t, &id, &by, &judged)).await
    }

    async fn close(&self, id: &str, call: &str, end: &str) -> Result<(), StateError> {
        let (id, call, end) = (id.to_owned(), call.to_owned(), end.to_owned());
        self.step(move |t| approvals::close(t, &id, &call, &end)).await
    }

    async fn resolve(&self, call: &str, end: &str, ran: bool) -> Result<bool, StateError> {
        let (call, end) = (call.to_owned(), end.to_owned());
        self.step(move |t| {
            let resolved = approvals::resolve(t, &call, &end)?;
            if resolved {
                once::resolve(t, &call, ran)?;
            }
            Ok(resolved)
        })
        .await
    }

    async fn open_uses(&self) -> Result<Vec<RequestRow>, StateError> {
        self.step(approvals::open_uses).await
    }

    async fn enroll(&self, key: KeyRow) -> Result<bool, StateError> {
        self.step(move |t| keys::enroll(t, &key)).await
    }

    async fn keys(&self) -> Result<Vec<KeyRow>, StateError> {
        self.step(keys::all).await
    }

    async fn revoke(&self, key: KeyRow) -> Result<(), StateError> {
        self.step(move |t| keys::revoke(t, &key)).await
    }

    async fn once_begin(&self, row: OnceRow) -> Result<Option<OnceRow>, StateError> {
        self.step(move |t| once::begin(t, &row)).await
    }

    async fn once_take_over(&self, from: &str, row: OnceRow) -> Result<bool, StateError> {
        let from = from.to_owned();
        self.step(move |t| once::take_over(t, &from, &row)).await
    }

    async fn once_phase(
        &self,
        key: [u8; 32],
        call: &str,
        phase: &str,
        answer: &str,
    ) -> Result<(), StateError> {
        let (call, phase, answer) = (call.to_owned(), phase.to_owned(), answer.to_owned());
        self.step(move |t| once::phase(t, key, &call, &phase, &answer)).await
    }

    async fn once_free(&self, key: [u8; 32], call: &str) -> Result<(), StateError> {
        let call = call.to_owned();
        self.step(move |t| once::free(t, key, &call)).await
    }

    async fn stop(&self, row: StopRow) -> Result<(), StateError> {
        self.step(move |t| stops::add(t, &row)).await
    }

    async fn thaw(&self, kind: StopKind, what: &str) -> Result<bool, StateError> {
        let what = what.to_owned();
        self.step(move |t| stops::remove(t, kind, &what)).await
    }

    async fn stops(&self) -> Result<Vec<StopRow>, StateError> {
        self.look(stops::all).await
    }

    async fn seen_once(&self, key: [u8; 32], now: u64, until: u64) -> Result<bool, StateError> {
        self.step(move |t| seen::once(t, key, now, until)).await
    }

    async fn lease(&self, key: [u8; 32], rate: Rate, want: u32) -> Result<Lease, StateError> {
        self.step(move |t| rates::lease(t, key, rate, want)).await
    }

    async fn charge(&self, key: [u8; 32], by: [u64; 2]) -> Result<[u64; 2], StateError> {
        self.step(move |t| volumes::charge(t, key, by)).await
    }

    async fn count(&self, run: [u8; 32], calls: u64, now: u64, since: u64) -> Result<u64, StateError> {
        self.step(move |t| volumes::count(t, run, calls, now, since)).await
    }

    async fn run_of(
        &self,
        holder: [u8; 32],
        fresh: &str,
        now: u64,
        since: u64,
    ) -> Result<String, StateError> {
        let fresh = fresh.to_owned();
        self.step(move |t| runs::of(t, holder, &fresh, now, since)).await
    }

    async fn run_label(&self, run: [u8; 32], now: u64) -> Result<Label, StateError> {
        self.step(move |t| runs::read(t, run, now)).await
    }

    async fn run_join(&self, run: [u8; 32], label: Label, now: u64) -> Result<Label, StateError> {
        self.step(move |t| runs::join(t, run, label, now)).await
    }

    async fn forget(&self, before: u64) -> Result<(), StateError> {
        self.step(move |t| {
            once::forget(t, before)?;
            stops::forget(t, before)?;
            rates::forget(t, before)?;
            runs::forget(t, before)?;
            volumes::forget(t, before)?;
            approvals::forget(t, before)
        })
        .await
    }
}
