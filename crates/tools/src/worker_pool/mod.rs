//! A pool of killable worker processes for one database: SQLite, or a source behind an ODBC driver.
//!
//! - At most [`PoolConfig::workers`] statements run at once, each in a process of its own that holds no key and no configuration. Few
//!   are started ahead ([`PoolConfig::warm`], and a spare); the others start when they are first needed, and stay.
//! - Callers beyond that wait in order of arrival, at most [`PoolConfig::queue`] of them and at most [`PoolConfig::queue_wait`] each; the others
//!   are told to retry.
//! - A statement that runs past its time stops itself. One that does not within [`PoolConfig::grace`] is killed with its process, which
//!   is replaced in the background; the warm spare serves whoever waits.
//! - A caller that goes away (its future is dropped) interrupts its statement, under the same grace.
//! - A worker that dies, be it of a crash in a driver, costs its caller an error; the next caller gets another worker.
//!
//! INVARIANT: a worker has parsed hostile SQL and is not believed: its answers are bounded and checked against what was asked.

mod asks;
mod worker;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use countersign_sql::{Open, Request, Response, wire};
use tokio::{
    runtime::Handle,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};

use crate::{engine::EngineError, slots::Slots};
use worker::Worker;

/// What a pool runs, and how much of it.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// The program that serves as worker, by absolute path: our own binary.
    pub program: PathBuf,
    /// The arguments that make it one.
    pub args: Vec<OsString>,
    /// The whole environment of a worker: what drivers look for, such as `ODBCSYSINI`. Never a secret.
    pub env: Vec<(OsString, OsString)>,
    /// Statements at once.
    pub workers: usize,
    /// Statements at once for which workers are started ahead, beside the spare; those beyond start when they are needed.
    pub warm: usize,
    /// Callers that may wait.
    pub queue: usize,
    /// How long each may wait.
    pub queue_wait: Duration,
    /// How long a statement past its time, or interrupted, may take to stop before it is killed.
    pub grace: Duration,
    /// How long a statement may take to be judged, and a description to be made.
    pub judging: Duration,
    /// Resource limits of each worker.
    pub limits: countersign_sandbox::Limits,
}

impl PoolConfig {
    /// Four workers of 512 MiB at most, one of them and the spare started ahead, 64 waiting callers for up to two seconds each, 50 ms of grace.
    pub fn new(program: PathBuf, args: Vec<OsString>) -> PoolConfig {
        PoolConfig {
            program,
            args,
            env: Vec::new(),
            workers: 4,
            warm: 1,
            queue: 64,
            queue_wait: Duration::from_secs(2),
            grace: Duration::from_millis(50),
            judging: Duration::from_secs(2),
            limits: countersign_sandbox::Limits::default(),
        }
    }
}

/// The pool. Dropping it ends its workers.
pub(crate) struct WorkerPool {
    inner: Arc<Inner>,
}

struct Inner {
    config: PoolConfig,
    /// What every worker opens from here on.
    open: RwLock<Arc<Open>>,
    /// Warm workers, the one used last at the end: it has the statement prepared.
    idle: Mutex<Vec<Worker>>,
    slots: Slots,
    pids: Mutex<BTreeSet<u32>>,
}

impl WorkerPool {
    /// Starts one worker, which proves that the database can be read, and a spare in the background; more start when they are needed.
    ///
    /// # Errors
    /// If no worker can be started or the database cannot be opened.
    pub(crate) async fn start(config: PoolConfig, open: Open) -> Result<WorkerPool, EngineError> {
        let inner = Arc::new(Inner {
            slots: Slots::new(config.workers, config.queue, config.queue_wait),
            config,
            open: RwLock::new(Arc::new(open)),
            idle: Mutex::default(),
            pids: Mutex::default(),
        });
        let first = Worker::start(&inner).await?;
        inner.park(first);
        let weak = Arc::downgrade(&inner);
        tokio::spawn(async move {
            while let Some(inner) = weak.upgrade() {
                if inner.pids().len() > inner.config.warm.min(inner.config.workers) {
                    break;
                }
                match Worker::start(&inner).await {
                    Ok(worker) => inner.park(worker),
                    // The next caller that finds no warm worker starts one and learns why it cannot.
                    Err(_) => break,
                }
            }
        });
        Ok(WorkerPool { inner })
    }

