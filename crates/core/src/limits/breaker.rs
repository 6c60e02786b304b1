//! Circuit breakers: a tool that failed several times in a row for a tenant rests for a while, then one call tries it out.
//!
//! Only failures of the tool count: something in it broke, a part that it needs is unavailable. What policy or a limit refuses says nothing about
//! it, nor does an error that the caller made, and a slow query that its deadline stops is one. Tenants are kept apart: one that makes a tool
//! fail does not take it from others.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::rates::limited;
use crate::{
    denied::{Denied, Failure, Subsystem},
    tool::ToolError,
};

/// When a tool rests, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Breaker {
    /// Failures in a row after which it rests; at least 1.
    pub failures: u32,
    /// How long it rests.
    pub rest: Duration,
}

#[derive(Clone, Copy)]
enum State {
    Failing(u32),
    /// Rests until then.
    Resting(u64),
    /// One call tries it out; the others wait.
    Trying,
}

#[derive(Default)]
pub(super) struct Breakers {
    /// Only tools that failed last time are in it.
    states: Mutex<HashMap<u64, State>>,
}

/// One execution under watch. Dropped without a result, it counts for nothing.
pub struct Watch<'a> {
    breakers: &'a Breakers,
    key: u64,
    config: Breaker,
    trying: bool,
}

impl Breakers {
    pub(super) fn enter(&self, key: u64, config: Breaker, now: u64) -> Result<Watch<'_>, Denied> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let mut trying = false;
        match states.get_mut(&key) {
            // MUTATE(I3-breaker): a tool that fails is called all the same
            Some(State::Resting(until)) if now < *until => return Err(limited("breaker", *until - now)),
            Some(State::Trying) => return Err(limited("breaker", micros(config.rest))),
            Some(state @ State::Resting(_)) => {
                *state = State::Trying;
                trying = true;
            }
            Some(State::Failing(_)) | None => {}
        }
        Ok(Watch { breakers: self, key, config, trying })
    }
}

impl Watch<'_> {
    /// Counts how the execution ended.
    pub fn ended<T>(mut self, result: &Result<T, ToolError>, now: u64) {
        let failed = match result {
            Ok(_) => false,
            Err(error) if counts(&error.denied) => true,
            Err(_) => return,
        };
        self.trying = false;
        let mut states = self.breakers.states.lock().unwrap_or_else(PoisonError::into_inner);
        if !failed {
            states.remove(&self.key);
            return;
        }
        let before = match states.get(&self.key) {
            Some(State::Failing(count)) => *count,
            Some(State::Resting(_)) => return,
            // The one that tried it out failed.
            Some(State::Trying) => u32::MAX - 1,
            None => 0,
        };
        let count = before.saturating_add(1);
        let next = match count >= self.config.failures.max(1) {
            true => State::Resting(now.saturating_add(micros(self.config.rest))),
            false => State::Failing(count),
        };
        states.insert(self.key, next);
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.trying {
            // It was not tried out after all: the next call may.
            let mut states = self.breakers.states.lock().unwrap_or_else(PoisonError::into_inner);
            states.insert(self.key, State::Resting(0));
        }
    }
}

fn counts(denied: &Denied) -> bool {
    match denied {
        Denied::Failed { failure: Failure::Internal, .. } => true,
        Denied::Unavailable(part) => matches!(part, Subsystem::Sandbox | Subsystem::Database),
        _ => false,
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
