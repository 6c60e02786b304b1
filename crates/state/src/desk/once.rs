//! Idempotency keys on the desk: fresh, answered from the record, under way, or in doubt.

use async_trait::async_trait;
use countersign_core::{
    CallId,
    approval::{End, Use},
    once::{Begun, OnceKey, OnceKeys},
};

use super::Desk;
use crate::{error::StateError, store::OnceRow};

const CLAIMED: &str = "claimed";
const EXECUTING: &str = "executing";
const DONE: &str = "done";

impl Desk {
    async fn try_begin(&self, key: OnceKey, by: Use) -> Result<Begun, StateError> {
        let row = OnceRow {
            key: key.key.0,
            arguments: key.arguments.0,
            call: by.call.to_string(),
            instance: self.instance.clone(),
            until: by.until,
            phase: CLAIMED.to_owned(),
            answer: String::new(),
            at: by.now,
        };
        let Some(known) = self.store.once_begin(row.clone()).await? else { return Ok(Begun::Fresh) };
        // MUTATE(A5-once-arguments): a key answers for other arguments
        if known.arguments != key.arguments.0 {
            return Ok(Begun::Differs);
        }
        let over = self.is_over(&known.instance, known.until, by.now);
        match known.phase.as_str() {
            DONE => Ok(Begun::Ran { call: known.call, answer: known.answer }),
            CLAIMED if over => match self.store.once_take_over(&known.call, row).await? {
                true => Ok(Begun::Fresh),
                false => Ok(Begun::Running),
            },
            CLAIMED => Ok(Begun::Running),
            // MUTATE(J2-once-doubt): a write that was cut off runs again
            EXECUTING if !over => Ok(Begun::Running),
            _ => Ok(Begun::InDoubt { call: known.call }),
        }
    }
}

#[async_trait]
impl OnceKeys for Desk {
    async fn begin(&self, key: OnceKey, by: Use) -> Result<Begun, String> {
        let before = by.now.saturating_sub(countersign_core::once::REMEMBERED_MICROS);
        let forgotten = self.store.forget(before).await;
        forgotten.map_err(|error| error.to_string())?;
        self.try_begin(key, by).await.map_err(|error| error.to_string())
    }

    async fn executing(&self, key: OnceKey, by: CallId) -> Result<(), String> {
        let noted = self.store.once_phase(key.key.0, &by.to_string(), EXECUTING, "").await;
        noted.map_err(|error| error.to_string())
    }

    async fn end(&self, key: OnceKey, by: CallId, end: End, answer: &str) -> Result<(), String> {
        let by = by.to_string();
        let noted = match end {
            End::Done => self.store.once_phase(key.key.0, &by, DONE, answer).await,
            End::InDoubt => self.store.once_phase(key.key.0, &by, End::InDoubt.name(), "").await,
            End::Undone => self.store.once_free(key.key.0, &by).await,
        };
        noted.map_err(|error| error.to_string())
    }
}
