//! One tenant's sessions: bounded, waited for in turn, given up together when the server is gone.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    config::PostgresLogin,
    session::{Dialer, Duty, Session},
    snapshot::Snapshots,
};
use crate::{engine::EngineError, slots::Slots};

/// Failed attempts to connect after which callers are refused at once for a while.
const FAILURES: u32 = 3;
/// That while, at first; it doubles up to the last.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Sessions older than this are closed when they are returned: their server process has grown with use.
const OLD: Duration = Duration::from_secs(1800);

/// A tenant's login and its sessions.
pub(super) struct Tenant {
    logins: RwLock<Arc<Logins>>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) snapshots: Snapshots,
    slots: Slots,
    /// Idle sessions, the one used last at the end: it has the statement prepared.
    idle: Mutex<Vec<Session>>,
    breaker: Mutex<Breaker>,
}

/// Who logs in, and since when.
pub(super) struct Logins {
    pub(super) reader: PostgresLogin,
    pub(super) writer: PostgresLogin,
    since: Instant,
}

#[derive(Default)]
struct Breaker {
    failures: u32,
    closed_until: Option<Instant>,
    cause: String,
}

impl Tenant {
    pub(super) fn new(reader: PostgresLogin, writer: PostgresLogin, dialer: Arc<Dialer>) -> Tenant {
        Tenant {
            logins: RwLock::new(Arc::new(Logins { reader, writer, since: Instant::now() })),
            slots: Slots::new(dialer.config.connections, dialer.config.queue, dialer.config.queue_wait),
            dialer,
            snapshots: Snapshots::default(),
            idle: Mutex::default(),
            breaker: Mutex::default(),
        }
    }

    /// A session of one's own, in turn.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease, EngineError> {
        let permit = self.slots.take().await?;
        let warm = self.idle().pop();
        let session = match warm {
            Some(session) => session,
            None => self.open(Duty::Read).await?,
        };
        Ok(Lease { tenant: Arc::clone(self), session: Some(session), permit: Some(permit), duty: Duty::Read })
    }

    /// A session that may write, new and never used again.
    pub(super) async fn lease_writer(self: &Arc<Self>) -> Result<Lease, EngineError> {
        let permit = self.slots.take().await?;
        let session = self.open(Duty::Write).await?;
        Ok(Lease {
            tenant: Arc::clone(self),
            session: Some(session),
            permit: Some(permit),
            duty: Duty::Write,
        })
    }

    /// Opens a session, unless the last attempts failed a moment ago.
    async fn open(&self, duty: Duty) -> Result<Session, EngineError> {
        {
            let breaker = self.breaker();
            // MUTATE(I3-pg-breaker): every caller waits for a server that is gone
            if breaker.closed_until.is_some_and(|until| Instant::now() < until) {
                let cause = format!("not tried again yet; the last attempt: {}", breaker.cause);
                return Err(EngineError::Unreachable(cause));
            }
        }
        let logins = self.logins();
        let login = if duty == Duty::Read { &logins.reader } else { &logins.writer };
        let opened = self.dialer.open(login, duty).await;
        match &opened {
            Ok(_) => *self.breaker() = Breaker::default(),
            Err(EngineError::Unreachable(cause)) => self.failed(cause),
            Err(_) => {}
        }
        opened
    }

    fn failed(&self, cause: &str) {
        let mut breaker = self.breaker();
        breaker.failures = breaker.failures.saturating_add(1);
        cause.clone_into(&mut breaker.cause);
        if let Some(beyond) = breaker.failures.checked_sub(FAILURES) {
            let pause = PAUSE.saturating_mul(1 << beyond.min(6)).min(LONGEST_PAUSE);
            breaker.closed_until = Some(Instant::now() + pause);
        }
    }

    /// A session was silent to a question of ours that any server answers at once: so will the others be that are idle.
    pub(super) fn silent(&self) -> EngineError {
        let cause = "the server does not answer";
        self.forget_idle();
        self.failed(cause);
        EngineError::Unreachable(cause.to_owned())
    }

    /// Forgets idle sessions: one of them was found dead.
    pub(super) fn forget_idle(&self) {
        self.idle().clear();
    }

    /// Those who log in now.
    pub(super) fn logins(&self) -> Arc<Logins> {
        Arc::clone(&self.logins.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other passwords in place. INVARIANT: whose rows a tenant sees does not change: the users stay.
    pub(super) fn renew(&self, reader: &PostgresLogin, writer: &PostgresLogin) -> bool {
        let now = self.logins();
        let same_users = now.reader.user() == reader.user() && now.writer.user() == writer.user();
        if !same_users || (&now.reader, &now.writer) == (reader, writer) {
            return false;
        }
        let logins = Logins { reader: reader.clone(), writer: writer.clone(), since: Instant::now() };
        *self.logins.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(logins);
        // MUTATE(K1-pg-renewed): sessions of a password that was changed go on
        self.forget_idle();
        *self.breaker() = Breaker::default();
        true
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session in use, and the slot it takes. However the use ends, the session is returned, or ended before the slot is free.
pub(super) struct Lease {
    tenant: Arc<Tenant>,
    session: Option<Session>,
    permit: Option<OwnedSemaphorePermit>,
    duty: Duty,
}

impl Lease {
    pub(super) fn session(&mut self) -> Result<&mut Session, EngineError> {
        self.session.as_mut().ok_or_else(|| EngineError::Broken("the session is gone".into()))
    }

    /// Ends the session: it is of no use any more.
    pub(super) fn discard(&mut self) {
        self.session = None;
    }

    /// Opens another session in the same slot.
    pub(super) async fn renew(&mut self) -> Result<(), EngineError> {
        self.session = None;
        self.session = Some(self.tenant.open(self.duty).await?);
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        // An open transaction whose statement was answered, or failed, ends with its stream: there is nothing to wait for.
        // MUTATE(I2-pg-answered): a write that failed holds its slot, and one that was given up its locks, for a minute
        if session.connection.is_busy() {
            // INVARIANT: what is half answered is never another caller's.
            // MUTATE(I2-pg-linger): a session that cannot be cancelled no longer counts
            self.tenant.dialer.abandon(session, self.permit.take());
            return;
        }
        session.fresh = false;
        // A session that wrote may hold what a rollback leaves; it ends here.
        let reusable = self.duty == Duty::Read && session.connection.is_reusable();
        let current = session.opened >= self.tenant.logins().since;
        if reusable && current && session.opened.elapsed() < OLD {
            self.tenant.idle().push(session);
        }
    }
}
