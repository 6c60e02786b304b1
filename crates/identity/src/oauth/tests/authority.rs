//! An authority under the test's control: it signs any header and any claims, publishes any keys, and can go away.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
        RsaKeyPair,
    },
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use countersign_core::{Principal, PrincipalKind};
use serde_json::{Value, json};

use super::super::*;

pub(super) const ISSUER: &str = "https://login.bank.example";
pub(super) const RESOURCE: &str = "https://mcp.bank.example/mcp";
/// The time of all tests, in seconds since 1970.
pub(super) const NOW: u64 = 1_800_000_000;

/// A key pair of one of the kinds that issuers and callers use.
pub(super) enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Pair {
    pub(super) fn rsa() -> Pair {
        Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub(super) fn p256() -> Pair {
        Pair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(super) fn ed25519() -> Pair {
        Pair::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    pub(super) fn jwk(&self) -> Value {
        match self {
            Pair::Rsa(pair) => {
                // RFC 8017 §A.1.1: a sequence of two integers, here of 257 and 3 bytes.
                let der = pair.public_key().as_ref();
                json!({"kty": "RSA", "n": BASE64URL.encode(&der[8..265]), "e": BASE64URL.encode(&der[267..])})
            }
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (BASE64URL.encode(&point[1..33]), BASE64URL.encode(&point[33..65]));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64URL.encode(pair.public_key().as_ref())})
            }
        }
    }

    /// A compact token with exactly this header and this payload.
    pub(super) fn sign(&self, header: &Value, payload: &str) -> String {
        let signed = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(payload));
        let random = SystemRandom::new();
        let signature = match self {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
            Pair::P256(pair) => pair.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", BASE64URL.encode(signature))
    }
}

/// The documents that the authority publishes, by address; how often each was asked for; and whether it can be reached.
#[derive(Default)]
pub(super) struct Site {
    pub(super) documents: Mutex<BTreeMap<String, String>>,
    pub(super) asked: AtomicUsize,
    pub(super) away: AtomicBool,
}

#[async_trait]
impl KeySource for Site {
    async fn get(&self, url: &str, _named_by: NamedBy, limit: usize) -> Result<Vec<u8>, FetchFailed> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
        if self.away.load(Ordering::SeqCst) {
            return Err(FetchFailed("away".into()));
        }
        let found = self.documents.lock().unwrap().get(url).cloned();
        found.map(String::into_bytes).filter(|text| text.len() <= limit).ok_or(FetchFailed("404".into()))
    }
}

/// What the witness heard.
#[derive(Default)]
pub(super) struct Heard(pub(super) Mutex<Vec<String>>);

impl Witness for Heard {
    fn keys_changed(&self, issuer: &str, before: usize, after: usize) {
        self.0.lock().unwrap().push(format!("{issuer}: {before} -> {after} keys"));
    }
    fn keys_unreachable(&self, issuer: &str, cause: &str) {
        self.0.lock().unwrap().push(format!("{issuer}: {cause}"));
    }
    fn introspection_failed(&self, issuer: &str, cause: &str) {
        self.0.lock().unwrap().push(format!("{issuer}: not asked: {cause}"));
    }
    fn proofs_unknown(&self, cause: &str) {
        self.0.lock().unwrap().push(format!("proofs: {cause}"));
    }
    fn claims_dropped(&self, principal: &Principal, count: usize) {
        self.0.lock().unwrap().push(format!("{}: {count} dropped", principal.subject()));
    }
}

/// An authority, and the server that trusts it.
pub(super) struct World {
    pub(super) pair: Pair,
    pub(super) site: Arc<Site>,
    pub(super) heard: Arc<Heard>,
    pub(super) server: Arc<ResourceServer>,
}

/// Times short enough to wait for.
pub(super) const TIMING: Timing = Timing {
    fresh: Duration::from_millis(50),
    stale: Duration::from_millis(400),
    unknown: Duration::from_millis(200),
    failed: Duration::from_millis(20),
};

pub(super) fn config() -> IssuerConfig {
    IssuerConfig {
        name: "corp".into(),
        url: ISSUER.into(),
        jwks: None,
        audience: vec![RESOURCE.into()],
        algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
        untyped: false,
        kind: PrincipalKind::Person,
        services: vec!["nightly".into()],
        tenant: TenantRule::Claim(ClaimPath::parse("tenant").unwrap()),
        tenants: vec!["north".into(), "south".into()],
        roles_claim: ClaimPath::parse("/realm/roles").unwrap(),
        roles: vec!["analyst".into(), "reader".into()],
        role_names: BTreeMap::from([("Bank Analysts".into(), "analyst".into())]),
        scopes: Vec::new(),
        scope_includes: vec![
            ("tools:admin".into(), "tools:write".into()),
            ("tools:write".into(), "tools:read".into()),
        ],
        claims: vec![ClaimPath::parse("region").unwrap()],
        leeway: Duration::from_secs(30),
        lifetime: Duration::from_secs(3600),
        bound: false,
        nonce: false,
    }
}

