//! The store of a fleet: a PostgreSQL database that any number of processes on any number of machines share.
//!
//! Almost every step is one statement, and so one round trip and one transaction of its own: a compare-and-set that the server
//! decides. The connection is not made here: whoever composes the program injects a [`Dial`].
//!
//! INVARIANT: a step that the server did not confirm is an error, and an error refuses.

mod approvals;
mod keys;
mod listen;
mod once;
mod pool;
mod rates;
mod runs;
mod schema;
mod seen;
mod session;
mod stops;
mod volumes;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use countersign_core::{
    Label,
    limits::{Lease, Rate},
};
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use self::{
    listen::Listener,
    pool::{Pool, Work},
    session::Session,
};
use crate::{
    error::StateError,
    stops::{StopKind, StopRow},
    store::{Judged, KeyRow, NewRequest, OnceRow, RequestRow, Store, UseRow, VoteRow},
};

/// A stream of bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// The way to the server.
#[async_trait]
pub trait Dial: Send + Sync {
    /// A new stream to the server, on which passwords and state may travel: verified, or within this machine.
    ///
    /// # Errors
    /// Why there is none.
    async fn dial(&self) -> Result<Box<dyn Duplex>, String>;
}

/// Who logs in where, and how often at once.
#[derive(Clone)]
pub struct PostgresSettings {
    /// The role.
    pub user: String,
    /// Its password, if it needs one.
    pub password: Option<Zeroizing<String>>,
    /// The database.
    pub database: String,
    /// Sessions at most, beside one that listens.
    pub connections: usize,
    /// How long a step may take, with waiting for a session and connecting.
    pub patience: Duration,
}

impl fmt::Debug for PostgresSettings {
    /// INVARIANT: the password is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSettings").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    pool: Arc<Pool>,
    /// One session for what is stopped, which waits behind no other step.
    watching: Arc<Pool>,
    /// Begins when somebody wants to hear.
    listener: OnceLock<Listener>,
}

impl PostgresStore {
    /// Opens the store and brings its tables to the newest version. Needs a tokio runtime, now and later.
    ///
    /// # Errors
    /// If the server cannot be reached, refuses the role, lacks the schema, or was used by a newer program.
    pub async fn open(dial: Arc<dyn Dial>, settings: PostgresSettings) -> Result<PostgresStore, StateError> {
        let mut session = Session::open_any(&*dial, &settings).await?;
        schema::migrate(&mut session.client).await?;
        let one = PostgresSettings { connections: 1, ..settings.clone() };
        let watching = Arc::new(Pool::new(Arc::clone(&dial), one));
        let pool = Arc::new(Pool::new(dial, settings));
        Ok(PostgresStore { pool, watching, listener: OnceLock::new() })
    }

