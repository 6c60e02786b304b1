//! The body of an event stream: notifications as they come, comments while it is quiet, the answer at the end.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::Bytes;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, Sleep},
};

use crate::running::{Answer, CancelOnDrop, Running};

/// How long a stream goes on at most before its credential is checked again.
const RECHECK: Duration = Duration::from_millis(500);

/// Says whether the credential behind a stream still holds.
pub(super) type Recheck = Arc<dyn Fn() -> bool + Send + Sync>;

/// A stream under way.
pub(super) struct SseBody {
    first: Option<Bytes>,
    events: Option<mpsc::Receiver<String>>,
    answer: Option<JoinHandle<Answer>>,
    keep_alive: Duration,
    quiet: Pin<Box<Sleep>>,
    due: Pin<Box<Sleep>>,
    recheck: Recheck,
    /// SPEC: closing the stream cancels a stateless request, and not a legacy one.
    _guard: CancelOnDrop,
}

impl SseBody {
    /// A stream that starts with `first`, if there is one yet.
    pub(super) fn new(
        running: Running,
        first: Option<String>,
        guard: CancelOnDrop,
        keep_alive: Duration,
        recheck: Recheck,
    ) -> SseBody {
        SseBody {
            first: first.map(|text| event(&text)),
            events: running.events,
            answer: Some(running.answer),
            keep_alive,
            quiet: Box::pin(tokio::time::sleep(keep_alive)),
            due: Box::pin(tokio::time::sleep(RECHECK)),
            recheck,
            _guard: guard,
        }
    }

    /// The next piece of the stream.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        // INVARIANT: before anything is passed on, so that a stream that is never quiet ends with its credential as well.
        // MUTATE(G5-streams): a stream outlives its credential
        if self.is_due(cx) && !(self.recheck)() {
            self.events = None;
            self.answer = None;
            return Poll::Ready(None);
        }
        if let Some(events) = &mut self.events {
            match events.poll_recv(cx) {
                Poll::Ready(Some(text)) => {
                    self.quiet.as_mut().reset(Instant::now() + self.keep_alive);
                    return Poll::Ready(Some(event(&text)));
                }
                Poll::Ready(None) => self.events = None,
                Poll::Pending => {}
            }
        }
        let Some(answer) = &mut self.answer else { return Poll::Ready(None) };
        if let Poll::Ready(done) = Pin::new(answer).poll(cx) {
            self.answer = None;
            let last = self.last(done.ok());
            return Poll::Ready((!last.is_empty()).then_some(last));
        }
        if self.quiet.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.quiet.as_mut().reset(Instant::now() + self.keep_alive);
        let _ = self.quiet.as_mut().poll(cx);
        Poll::Ready(Some(Bytes::from_static(b": keep-alive\n\n")))
    }

    /// Whether the credential is to be checked again; a new pause begins then.
    fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        let mut due = false;
        while self.due.as_mut().poll(cx).is_ready() {
            due = true;
            self.due.as_mut().reset(Instant::now() + RECHECK);
        }
        due
    }

    /// What was still queued, then the answer.
    fn last(&mut self, answer: Option<Answer>) -> Bytes {
        let mut out = String::new();
        if let Some(events) = &mut self.events {
            while let Ok(text) = events.try_recv() {
                write_event(&mut out, &text);
            }
        }
        if let Some(answer) = answer.filter(|answer| !answer.text.is_empty()) {
            write_event(&mut out, &answer.text);
        }
        out.into()
    }
}

/// One event. A message holds no line break, since JSON escapes them in strings and we write none between.
pub(super) fn event(text: &str) -> Bytes {
    let mut out = String::with_capacity(text.len() + 24);
    write_event(&mut out, text);
    out.into()
}

fn write_event(out: &mut String, text: &str) {
    out.push_str("event: message\ndata: ");
    out.push_str(text);
    out.push_str("\n\n");
}
