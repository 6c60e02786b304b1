//! A body, piece by piece, under limits of time, rate and size.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::{
    HeaderMap, StatusCode,
    body::{Bytes, Incoming},
    http::response::Parts,
};
use tokio::time::{Instant, timeout_at};

use super::{
    client::Wire,
    error::FetchError,
    limits::{Clock, Limits},
    request::Response,
    target::Target,
};

/// An answer whose body is still to be read. Dropping it ends the connection.
pub struct Streaming {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The URL that answered, after redirects.
    pub url: String,
    /// Whether it comes from outside: from a public address that is not this machine's own or, where a proxy resolved the name, from a
    /// name that is none of the inside.
    pub outside: bool,
    body: Incoming,
    wire: Wire,
    limits: Limits,
    clock: Clock,
    started: Instant,
    seen: u64,
}

/// What a slow start is forgiven.
const GRACE: Duration = Duration::from_secs(5);

impl Streaming {
    pub(super) fn new(head: Parts, target: &Target, outside: bool, body: Incoming, wire: Wire) -> Streaming {
        Streaming {
            status: head.status,
            headers: head.headers,
            url: target.as_str().to_owned(),
            outside,
            body,
            wire,
            limits: Limits::default(),
            clock: Clock::default(),
            started: Instant::now(),
            seen: 0,
        }
    }

    pub(super) fn under(self, limits: Limits, clock: Clock) -> Streaming {
        Streaming { limits, clock, ..self }
    }

    /// The next piece of the body; none at its end. An error ends it.
    ///
    /// # Errors
    /// [`FetchError::Time`], [`FetchError::Slow`], [`FetchError::Large`] or [`FetchError::Protocol`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        loop {
            let idle = self.clock.limit("the next piece of the answer", self.limits.idle);
            let slow = self.slow_at();
            let deadline = slow.map_or(idle.at, |slow| slow.min(idle.at));
            let frame = match timeout_at(deadline, self.wire.drive(self.body.frame())).await {
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => frame.map_err(FetchError::Protocol)?,
                Err(_) if slow == Some(deadline) => {
                    return Err(FetchError::Slow(self.limits.rate.unwrap_or_default()));
                }
                Err(_) => return Err(idle.passed()),
            };
            // Trailers say nothing that is needed here.
            let Ok(piece) = frame.into_data() else { continue };
            self.seen = self.seen.saturating_add(piece.len() as u64);
            // MUTATE(F2-size): a body without end is read
            if self.seen > self.limits.body {
                return Err(FetchError::Large(self.limits.body));
            }
            return Ok(Some(piece));
        }
    }

    /// Reads what is left of the body.
    ///
    /// # Errors
    /// As [`Streaming::chunk`].
    pub async fn collect(mut self) -> Result<Response, FetchError> {
        let mut body = Vec::new();
        while let Some(piece) = self.chunk().await? {
            body.extend_from_slice(&piece);
        }
        Ok(Response { status: self.status, headers: self.headers, body: body.into(), url: self.url })
    }

    /// When the body will have been too slow: every byte that came buys the time that its rate gives it.
    fn slow_at(&self) -> Option<Instant> {
        let rate = u64::from(self.limits.rate?);
        let earned = Duration::from_millis(self.seen.saturating_mul(1000).checked_div(rate)?);
        self.started.checked_add(GRACE.saturating_add(earned))
    }
}