    /// What an operator should mend on the server, in plain words; nothing if all is well.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn examine(&self) -> Result<Vec<&'static str>, StateError> {
        let sql = "SELECT rolsuper, rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication,
                   current_setting('fsync') <> 'on', current_setting('full_page_writes') <> 'on'
                   FROM pg_roles WHERE rolname = current_user";
        self.step(move |s| {
            Box::pin(async move {
                let rows = s.rows(sql, &[]).await?;
                let row = rows.first().ok_or(StateError::Lost)?;
                let said = [
                    "its role is a superuser; use one that owns the schema `countersign` and nothing else",
                    "its role may do more than own a schema: create roles or databases, replicate, or pass row-level security",
                    "`fsync` is off there: what was confirmed can be lost, and an approval be used twice",
                    "`full_page_writes` is off there: a power cut can damage it",
                ];
                let mut found = Vec::new();
                for (column, text) in said.into_iter().enumerate() {
                    if session::get(row, column)? {
                        found.push(text);
                    }
                }
                Ok(found)
            })
        })
        .await
    }

    /// Does a step. INVARIANT: one that has begun is finished, whether or not its caller still waits.
    async fn step<T: Send + 'static>(
        &self,
        step: impl for<'a> FnOnce(&'a mut Session) -> Work<'a, T> + Send + 'static,
    ) -> Result<T, StateError> {
        let pool = Arc::clone(&self.pool);
        tokio::spawn(async move { pool.with(step).await }).await.unwrap_or(Err(StateError::Lost))
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn ask(&self, new: NewRequest, limit: u32) -> Result<Option<String>, StateError> {
        self.step(move |s| Box::pin(async move { approvals::ask(s, &new, limit).await })).await
    }

    async fn open_requests(&self, principal: &str, now: u64) -> Result<u32, StateError> {
        let principal = principal.to_owned();
        self.step(move |s| Box::pin(async move { approvals::open_requests(s, &principal, now).await })).await
    }

    async fn pending(&self, bound: [u8; 32], now: u64) -> Result<Option<RequestRow>, StateError> {
        self.step(move |s| Box::pin(async move { approvals::pending(s, bound, now).await })).await
    }

    async fn request(&self, id: &str) -> Result<Option<RequestRow>, StateError> {
        let id = id.to_owned();
        self.step(move |s| Box::pin(async move { approvals::by_id(s, &id).await })).await
    }

    async fn requests(&self, limit: u32) -> Result<Vec<RequestRow>, StateError> {
        self.step(move |s| Box::pin(approvals::latest(s, limit))).await
    }

    async fn vote(&self, id: &str, vote: VoteRow) -> Result<bool, StateError> {
        let id = id.to_owned();
        self.step(move |s| Box::pin(async move { approvals::vote(s, &id, &vote).await })).await
    }

    async fn consume(&self, id: &str, by: UseRow, judged: Judged) -> Result<bool, StateError> {
        let id = id.to_owned();
        self.step(move |s| Box::pin(async move { approvals::consume(s, &id, &by, judged).await })).await
    }

    async fn close(&self, id: &str, call: &str, end: &str) -> Result<(), StateError> {
        let (id, call, end) = (id.to_owned(), call.to_owned(), end.to_owned());
        self.step(move |s| Box::pin(async move { approvals::close(s, &id, &call, &end).await })).await
    }

    async fn resolve(&self, call: &str, end: &str, ran: bool) -> Result<bool, StateError> {
        let (call, end) = (call.to_owned(), end.to_owned());
        self.step(move |s| Box::pin(async move { approvals::resolve(s, &call, &end, ran).await })).await
    }

    async fn open_uses(&self) -> Result<Vec<RequestRow>, StateError> {
        self.step(|s| Box::pin(approvals::open_uses(s))).await
    }

    async fn enroll(&self, key: KeyRow) -> Result<bool, StateError> {
        self.step(move |s| Box::pin(async move { keys::enroll(s, &key).await })).await
    }

    async fn keys(&self) -> Result<Vec<KeyRow>, StateError> {
        self.step(|s| Box::pin(keys::all(s))).await
    }

    async fn revoke(&self, key: KeyRow) -> Result<(), StateError> {
        self.step(move |s| Box::pin(async move { keys::revoke(s, &key).await })).await
    }

    async fn once_begin(&self, row: OnceRow) -> Result<Option<OnceRow>, StateError> {
        self.step(move |s| Box::pin(async move { once::begin(s, &row).await })).await
    }

    async fn once_take_over(&self, from: &str, row: OnceRow) -> Result<bool, StateError> {
        let from = from.to_owned();
        self.step(move |s| Box::pin(async move { once::take_over(s, &from, &row).await })).await
    }

    async fn once_phase(
        &self,
        key: [u8; 32],
        call: &str,
        phase: &str,
        answer: &str,
    ) -> Result<(), StateError> {
        let (call, phase, answer) = (call.to_owned(), phase.to_owned(), answer.to_owned());
        self.step(move |s| Box::pin(async move { once::phase(s, key, &call, &phase, &answer).await })).await
    }

    async fn once_free(&self, key: [u8; 32], call: &str) -> Result<(), StateError> {
        let call = call.to_owned();
        self.step(move |s| Box::pin(async move { once::free(s, key, &call).await })).await
    }

    async fn stop(&self, row: StopRow) -> Result<(), StateError> {
        self.step(move |s| Box::pin(async move { stops::add(s, &row).await })).await
    }

    async fn thaw(&self, kind: StopKind, what: &str) -> Result<bool, StateError> {
        let what = what.to_owned();
        self.step(move |s| Box::pin(async move { stops::remove(s, kind, &what).await })).await
    }

    async fn stops(&self) -> Result<Vec<StopRow>, StateError> {
        self.watching.with(|s| Box::pin(stops::all(s))).await
    }

    async fn stops_changed(&self) {
        self.listener.get_or_init(|| Listener::start(&self.watching)).heard().await;
    }

    async fn seen_once(&self, key: [u8; 32], now: u64, until: u64) -> Result<bool, StateError> {
        self.step(move |s| Box::pin(seen::once(s, key, now, until))).await
    }

    async fn lease(&self, key: [u8; 32], rate: Rate, want: u32) -> Result<Lease, StateError> {
        self.step(move |s| Box::pin(rates::lease(s, key, rate, want))).await
    }

    async fn charge(&self, key: [u8; 32], by: [u64; 2]) -> Result<[u64; 2], StateError> {
        self.step(move |s| Box::pin(volumes::charge(s, key, by))).await
    }

    async fn count(&self, run: [u8; 32], calls: u64, now: u64, since: u64) -> Result<u64, StateError> {
        self.step(move |s| Box::pin(volumes::count(s, run, calls, now, since))).await
    }

    async fn run_of(
        &self,
        holder: [u8; 32],
        fresh: &str,
        now: u64,
        since: u64,
    ) -> Result<String, StateError> {
        let fresh = fresh.to_owned();
        self.step(move |s| Box::pin(async move { runs::of(s, holder, &fresh, now, since).await })).await
    }

    async fn run_label(&self, run: [u8; 32], now: u64) -> Result<Label, StateError> {
        self.step(move |s| Box::pin(runs::read(s, run, now))).await
    }

    async fn run_join(&self, run: [u8; 32], label: Label, now: u64) -> Result<Label, StateError> {
        self.step(move |s| Box::pin(runs::join(s, run, label, now))).await
    }

    async fn forget(&self, before: u64) -> Result<(), StateError> {
        self.step(move |s| {
            Box::pin(async move {
                once::forget(s, before).await?;
                stops::forget(s, before).await?;
                rates::forget(s, before).await?;
                runs::forget(s, before).await?;
                volumes::forget(s, before).await?;
                approvals::forget(s, before).await
            })
        })
        .await
    }
}
