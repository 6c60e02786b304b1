//! Clock and entropy of the host.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use countersign_core::ports::Environment;

/// Microseconds since 1970-01-01 UTC.
pub(crate) fn unix_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The host's clocks and random source.
pub(crate) struct Host {
    started: Instant,
}

impl Host {
    pub(crate) fn new() -> Host {
        Host { started: Instant::now() }
    }
}

impl Environment for Host {
    fn unix_micros(&self) -> u64 {
        unix_micros()
    }

    fn monotonic_nanos(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), String> {
        getrandom::fill(bytes).map_err(|e| e.to_string())
    }
}
