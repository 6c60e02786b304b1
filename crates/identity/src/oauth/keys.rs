//! The keys of one issuer: fetched once for all who wait, kept while the issuer is away, and never for longer than a day.
//!
//! A flood of tokens with made-up key ids costs the issuer one request in [`Timing::unknown`], whatever its size.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    algorithm::Algorithm,
    discovery,
    jwk::{self, Jwk, PublicKey, sha256},
    source::{FetchFailed, KeySource, NamedBy},
};

/// When keys are fetched again.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Keys older than this are fetched again in the background; a key that the issuer withdrew works for about as long.
    pub fresh: Duration,
    /// Keys older than this verify nothing: the issuer was away for too long.
    pub stale: Duration,
    /// At most one fetch for a key id that is not there in this time.
    pub unknown: Duration,
    /// Pause after a fetch that failed.
    pub failed: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            fresh: Duration::from_secs(300),
            stale: Duration::from_secs(24 * 3600),
            unknown: Duration::from_secs(30),
            failed: Duration::from_secs(5),
        }
    }
}

/// Why no key is at hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Missing {
    /// There are no keys, or they are too old.
    Keys,
    /// There are keys, but not this one.
    Kid,
}

/// The keys of one issuer.
pub(super) struct Keys {
    issuer: String,
    jwks: Option<String>,
    source: Arc<dyn KeySource>,
    timing: Timing,
    set: RwLock<Arc<Set>>,
    fetching: tokio::sync::Mutex<()>,
    last: Mutex<Option<Attempt>>,
    /// The keys are those of a former configuration.
    inherited: AtomicBool,
}

#[derive(Default)]
struct Set {
    keys: Vec<Jwk>,
    digest: [u8; 32],
    /// Rises with every change of the keys.
    version: u64,
    fetched: Option<Instant>,
}

#[derive(Clone)]
struct Attempt {
    at: Instant,
    outcome: Result<(), FetchFailed>,
}

/// What a fetch has changed, for the record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Changed {
    /// Keys before and after.
    pub(super) keys: (usize, usize),
}

impl Keys {
    pub(super) fn new(
        issuer: &str,
        jwks: Option<String>,
        source: Arc<dyn KeySource>,
        timing: Timing,
    ) -> Keys {
        Keys {
            issuer: issuer.to_owned(),
            jwks,
            source,
            timing,
            set: RwLock::default(),
            fetching: tokio::sync::Mutex::default(),
            last: Mutex::default(),
            inherited: AtomicBool::new(false),
        }
    }

    /// Takes over other keys, which are due from then on.
    pub(super) fn inherit(&self, former: &Keys) {
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = former.set();
        self.inherited.store(true, Ordering::SeqCst);
    }

    /// The version of the keys in force; it rises when they change.
    pub(super) fn version(&self) -> u64 {
        self.set().version
    }

    /// Whether there are keys, and not too old ones.
    pub(super) fn are_usable(&self) -> bool {
        // MUTATE(G1-stale-keys): keys verify for as long as the issuer cannot be reached
        self.set().fetched.is_some_and(|at| at.elapsed() <= self.timing.stale)
    }

    /// Whether the keys should be fetched again while those at hand still serve.
    pub(super) fn is_due(&self) -> bool {
        let age = self.set().fetched.map(|at| at.elapsed());
        let waiting = self.last().is_some_and(|last| last.at.elapsed() < self.timing.failed);
        let due = |age| age > self.timing.fresh || self.inherited.load(Ordering::SeqCst);
        age.is_some_and(due) && !waiting
    }

    /// The keys that may have made a signature: the one of this id, or, without an id, those that suit the algorithm.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Vec<PublicKey>, Missing> {
        if !self.are_usable() {
            return Err(Missing::Keys);
        }
        let set = self.set();
        let suits =
            |jwk: &&Jwk| jwk.key.suits(algorithm) && jwk.algorithm.is_none_or(|only| only == algorithm);
        let named = |jwk: &&Jwk| kid.is_none() || jwk.kid.as_deref() == kid;
        let found: Vec<PublicKey> =
            set.keys.iter().filter(named).filter(suits).take(MAX_TRIED).map(|jwk| jwk.key.clone()).collect();
        if found.is_empty() { Err(Missing::Kid) } else { Ok(found) }
    }

    /// Fetches the keys, unless somebody else just did: all who wait share one fetch and its outcome.
    ///
    /// # Errors
    /// When the document cannot be had. The last good keys stay.
    pub(super) async fn refresh(&self, missing: Option<Missing>) -> Result<Option<Changed>, FetchFailed> {
        let asked = Instant::now();
        let _alone = self.fetching.lock().await;
        if let Some(last) = self.last() {
            let pause = match (&last.outcome, missing) {
                (Err(_), _) => self.timing.failed,
                (Ok(()), Some(Missing::Kid)) => self.timing.unknown,
                (Ok(()), _) => Duration::ZERO,
            };
            // MUTATE(G1-kid-flood): every made-up key id costs the issuer a request
            if last.at >= asked || last.at.elapsed() < pause {
                return last.outcome.map(|()| None);
            }
        }
        let fetched = self.fetch().await;
        let outcome = fetched.as_ref().map(|_| ()).map_err(Clone::clone);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Attempt { at: Instant::now(), outcome });
        fetched
    }

    async fn fetch(&self) -> Result<Option<Changed>, FetchFailed> {
        let (url, named_by) = match &self.jwks {
            Some(url) => (url.clone(), NamedBy::Operator),
            None => discovery::find(&self.issuer, self.source.as_ref()).await?,
        };
        let text = self.source.get(&url, named_by, jwk::MAX_SET).await?;
        let keys = jwk::read_set(&text).map_err(|rule| FetchFailed(rule.to_owned()))?;
        let old = self.set();
        let digest = sha256(&text);
        let is_new = old.digest != digest;
        let changed =
            (is_new && old.fetched.is_some()).then_some(Changed { keys: (old.keys.len(), keys.len()) });
        let version = old.version + u64::from(is_new);
        self.inherited.store(false, Ordering::SeqCst);
        *self.set.write().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(Set { keys, digest, version, fetched: Some(Instant::now()) });
        Ok(changed)
    }

    fn set(&self) -> Arc<Set> {
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn last(&self) -> Option<Attempt> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How many keys are tried for a token that names none.
const MAX_TRIED: usize = 8;
