//! So many at once, the others in turn: at most so many wait, each for so long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::engine::EngineError;

/// The slots of a pool.
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
    wait: Duration,
}

impl Slots {
    /// `count` slots, at least one, for which at most `queue` callers wait, each for at most `wait`.
    pub(crate) fn new(count: usize, queue: usize, wait: Duration) -> Slots {
        let free = Arc::new(Semaphore::new(count.max(1)));
        Slots { free, waiting: AtomicUsize::new(0), queue, wait }
    }

    /// One slot, in order of arrival.
    ///
    /// # Errors
    /// [`EngineError::Busy`] if too many wait already, or the wait is over.
    pub(crate) async fn take(&self) -> Result<OwnedSemaphorePermit, EngineError> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(permit);
        }
        let busy = EngineError::Busy { retry_after: self.wait };
        let waiting = Waiting::enter(&self.waiting);
        // MUTATE(I1-pool-queue): any number of callers may wait
        if waiting.ahead >= self.queue {
            return Err(busy);
        }
        match timeout(self.wait, Arc::clone(&self.free).acquire_owned()).await {
            Ok(permit) => permit.map_err(|_| EngineError::Broken("the pool is closed".into())),
            Err(_) => Err(busy),
        }
    }
}

/// Counts a waiting caller for as long as it waits.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    ahead: usize,
}

impl Waiting<'_> {
    fn enter(count: &AtomicUsize) -> Waiting<'_> {
        Waiting { ahead: count.fetch_add(1, Ordering::AcqRel), count }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}
