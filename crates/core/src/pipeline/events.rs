//! Events that are no calls: failed logins, reloads, refused origins. Floods of one kind are counted and recorded once a period.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use super::{Pipeline, trail::encode};
use crate::{
    ports::{AuditError, EntryClass, Ticket},
    principal::Principal,
    record::{Event, FORMAT, Who},
};

/// How long repeated events of one kind and source are only counted, in microseconds.
const PERIOD: u64 = 10_000_000;
/// How many kinds and sources are told apart; the rest are counted together.
const KINDS: usize = 1_000;

#[derive(Default)]
pub(super) struct Aggregates {
    seen: Mutex<HashMap<String, Seen>>,
}

struct Seen {
    since: u64,
    count: u64,
}

impl Pipeline {
    /// Records an event and waits until it is durable.
    pub async fn event(
        &self,
        event: &str,
        principal: Option<&Principal>,
        peer: &str,
        detail: &str,
    ) -> Result<(), AuditError> {
        let ticket = self.note(event, None, principal, peer, detail)?;
        self.audit.durable(ticket).await
    }

    /// A credential was missing or wrong, or an unauthenticated source used up its budget. `code` says what was wrong with the
    /// credential, as in `expired`: for the record alone.
    pub fn unauthenticated(&self, event: &'static str, code: &'static str, peer: &str) {
        self.count(event, None, peer, code);
    }

    /// A security event: a session used by another principal, a refused origin.
    pub fn security_event(&self, event: &'static str, principal: Option<&Principal>, peer: &str) {
        self.aggregate(event, principal, peer);
    }

    /// As [`Pipeline::security_event`], with more to say; floods are counted all the same.
    pub fn security_detail(&self, event: &'static str, principal: Option<&Principal>, detail: &str) {
        self.count(event, principal, "", detail);
    }

    /// Writes out what was only counted so far; the binary calls this every few seconds and at the end.
    pub fn flush_events(&self) {
        let now = self.environment.unix_micros();
        let due: Vec<(String, u64)> = {
            let mut seen = self.events.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let due = seen.iter().filter(|(_, s)| s.count > 0).map(|(k, s)| (k.clone(), s.count)).collect();
            seen.retain(|_, s| now.saturating_sub(s.since) < PERIOD);
            seen.values_mut().for_each(|s| s.count = 0);
            due
        };
        for (key, count) in due {
            let mut parts = key.split('\u{0}');
            let (event, peer) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let detail = parts.next().unwrap_or_default();
            let _ = self.note(event, Some(count), None, peer, detail);
        }
    }

    /// Records the first event of its kind and source at once; counts the others until the period ends.
    pub(super) fn aggregate(&self, event: &str, principal: Option<&Principal>, peer: &str) {
        self.count(event, principal, peer, "");
    }

    fn count(&self, event: &str, principal: Option<&Principal>, peer: &str, detail: &str) {
        let host =
            peer.parse().map_or_else(|_| peer.to_owned(), |address: SocketAddr| address.ip().to_string());
        let key = format!("{event}\u{0}{host}\u{0}{}", principal.map_or(detail, Principal::key));
        let now = self.environment.unix_micros();
        let first = {
            let mut seen = self.events.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let key = if seen.len() >= KINDS && !seen.contains_key(&key) { event.to_owned() } else { key };
            match seen.get_mut(&key) {
                Some(entry) if now.saturating_sub(entry.since) < PERIOD => {
                    entry.count += 1;
                    false
                }
                Some(entry) => {
                    entry.since = now;
                    entry.count == 0
                }
                None => {
                    seen.insert(key, Seen { since: now, count: 0 });
                    true
                }
            }
        };
        if first {
            let _ = self.note(event, None, principal, peer, detail);
        }
    }

    fn note(
        &self,
        event: &str,
        count: Option<u64>,
        principal: Option<&Principal>,
        peer: &str,
        detail: &str,
    ) -> Result<Ticket, AuditError> {
        let redactor = self.redactor();
        let entry = encode(&Event {
            v: FORMAT,
            kind: "event",
            t: self.environment.unix_micros(),
            event,
            count,
            who: principal.map(Who::of),
            peer: &redactor.line(peer),
            detail: &redactor.line(detail),
        });
        self.audit.append(entry, EntryClass::Closing)
    }
}
