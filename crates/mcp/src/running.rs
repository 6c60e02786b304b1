//! A request that is being worked on: its notifications, its answer, and how to stop it.
//!
//! INVARIANT: the work is a task of its own. A connection that goes away can cancel it, but never lose the record of its outcome.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::rpc::{Id, RpcError};

/// A whole answer: a JSON-RPC message, and the HTTP status that goes with it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) status: u16,
    /// The scopes that a token would need, separated by spaces, if that is why the answer is a refusal.
    pub(crate) scopes: Option<String>,
}

impl Answer {
    pub(crate) fn ok(text: String) -> Answer {
        Answer { text, status: 200, scopes: None }
    }

    /// An error, as the answer to a request, or to none that could be read.
    pub(crate) fn error(error: &RpcError, id: Option<&Id>) -> Answer {
        Answer { text: error.frame(id), status: error.status, scopes: None }
    }
}

/// A request under way.
pub(crate) struct Running {
    pub(crate) answer: JoinHandle<Answer>,
    pub(crate) events: Option<mpsc::Receiver<String>>,
    pub(crate) cancel: CancellationToken,
}

/// What dispatching a request leads to.
pub(crate) enum Step {
    Done(Answer),
    Running(Running),
}

/// Cancels on drop, unless disarmed: closing the stream is the cancellation of the stateless era.
pub(crate) struct CancelOnDrop(pub(crate) Option<CancellationToken>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}

/// Counts the work under way, so that a stop can wait for it.
#[derive(Clone, Default)]
pub(crate) struct Working {
    count: Arc<Mutex<usize>>,
    idle: Arc<tokio::sync::Notify>,
}

/// One piece of work under way.
pub(crate) struct Work(Working);

impl Working {
    pub(crate) fn begin(&self) -> Work {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Work(self.clone())
    }

    fn count(&self) -> usize {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when nothing is under way.
    pub(crate) async fn idle(&self) {
        loop {
            let changed = self.idle.notified();
            if self.count() == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut count = self.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.0.idle.notify_waiters();
        }
    }
}