impl World {
    pub(super) fn new() -> World {
        World::with(Pair::p256(), Timing::default(), |_| {})
    }

    pub(super) fn with(pair: Pair, timing: Timing, change: impl FnOnce(&mut IssuerConfig)) -> World {
        World::asking(pair, timing, change, None)
    }

    /// An authority that can be asked about tokens.
    pub(super) fn asking(
        pair: Pair,
        timing: Timing,
        change: impl FnOnce(&mut IssuerConfig),
        introspection: Option<(Arc<dyn IntrospectionEndpoint>, Duration)>,
    ) -> World {
        let mut config = config();
        change(&mut config);
        let site = Arc::new(Site::default());
        let heard = Arc::new(Heard::default());
        let keys = Arc::clone(&site) as Arc<dyn KeySource>;
        let witness = Arc::clone(&heard) as Arc<dyn Witness>;
        let setup = IssuerSetup { config, keys, introspection };
        let server = Arc::new(ResourceServer::new(RESOURCE, vec![setup], timing, witness).unwrap());
        let world = World { pair, site, heard, server };
        let metadata = json!({"issuer": ISSUER, "jwks_uri": format!("{ISSUER}/jwks")});
        world.publish("/.well-known/openid-configuration", &metadata);
        world.publish_keys(&[("one", &world.pair)]);
        world
    }

    /// Another process of the same server.
    pub(super) fn sibling(&self, shared: Option<Arc<dyn SharedProofs>>) -> ResourceServer {
        let keys = Arc::clone(&self.site) as Arc<dyn KeySource>;
        let witness = Arc::clone(&self.heard) as Arc<dyn Witness>;
        let setup = IssuerSetup { config: config(), keys, introspection: None };
        let server = ResourceServer::new(RESOURCE, vec![setup], Timing::default(), witness).unwrap();
        match shared {
            Some(shared) => server.with_shared_proofs(shared),
            None => server,
        }
    }

    /// Puts another configuration of the issuer in place.
    pub(super) fn replace(&self, change: impl FnOnce(&mut IssuerConfig)) {
        let mut config = config();
        change(&mut config);
        let keys = Arc::clone(&self.site) as Arc<dyn KeySource>;
        self.server.replace(RESOURCE, vec![IssuerSetup { config, keys, introspection: None }]);
    }

    pub(super) fn publish(&self, path: &str, document: &Value) {
        self.site.documents.lock().unwrap().insert(format!("{ISSUER}{path}"), document.to_string());
    }

    pub(super) fn publish_keys(&self, keys: &[(&str, &Pair)]) {
        let with_id = |(kid, pair): &(&str, &Pair)| {
            let mut jwk = pair.jwk();
            jwk["kid"] = (*kid).into();
            jwk["use"] = "sig".into();
            jwk
        };
        self.publish("/jwks", &json!({"keys": keys.iter().map(with_id).collect::<Vec<_>>()}));
    }

    pub(super) fn asked(&self) -> usize {
        self.site.asked.load(Ordering::SeqCst)
    }

    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.0.lock().unwrap().clone()
    }

    pub(super) fn header(&self) -> Value {
        json!({"alg": self.pair.algorithm(), "typ": "at+jwt", "kid": "one"})
    }

    /// A token with the header and claims of a good one, changed.
    pub(super) fn token(&self, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let (mut header, mut claims) = (self.header(), claims());
        change(&mut header, &mut claims);
        self.pair.sign(&header, &claims.to_string())
    }

    pub(super) async fn ask(&self, token: &str) -> Result<Arc<Principal>, TokenRefused> {
        self.ask_at(token, NOW).await
    }

    pub(super) async fn ask_at(&self, token: &str, now: u64) -> Result<Arc<Principal>, TokenRefused> {
        self.server.authenticate_at(&bearer(token), now).await
    }
}

pub(super) fn bearer(token: &str) -> Shown<'_> {
    Shown { scheme: Scheme::Bearer, token, proof: None, method: "POST", certificate: None }
}

/// The claims of a good token.
pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "ada", "aud": RESOURCE, "client_id": "desk", "jti": "t1",
        "iat": NOW - 10, "exp": NOW + 300, "scope": "tools:read tools:list",
        "tenant": "north", "realm": {"roles": ["reader"]}, "region": "emea",
    })
}
