//! Between the callers that append and the one thread that writes: a bounded queue, and futures that wait for a commit.

use crate::error::AppendError;
use crate::tlog::{Hash, leaf_hash};
use crate::wal::{MAX_ENTRY, put_entry};
use countersign_core::ports::Ticket;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// More than this waiting to be written refuses further entries.
const MAX_QUEUED: usize = 8 * 1024 * 1024;
/// This much waiting is written even if nobody waits for it.
const EAGER: usize = 256 * 1024;
/// Entries that nobody waits for are written after this time at the latest.
const LINGER: Duration = Duration::from_millis(50);

/// What the writer takes in one go.
#[derive(Default)]
pub(crate) struct Taken {
    /// Entry frames, ready to be written.
    pub(crate) frames: Vec<u8>,
    /// Their leaf hashes, in order.
    pub(crate) leaves: Vec<Hash>,
    /// The ticket of the last of them.
    pub(crate) last: u64,
    /// The log is closing: this is all there will be.
    pub(crate) closing: bool,
}

/// The queue. Tickets count the entries of this process from 1.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    writer: Condvar,
}

#[derive(Default)]
struct State {
    frames: Vec<u8>,
    leaves: Vec<Hash>,
    appended: u64,
    /// The highest ticket that someone waits for.
    demanded: u64,
    committed: u64,
    waiters: Vec<(u64, Waker)>,
    failed: Option<AppendError>,
    closing: bool,
    writer: WriterState,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum WriterState {
    #[default]
    Busy,
    /// Looks again within [`LINGER`]: only demand needs to wake it.
    Dozing,
    /// Looks again when it is woken.
    Asleep,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below panics while it holds the lock; the state is whole whatever happened.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues one entry.
    pub(crate) fn append(&self, entry: &[u8]) -> Result<Ticket, AppendError> {
        if entry.is_empty() || entry.len() > MAX_ENTRY {
            return Err(AppendError::Size { max: MAX_ENTRY, actual: entry.len() });
        }
        let leaf = leaf_hash(entry);
        let mut state = self.lock();
        // MUTATE(I4-poison): a log whose disk failed goes on as if nothing had happened
        state.refusal()?;
        if state.frames.len() > MAX_QUEUED {
            return Err(AppendError::Backlog(state.frames.len()));
        }
        put_entry(&mut state.frames, entry);
        state.leaves.push(leaf);
        state.appended = state.appended.saturating_add(1);
        let ticket = Ticket(state.appended);
        if state.writer == WriterState::Asleep
            || (state.frames.len() > EAGER && state.writer == WriterState::Dozing)
        {
            self.wake_writer(&mut state);
        }
        Ok(ticket)
    }

    /// A future that ends when the entry is durable, or never will be.
    pub(crate) fn durable(&self, ticket: Ticket) -> Durable<'_> {
        Durable { queue: self, ticket: ticket.0 }
    }

    /// Takes all that waits, as soon as someone waits for it, it is much, or it waited long enough.
    pub(crate) fn take(&self, into: &mut Taken) {
        into.frames.clear();
        into.leaves.clear();
        let mut state = self.lock();
        let mut idle_since = Instant::now();
        loop {
            let queued = !state.leaves.is_empty();
            if state.closing
                || (queued && (state.demanded > state.committed || state.frames.len() > EAGER))
                || (queued && idle_since.elapsed() >= LINGER)
            {
                break;
            }
            let asleep = !queued && idle_since.elapsed() >= LINGER;
            state.writer = if asleep { WriterState::Asleep } else { WriterState::Dozing };
            state = if asleep {
                let state = self.writer.wait(state).unwrap_or_else(PoisonError::into_inner);
                idle_since = Instant::now();
                state
            } else {
                let wait = LINGER.saturating_sub(idle_since.elapsed()).max(Duration::from_millis(1));
                self.writer.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
            };
        }
        state.writer = WriterState::Busy;
        std::mem::swap(&mut state.frames, &mut into.frames);
        std::mem::swap(&mut state.leaves, &mut into.leaves);
        into.last = state.appended;
        into.closing = state.closing;
    }

    /// Everything up to `ticket` is durable.
    pub(crate) fn committed(&self, ticket: u64) {
        let mut state = self.lock();
        state.committed = ticket;
        let ready: Vec<Waker> =
            state.waiters.extract_if(.., |(wanted, _)| *wanted <= ticket).map(|(_, waker)| waker).collect();
        drop(state);
        ready.into_iter().for_each(Waker::wake);
    }

    /// Nothing more is accepted, and nothing uncommitted ever will be.
    pub(crate) fn fail(&self, error: AppendError) {
        let mut state = self.lock();
        state.failed.get_or_insert(error);
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        waiters.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Asks the writer to write what waits, and to stop.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        self.wake_writer(&mut state);
    }

    /// Why entries are refused, if they are.
    pub(crate) fn failure(&self) -> Option<AppendError> {
        self.lock().refusal().err()
    }

    fn wake_writer(&self, state: &mut State) {
        if state.writer != WriterState::Busy {
            state.writer = WriterState::Busy;
            self.writer.notify_one();
        }
    }
}

impl State {
    fn refusal(&self) -> Result<(), AppendError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.closing => Err(AppendError::Closed),
            None => Ok(()),
        }
    }
}

/// Waits for one entry and all before it. Needs no particular runtime.
pub(crate) struct Durable<'a> {
    queue: &'a Queue,
    ticket: u64,
}

impl Future for Durable<'_> {
    type Output = Result<(), AppendError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.queue.lock();
        if state.committed >= self.ticket {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = &state.failed {
            return Poll::Ready(Err(error.clone()));
        }
        state.waiters.push((self.ticket, context.waker().clone()));
        if state.demanded < self.ticket {
            state.demanded = self.ticket;
            self.queue.wake_writer(&mut state);
        }
        Poll::Pending
    }
}
