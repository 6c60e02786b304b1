//! Tokens that say nothing by themselves: their authorization server is asked what they are.
//!
//! SPEC: RFC 7662. An answer holds for a short time, yes or no; one question at a time is asked about a token, and only so many at once
//! in all. Nobody who makes tokens up can keep those waiting whose token was good before.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use countersign_core::json::{self, Limits, Value};
use tokio::sync::Mutex;

use super::{
    issuer::{Dropped, Issuer},
    refused::TokenRefused,
    source::FetchFailed,
    verified::{Bound, Remembered, Verified},
};

/// The longest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 64 << 10;
/// The shortest and the longest token that is worth a question.
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 16..=4096;
/// Questions at once: about tokens that nobody has shown before, and as many about those that were good.
const LANES: usize = 8;
/// How long a caller waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Refused tokens that are remembered in each of two generations.
const REFUSED: usize = 10_000;

/// Asks an authorization server about a token.
#[async_trait]
pub trait IntrospectionEndpoint: Send + Sync {
    /// The body of the answer, if it was 200, within a deadline and [`MAX_ANSWER`] bytes.
    ///
    /// # Errors
    /// [`FetchFailed`] for anything else. Its text never holds the token.
    async fn ask(&self, token: &str) -> Result<Vec<u8>, FetchFailed>;
}

/// The introspection of one issuer.
pub(super) struct Introspection {
    endpoint: Arc<dyn IntrospectionEndpoint>,
    fresh: Duration,
    refused: Remembered<(Instant, TokenRefused)>,
    /// By the first byte of a token's hash: the same token waits for itself.
    unknown: [Mutex<()>; LANES],
    known: [Mutex<()>; LANES],
}

/// What an answer came to.
pub(super) enum Answered {
    /// The token is good.
    Good(Verified, Dropped),
    /// It is not, or nobody can say.
    Refused(TokenRefused),
    /// The endpoint could not be asked, or answered with what is no answer; for the operator.
    Failed(FetchFailed),
}

impl Introspection {
    /// With answers that hold for `fresh`.
    pub(super) fn new(endpoint: Arc<dyn IntrospectionEndpoint>, fresh: Duration) -> Introspection {
        Introspection {
            endpoint,
            fresh,
            refused: Remembered::new(REFUSED),
            unknown: Default::default(),
            known: Default::default(),
        }
    }

    /// Whether an answer of then still holds.
    pub(super) fn is_fresh(&self, asked: Instant) -> bool {
        // MUTATE(G1-introspection-fresh): a token that was revoked lives for as long as it is remembered
        asked.elapsed() <= self.fresh
    }

    /// Asks about a token, unless somebody else just did. `known`: it was good lately. `again`, asked once it is this caller's turn, says
    /// whether somebody else was told yes meanwhile; then there is no answer.
    pub(super) async fn ask(
        &self,
        issuer: &Arc<Issuer>,
        (token, hash): (&str, &[u8; 32]),
        now: u64,
        known: bool,
        again: impl FnOnce() -> bool + Send,
    ) -> Option<Answered> {
        if !TOKEN_BYTES.contains(&token.len()) {
            return Some(Answered::Refused(TokenRefused::Malformed));
        }
        if let Some(refused) = self.refused_lately(hash) {
            return Some(Answered::Refused(refused));
        }
        let lanes = if known { &self.known } else { &self.unknown };
        let unavailable = Some(Answered::Refused(TokenRefused::Unavailable));
        let Some(lane) = lanes.get(usize::from(hash[0]) % LANES) else { return unavailable };
        let Ok(_turn) = tokio::time::timeout(PATIENCE, lane.lock()).await else { return unavailable };
        if again() {
            return None;
        }
        if let Some(refused) = self.refused_lately(hash) {
            return Some(Answered::Refused(refused));
        }
        let asked = Instant::now();
        let answer = match self.endpoint.ask(token).await {
            Ok(answer) => answer,
            Err(failed) => return Some(Answered::Failed(failed)),
        };
        Some(match read(&answer, issuer, now) {
            Ok((verified, dropped)) => {
                Answered::Good(Verified { introspected: Some(asked), ..verified }, dropped)
            }
            Err(TokenRefused::Unavailable) => {
                Answered::Failed(FetchFailed("the introspection endpoint's answer cannot be read".into()))
            }
            Err(refused) => {
                self.refused.insert(*hash, (Instant::now(), refused.clone()));
                Answered::Refused(refused)
            }
        })
    }

    fn refused_lately(&self, hash: &[u8; 32]) -> Option<TokenRefused> {
        // MUTATE(G1-introspection-negative): every repetition of a made-up token costs the issuer a request
        self.refused.get(hash).filter(|(at, _)| at.elapsed() <= self.fresh).map(|(_, refused)| refused)
    }
}

/// Whether a token is one that can be read here. What looks like one is never asked about: a forged signature is not mended by an answer.
pub(super) fn is_readable(token: &str) -> bool {
    token.starts_with("eyJ") && token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// SPEC: RFC 7662 §2.2 and §4. What the specification leaves to the server is demanded here: audience, expiry and type.
fn read(answer: &[u8], issuer: &Arc<Issuer>, now: u64) -> Result<(Verified, Dropped), TokenRefused> {
    let limits = Limits { bytes: MAX_ANSWER, depth: 16, nodes: 4096 };
    let answer = json::parse(answer, limits).map_err(|_| TokenRefused::Unavailable)?;
    match answer.get("active") {
        Some(Value::Bool(true)) => {}
        // MUTATE(G1-introspection-active): a token that is not active is taken
        Some(Value::Bool(false)) => return Err(TokenRefused::Inactive),
        _ => return Err(TokenRefused::Unavailable),
    }
    if answer.get("iss").is_some_and(|named| named.as_str() != Some(issuer.config.url.as_str())) {
        return Err(TokenRefused::Issuer);
    }
    // A refresh token is active as well.
    let kind = answer.get("token_type").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    // MUTATE(G1-introspection-type): a refresh token is taken for an access token
    if !matches!(kind.as_str(), "bearer" | "dpop") {
        return Err(TokenRefused::Kind);
    }
    let (verified, dropped) = issuer.accept(&answer, now, None)?;
    if kind == "dpop" && !matches!(verified.bound, Bound::Key(_)) {
        return Err(TokenRefused::Unbound);
    }
    Ok((verified, dropped))
}
