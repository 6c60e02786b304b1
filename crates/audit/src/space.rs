//! The disk reserve: new work is refused while there is still room to record how the running work ends.

use crate::error::AppendError;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Free space is measured at most this often while it suffices.
const MEASURE_EVERY: Duration = Duration::from_millis(200);

pub(crate) struct Reserve {
    dir: PathBuf,
    bytes: u64,
    began: Instant,
    /// Milliseconds since `began` of the next measurement.
    next: AtomicU64,
}

impl Reserve {
    pub(crate) fn new(dir: &Path, bytes: u64) -> Reserve {
        Reserve { dir: dir.to_owned(), bytes, began: Instant::now(), next: AtomicU64::new(0) }
    }

    /// Refuses when less than the reserve is free. A disk that cannot be measured counts as full.
    pub(crate) fn check(&self) -> Result<(), AppendError> {
        if self.bytes == 0 {
            return Ok(());
        }
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now < self.next.load(Ordering::Relaxed) {
            return Ok(());
        }
        let free = rustix::fs::statvfs(&self.dir).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        match free {
            Ok(free) if free >= self.bytes => {
                let next = now.saturating_add(u64::try_from(MEASURE_EVERY.as_millis()).unwrap_or(0));
                self.next.store(next, Ordering::Relaxed);
                Ok(())
            }
            free => Err(AppendError::DiskReserve { free: free.unwrap_or(0), reserve: self.bytes }),
        }
    }
}
