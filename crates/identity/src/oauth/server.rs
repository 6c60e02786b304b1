//! The resource server: from a token, as it was shown, to a principal.
//!
//! ```text
//! remembered? ─▶ read ─▶ issuer ─▶ algorithm, type ─▶ key ─▶ signature ─▶ audience, time, scope, tenant, roles ─▶ remember
//!      │          └─ cannot be read ─▶ ask its issuer ──────────────────────────┘                                  │
//!      └───────────────────────────────────────────────────────────────────────────────────────────────────────────┴─▶ binding ─▶ principal
//! ```

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use countersign_core::Principal;
use zeroize::Zeroizing;

use super::{
    dpop::{Fresh, Proofs, SharedProofs, Target},
    introspection::{Answered, is_readable},
    issuer::{Dropped, Issuer, IssuerSetup},
    jwk::sha256,
    jws::Jws,
    keys::{Missing, Timing},
    refused::TokenRefused,
    verified::{Bound, Remembered, Verified},
};
use crate::time::Timestamp;

/// How a token is shown in the `Authorization` header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// `Bearer`: RFC 6750.
    Bearer,
    /// `DPoP`: RFC 9449.
    Dpop,
}

/// A token, and what the caller shows with it.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'s> {
    /// The scheme of the header.
    pub scheme: Scheme,
    /// The token.
    pub token: &'s str,
    /// The proof of possession, if there is one.
    pub proof: Option<&'s str>,
    /// The method of the request.
    pub method: &'s str,
    /// SHA-256 of the client certificate of the connection.
    pub certificate: Option<[u8; 32]>,
}

/// Hears what an auditor wants to know of issuers and their tokens.
pub trait Witness: Send + Sync {
    /// An issuer publishes other keys than before; how many before and after.
    fn keys_changed(&self, issuer: &str, before: usize, after: usize);
    /// An issuer's keys cannot be fetched.
    fn keys_unreachable(&self, issuer: &str, cause: &str);
    /// An issuer cannot be asked about a token that only it can read.
    fn introspection_failed(&self, issuer: &str, cause: &str);
    /// Whether a proof of possession was used elsewhere cannot be found out.
    fn proofs_unknown(&self, cause: &str);
    /// A token claimed this many tenants and roles that its issuer may not grant; they are left out.
    fn claims_dropped(&self, principal: &Principal, count: usize);
}

/// Turns tokens of the configured issuers into principals.
pub struct ResourceServer {
    live: RwLock<Arc<Live>>,
    timing: Timing,
    remembered: Arc<Remembered>,
    proofs: Proofs,
    shared: Option<Arc<dyn SharedProofs>>,
    witness: Arc<dyn Witness>,
}

/// What a reload replaces.
struct Live {
    resource: String,
    issuers: Vec<Arc<Issuer>>,
}

/// Tokens that are remembered in each of two generations.
const REMEMBERED: usize = 10_000;

/// How much longer than for others an answer of an issuer holds for a stream that is open: it is asked again meanwhile.
const STREAM_GRACE: Duration = Duration::from_secs(60);

/// Why a check did not end: refused for good, or for want of a key or of an answer that could be fetched.
enum Stopped {
    Refused(TokenRefused),
    Missing(Arc<Issuer>, Missing),
    Unread(Arc<Issuer>),
}

impl From<TokenRefused> for Stopped {
    fn from(refused: TokenRefused) -> Stopped {
        Stopped::Refused(refused)
    }
}

impl ResourceServer {
    /// A server that is known by the address `resource`, which proofs of possession must name, with its issuers.
    ///
    /// # Errors
    /// When the operating system has no entropy.
    pub fn new(
        resource: impl Into<String>,
        issuers: Vec<IssuerSetup>,
        timing: Timing,
        witness: Arc<dyn Witness>,
    ) -> Result<ResourceServer, getrandom::Error> {
        let issuers = issuers.into_iter().map(|setup| Arc::new(Issuer::new(setup, timing))).collect();
        Ok(ResourceServer {
            live: RwLock::new(Arc::new(Live { resource: resource.into(), issuers })),
            timing,
            remembered: Arc::new(Remembered::new(REMEMBERED)),
            proofs: Proofs::new()?,
            shared: None,
            witness,
        })
    }

    /// The same, where other processes behind this address take proofs as well.
    #[must_use]
    pub fn with_shared_proofs(self, shared: Arc<dyn SharedProofs>) -> ResourceServer {
        ResourceServer { shared: Some(shared), ..self }
    }

    /// Puts other issuers in place, from the next token on. Tokens that were verified are verified anew, by the new rules; the keys of
    /// an issuer that is still where it was serve on until they are fetched again; proofs that were used stay used.
    pub fn replace(&self, resource: impl Into<String>, issuers: Vec<IssuerSetup>) {
        let former = self.live();
        let issuer = |setup| {
            let new = Issuer::new(setup, self.timing);
            for old in former.issuers.iter().filter(|old| old.config.name == new.config.name) {
                new.inherit(old);
            }
            Arc::new(new)
        };
        let live = Live { resource: resource.into(), issuers: issuers.into_iter().map(issuer).collect() };
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
    }

    fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who shows this token?
    ///
    /// # Errors
    /// [`TokenRefused`] says why nobody does.
    pub async fn authenticate(&self, shown: &Shown<'_>) -> Result<Arc<Principal>, TokenRefused> {
        self.authenticate_at(shown, Timestamp::now().unix()).await
    }

    /// As [`ResourceServer::authenticate`], at `now` in seconds since 1970.
    pub(super) async fn authenticate_at(
        &self,
        shown: &Shown<'_>,
        now: u64,
    ) -> Result<Arc<Principal>, TokenRefused> {
        let verified = self.verified(shown.token, now).await?;
        if let Some(proof) = self.check_binding(&verified, shown, now)? {
            self.check_elsewhere(proof).await?;
        }
        Ok(Arc::clone(&verified.principal))
    }

    /// Whether a token that was accepted still would be, by what is at hand: for streams that outlive their request. An issuer that must
    /// be asked is asked in the background, and its former answer holds a little longer.
    pub fn still_holds(self: &Arc<Self>, token: &str) -> bool {
        let now = Timestamp::now().unix();
        match self.check(token, now) {
            Ok(_) => true,
            Err(Stopped::Unread(issuer)) => {
                let asked =
                    self.remembered.get(&sha256(token.as_bytes())).and_then(|found| found.introspected);
                let (server, token) = (Arc::clone(self), Zeroizing::new(token.to_owned()));
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move { server.introspect(&issuer, &token, now).await.map(drop) });
                }
                asked.is_some_and(|asked| asked.elapsed() <= STREAM_GRACE)
            }
            Err(_) => false,
        }
    }

    async fn verified(&self, token: &str, now: u64) -> Result<Arc<Verified>, TokenRefused> {
        let (issuer, missing) = match self.check(token, now) {
            Ok(verified) => return Ok(verified),
            Err(Stopped::Refused(refused)) => return Err(refused),
            Err(Stopped::Unread(issuer)) => return self.introspect(&issuer, token, now).await,
            Err(Stopped::Missing(issuer, missing)) => (issuer, missing),
        };
        let fetched = self.fetch(&issuer, Some(missing)).await;
        match (self.check(token, now), fetched) {
            (Ok(verified), _) => Ok(verified),
            (Err(Stopped::Refused(refused)), _) => Err(refused),
            (Err(Stopped::Missing(_, Missing::Kid)), true) => Err(TokenRefused::UnknownKey),
            (Err(_), _) => Err(TokenRefused::Unavailable),
        }
    }

    /// Asks an issuer about a token that only it can read.
    async fn introspect(
        &self,
        issuer: &Arc<Issuer>,
        token: &str,
        now: u64,
    ) -> Result<Arc<Verified>, TokenRefused> {
        let introspection = issuer.introspection.as_ref().ok_or(TokenRefused::Malformed)?;
        let hash = sha256(token.as_bytes());
        let known = self.remembered.get(&hash).is_some();
        let again = || self.check(token, now).is_ok();
        match introspection.ask(issuer, (token, &hash), now, known, again).await {
            None => self.check(token, now).map_err(|_| TokenRefused::Unavailable),
            Some(Answered::Good(verified, dropped)) => Ok(self.remember(hash, verified, dropped)),
            Some(Answered::Refused(refused)) => {
                if refused != TokenRefused::Unavailable {
                    self.remembered.forget(&hash);
                }
                Err(refused)
            }
            Some(Answered::Failed(failed)) => {
                self.witness.introspection_failed(&issuer.config.name, &failed.0);
                // INVARIANT: nobody's word is taken for an issuer's that does not answer.
                Err(TokenRefused::Unavailable)
            }
        }
    }

    fn remember(&self, hash: [u8; 32], verified: Verified, Dropped(dropped): Dropped) -> Arc<Verified> {
        if dropped > 0 {
            self.witness.claims_dropped(&verified.principal, dropped);
        }
        let verified = Arc::new(verified);
        self.remembered.insert(hash, Arc::clone(&verified));
        verified
    }

    /// Fetches an issuer's keys; whether that worked.
    async fn fetch(&self, issuer: &Issuer, missing: Option<Missing>) -> bool {
        report(issuer, issuer.keys.refresh(missing).await, self.witness.as_ref())
    }

    fn check(&self, token: &str, now: u64) -> Result<Arc<Verified>, Stopped> {
        let hash = sha256(token.as_bytes());
        if let Some(verified) = self.remembered.get(&hash) {
            match self.recheck(&verified, now) {
                Some(Ok(())) => return Ok(verified),
                Some(Err(refused)) => {
                    self.remembered.forget(&hash);
                    return Err(refused.into());
                }
                // What only its issuer can read stays, as one that was good.
                None if verified.introspected.is_some() => {}
                None => self.remembered.forget(&hash),
            }
        }
        let live = self.live();
        if let Some(issuer) = live.issuers.iter().find(|one| one.introspection.is_some())
            && !is_readable(token)
        {
            return Err(Stopped::Unread(Arc::clone(issuer)));
        }
        let jws = Jws::read(token)?;
        let claims = jws.claims()?;
        let named = claims.get("iss").and_then(|issuer| issuer.as_str()).ok_or(TokenRefused::Claim("iss"))?;
        // INVARIANT: the token chooses among the issuers of the configuration, and that issuer's own keys and rules judge it.
        let issuer = live.issuers.iter().find(|one| one.config.url == named).ok_or(TokenRefused::Issuer)?;
        issuer.check_header(&jws)?;
        let version = issuer.keys.version();
        let keys = match issuer.keys.find(jws.kid.as_deref(), jws.algorithm) {
            Ok(keys) => keys,
            Err(missing) => return Err(Stopped::Missing(Arc::clone(issuer), missing)),
        };
        if !keys.iter().any(|key| jws.verify(key)) {
            return Err(TokenRefused::Signature.into());
        }
        let (verified, dropped) = issuer.accept(&claims, now, Some(version))?;
        let verified = self.remember(hash, verified, dropped);
        self.keep_fresh(issuer);
        Ok(verified)
    }

    /// What may have changed since a token was verified. `None`: its issuer, or its issuer's keys, are others now, or it must be asked
    /// again; so the token is verified anew.
    fn recheck(&self, verified: &Verified, now: u64) -> Option<Result<(), TokenRefused>> {
        // MUTATE(G1-remembered-expiry): a token that was valid once is valid for ever
        if now >= verified.expires {
            return Some(Err(TokenRefused::Expired));
        }
        // MUTATE(G1-removed-issuer): a token outlives the configuration that let it in
        let issuer = Some(&verified.issuer).filter(|issuer| self.is_live(issuer))?;
        if let Some(asked) = verified.introspected {
            return issuer.introspection.as_ref()?.is_fresh(asked).then_some(Ok(()));
        }
        self.keep_fresh(issuer);
        // MUTATE(G1-withdrawn-key): a token outlives the key that signed it
        (issuer.keys.version() == verified.version && issuer.keys.are_usable()).then_some(Ok(()))
    }

    fn is_live(&self, issuer: &Arc<Issuer>) -> bool {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.issuers.iter().any(|one| Arc::ptr_eq(one, issuer))
    }

    /// Has keys that are getting old fetched in the background, so that no caller waits for them.
    fn keep_fresh(&self, issuer: &Arc<Issuer>) {
        if !issuer.keys.is_due() {
            return;
        }
        let (issuer, witness) = (Arc::clone(issuer), Arc::clone(&self.witness));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { report(&issuer, issuer.keys.refresh(None).await, witness.as_ref()) });
        }
    }

    /// Whether a proof that is new to this process is new to all others.
    async fn check_elsewhere(&self, proof: Fresh) -> Result<(), TokenRefused> {
        let Some(shared) = &self.shared else { return Ok(()) };
        match shared.is_first(proof.id, proof.until).await {
            Ok(true) => Ok(()),
            // MUTATE(G1-dpop-fleet): a proof that another process has taken is taken again
            Ok(false) => Err(TokenRefused::Replay),
            Err(cause) => {
                self.witness.proofs_unknown(&cause);
                Err(TokenRefused::Unavailable)
            }
        }
    }

    /// Whether the caller holds what the token is bound to; the proof, if it showed one.
    fn check_binding(
        &self,
        verified: &Verified,
        shown: &Shown<'_>,
        now: u64,
    ) -> Result<Option<Fresh>, TokenRefused> {
        match (verified.bound, shown.scheme) {
            (Bound::Bearer, Scheme::Bearer) => Ok(None),
            // SPEC: RFC 9449 §7.1: the DPoP scheme is for bound tokens alone.
            (Bound::Bearer | Bound::Certificate(_), Scheme::Dpop) => Err(TokenRefused::Unbound),
            (Bound::Certificate(hash), Scheme::Bearer) => {
                // MUTATE(G1-certificate-bound): a bound token is taken over any connection
                if shown.certificate == Some(hash) { Ok(None) } else { Err(TokenRefused::Unbound) }
            }
            // SPEC: RFC 9449 §7.2: a bound token must not be taken as a bearer token.
            // MUTATE(G1-dpop-downgrade): a bound token is taken without proof
            (Bound::Key(_), Scheme::Bearer) => Err(TokenRefused::Unbound),
            (Bound::Key(thumbprint), Scheme::Dpop) => {
                let proof = shown.proof.ok_or(TokenRefused::Proof)?;
                let live = self.live();
                let target = Target { method: shown.method, url: &live.resource, token: shown.token };
                self.proofs.check(proof, target, &thumbprint, verified.nonce, now).map(Some)
            }
        }
    }
}

/// Tells the witness what a fetch found; whether it worked.
fn report(
    issuer: &Issuer,
    outcome: Result<Option<super::keys::Changed>, super::source::FetchFailed>,
    witness: &dyn Witness,
) -> bool {
    match outcome {
        Ok(None) => true,
        Ok(Some(changed)) => {
            witness.keys_changed(&issuer.config.name, changed.keys.0, changed.keys.1);
            true
        }
        Err(failed) => {
            witness.keys_unreachable(&issuer.config.name, &failed.0);
            false
        }
    }
}