    /// The process ids of all workers that have not been reaped or given up.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.inner.pids().iter().copied().collect()
    }

    /// Has workers open this from here on. Those that wait end, those at work end with their call. Says whether it is anything else.
    pub(crate) fn reopen(&self, open: Open) -> bool {
        let mut now = self.inner.open.write().unwrap_or_else(PoisonError::into_inner);
        if **now == open {
            return false;
        }
        *now = Arc::new(open);
        drop(now);
        self.inner.idle().clear();
        true
    }

    /// What workers open now.
    pub(crate) fn opens(&self) -> Arc<Open> {
        self.inner.opens()
    }

    /// A worker of one's own, in turn.
    async fn lease(&self) -> Result<Lease, EngineError> {
        let permit = self.inner.slots.take().await?;
        // One that died while it was idle is dropped here, which reaps it.
        let warm = std::iter::from_fn(|| self.inner.idle().pop()).find(Worker::is_alive);
        let worker = match warm {
            Some(worker) => worker,
            None => Worker::start(&self.inner).await?,
        };
        Ok(Lease { inner: Arc::clone(&self.inner), worker: Some(worker), permit: Some(permit) })
    }

    /// Asks a question that has one answer.
    async fn ask(&self, request: &Request) -> Result<Response, EngineError> {
        let mut lease = self.lease().await?;
        lease.exchange(request, Instant::now() + self.inner.config.judging).await
    }
}

impl Inner {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pids(&self) -> std::sync::MutexGuard<'_, BTreeSet<u32>> {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opens(&self) -> Arc<Open> {
        Arc::clone(&self.open.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a worker for the next call, unless it holds what is not opened any more: it ends then.
    fn park(&self, worker: Worker) {
        let mut idle = self.idle();
        // MUTATE(K1-odbc-renewed): a connection of a password that was changed goes on for as long as it is used
        if worker.holds(&self.opens()) {
            idle.push(worker);
        }
    }

    /// Puts a warm worker in the place of one that was killed.
    async fn replace(self: Arc<Self>) {
        if let Ok(worker) = Worker::start(&self).await {
            // No more than one spare beyond the slots.
            if self.idle().len() <= self.config.workers {
                self.park(worker);
            }
        }
    }
}

/// A worker in use, and the slot it takes. However the use ends, the worker is settled before the slot is free: returned if it is idle,
/// else interrupted, else killed.
struct Lease {
    inner: Arc<Inner>,
    worker: Option<Worker>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// Sends a request and waits for its first answer until `until` and the grace have passed.
    async fn exchange(&mut self, request: &Request, until: Instant) -> Result<Response, EngineError> {
        let worker = self.worker()?;
        worker.send(request).await?;
        self.next(until).await
    }

    async fn next(&mut self, until: Instant) -> Result<Response, EngineError> {
        let grace = self.inner.config.grace;
        let answer = match tokio::time::timeout_at(until + grace, self.worker()?.receive()).await {
            Ok(answer) => answer,
            Err(_) => {
                // It has had its deadline and the grace: killed here, before the caller hears of it.
                // MUTATE(I2-worker-kill): a statement that ignores interruption runs on
                self.kill();
                return Err(EngineError::Killed);
            }
        };
        match answer {
            Ok(Response::Refused(refusal)) => Err(EngineError::Refused(refusal)),
            Ok(response) => Ok(response),
            Err(error) => {
                self.kill();
                Err(error)
            }
        }
    }

    fn worker(&mut self) -> Result<&mut Worker, EngineError> {
        self.worker.as_mut().ok_or_else(|| EngineError::Broken("the worker is gone".into()))
    }

    /// Kills the worker and has another one started.
    fn kill(&mut self) {
        if let Some(worker) = self.worker.take() {
            drop(worker);
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(Arc::clone(&self.inner).replace());
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(worker) = self.worker.take() else { return };
        let inner = Arc::clone(&self.inner);
        if worker.is_idle() {
            inner.park(worker);
            return;
        }
        // The caller went away. Without a runtime the process is about to end, and the worker is killed by being dropped.
        let Ok(runtime) = Handle::try_current() else { return };
        let permit = self.permit.take();
        runtime.spawn(async move {
            settle(inner, worker).await;
            drop(permit);
        });
    }
}

/// Interrupts a worker whose caller went away, and kills it if it does not become idle within the grace.
async fn settle(inner: Arc<Inner>, mut worker: Worker) {
    let idle = async {
        worker.interrupt().await?;
        while !worker.is_idle() {
            worker.receive().await?;
        }
        Ok::<(), EngineError>(())
    };
    match timeout(inner.config.grace, idle).await {
        Ok(Ok(())) => inner.park(worker),
        _ => {
            drop(worker);
            inner.replace().await;
        }
    }
}

fn unexpected() -> EngineError {
    EngineError::Broken("a worker answered what was not asked".into())
}

/// The largest answer that is read ahead of being decoded.
const READ_AHEAD: usize = wire::MAX_PAYLOAD + wire::HEADER;
