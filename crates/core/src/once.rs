//! Idempotency keys: a write that is retried under the same key runs once and is answered from the record of its first run.

use async_trait::async_trait;

use crate::{
    approval::{End, Use},
    ids::{CallId, Digest},
    principal::Principal,
};

/// How long a key is remembered, in microseconds: a day.
pub const REMEMBERED_MICROS: u64 = 86_400_000_000;

/// A caller's key, bound to whose it is and to the tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OnceKey {
    /// Tenant, principal, tool and key.
    pub key: Digest,
    /// The canonical arguments.
    pub arguments: Digest,
}

impl OnceKey {
    /// The key as `principal` gave it to `tool` with these canonical arguments.
    pub fn new(principal: &Principal, tool: &str, key: &str, arguments: &str) -> OnceKey {
        let fields = [principal.tenant(), principal.key(), tool, key];
        OnceKey {
            key: Digest::of_fields("countersign once v1", fields.map(str::as_bytes)),
            arguments: Digest::of(arguments.as_bytes()),
        }
    }
}

/// What is known about a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Begun {
    /// Nothing: it now belongs to this call.
    Fresh,
    /// It ran before.
    Ran {
        /// The call that ran.
        call: String,
        /// Its structured answer, JSON text. Empty: it was cut off, and somebody found out that it ran.
        answer: String,
    },
    /// Another call with it is under way.
    Running,
    /// A call with it was cut off in the middle: whether it had its effect is for people to find out.
    InDoubt {
        /// That call.
        call: String,
    },
    /// It was used with other arguments.
    Differs,
}

/// Where keys are remembered. Every method fails closed: an error refuses the call.
#[async_trait]
pub trait OnceKeys: Send + Sync {
    /// Takes the key for a call, or says why not. Atomic: of any number of callers one finds it fresh.
    async fn begin(&self, key: OnceKey, by: Use) -> Result<Begun, String>;

    /// Notes, durable, that the effect is about to happen: from here on a crash leaves it in doubt.
    async fn executing(&self, key: OnceKey, by: CallId) -> Result<(), String>;

    /// Notes how it ended. `Undone` gives the key free.
    async fn end(&self, key: OnceKey, by: CallId, end: End, answer: &str) -> Result<(), String>;
}
