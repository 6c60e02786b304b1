//! `requestState`: what a client carries between the rounds of one call (2026-07-28), so that the server need not remember.
//!
//! SPEC: 2026-07-28 patterns, Multi Round-Trip Requests. It comes back as attacker's input. A MAC binds it to the principal, the method,
//! what is called with which arguments, and an expiry; any change, or use elsewhere, is refused. It holds only what the client itself
//! answered before, and it grants nothing.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use countersign_core::{Digest, Principal, ports::Environment};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// Answers by the key of their question.
pub(crate) type Answers = BTreeMap<String, Value>;

/// What a state is bound to.
pub(crate) struct Binding<'b> {
    pub(crate) principal: &'b Principal,
    pub(crate) method: &'static str,
    pub(crate) name: &'b str,
    /// Canonical.
    pub(crate) arguments: &'b str,
}

/// Makes and checks states under a key of this process.
pub(crate) struct RequestStates {
    key: [u8; 32],
}

/// How long a client may take between two rounds.
const LIFETIME: Duration = Duration::from_secs(600);

impl RequestStates {
    /// With a fresh key; states of an earlier process are refused.
    pub(crate) fn new(environment: &dyn Environment) -> Result<RequestStates, String> {
        let mut key = [0; 32];
        environment.random(&mut key)?;
        Ok(RequestStates { key })
    }

    /// A state that carries `answers` to the next round.
    pub(crate) fn seal(&self, binding: &Binding<'_>, answers: &Answers, unix_micros: u64) -> Option<String> {
        let expiry = Duration::from_micros(unix_micros).saturating_add(LIFETIME).as_secs();
        let payload = serde_json::json!({"exp": expiry, "answers": answers}).to_string();
        let tag = self.mac(binding, payload.as_bytes())?.finalize().into_bytes();
        Some(format!("{}.{}", URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(tag)))
    }

    /// The answers of earlier rounds, if the state is ours, unchanged, for this call, and not expired.
    pub(crate) fn open(&self, state: &str, binding: &Binding<'_>, unix_micros: u64) -> Option<Answers> {
        let (payload, tag) = state.split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        // MUTATE(MCP-state): a state that was changed is taken
        self.mac(binding, &payload)?.verify_slice(&tag).ok()?;
        let payload: Value = serde_json::from_slice(&payload).ok()?;
        let expiry = payload.get("exp")?.as_u64()?;
        if expiry < Duration::from_micros(unix_micros).as_secs() {
            return None;
        }
        let answers = payload.get("answers")?.as_object()?;
        Some(answers.iter().map(|(key, answer)| (key.clone(), answer.clone())).collect())
    }

    fn mac(&self, binding: &Binding<'_>, payload: &[u8]) -> Option<Hmac<Sha256>> {
        let fields = [
            binding.principal.key().as_bytes(),
            binding.method.as_bytes(),
            binding.name.as_bytes(),
            binding.arguments.as_bytes(),
            payload,
        ];
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(&Digest::of_fields("countersign request state v1", fields).0);
        Some(mac)
    }
}
