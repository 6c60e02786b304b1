//! What a request may cost, and the clock that holds it to that.

use std::time::Duration;

use tokio::time::Instant;

use super::error::FetchError;

/// Limits of one request, redirects included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Resolving, connecting and the handshakes, for each hop.
    pub connect: Duration,
    /// From the request to the end of the answer's head, for each hop.
    pub head: Duration,
    /// Between two pieces of the body.
    pub idle: Duration,
    /// All of it; none for streams that are meant to last.
    pub total: Option<Duration>,
    /// Bytes a second that a body must bring on average, after a grace of five seconds; none for streams.
    pub rate: Option<u32>,
    /// Bytes of a body.
    pub body: u64,
    /// Lines of an answer's head.
    pub headers: usize,
    /// Bytes of an answer's head.
    pub head_bytes: usize,
    /// Redirects that are followed.
    pub redirects: u8,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(5),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(10),
            total: Some(Duration::from_secs(30)),
            rate: Some(512),
            body: 5 * 1024 * 1024,
            headers: 100,
            head_bytes: 32 * 1024,
            redirects: 5,
        }
    }
}

/// When a whole request ends, whatever its parts are allowed.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Clock(Option<(Instant, Duration)>);

/// When a part of a request ends.
pub(super) struct Deadline {
    pub(super) at: Instant,
    what: &'static str,
    limit: Duration,
}

impl Clock {
    pub(super) fn start(limits: &Limits) -> Clock {
        Clock(limits.total.and_then(|total| Some((Instant::now().checked_add(total)?, total))))
    }

    /// The end of a part that starts now: its own limit, or that of the whole.
    pub(super) fn limit(self, what: &'static str, limit: Duration) -> Deadline {
        // MUTATE(F2-time): a part of a request may take an hour
        let own = Deadline { at: Instant::now() + limit, what, limit };
        match self.0 {
            Some((at, limit)) if at <= own.at => Deadline { at, what: "the whole request", limit },
            _ => own,
        }
    }
}

impl Deadline {
    pub(super) fn passed(&self) -> FetchError {
        FetchError::Time { what: self.what, limit: self.limit }
    }
}
