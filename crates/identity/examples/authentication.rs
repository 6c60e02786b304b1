//! What it costs to know a caller: a token for the first time and again, alone and from many tasks. The figures in docs/performance.md.
//!
//! `cargo run --release -p countersign-identity --example authentication`
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a measurement that fails loudly and prints"
)]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use countersign_core::{Principal, PrincipalKind};
use countersign_identity::{
    Timestamp,
    oauth::{
        Algorithm, ClaimPath, FetchFailed, IssuerConfig, IssuerSetup, KeySource, NamedBy, ResourceServer,
        Scheme, Shown, TenantRule, Timing, Witness,
    },
};
use serde_json::{Value, json};

const ISSUER: &str = "https://login.bank.example";
const RESOURCE: &str = "https://mcp.bank.example/mcp";
const FIRST: usize = 2_000;
const AGAIN: usize = 200_000;

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
}

impl Pair {
    fn name(&self) -> &'static str {
        match self {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
        }
    }

    fn jwk(&self) -> Value {
        match self {
            Pair::Rsa(pair) => {
                let der = pair.public_key().as_ref();
                json!({"kty": "RSA", "kid": "one", "n": BASE64URL.encode(&der[8..265]), "e": BASE64URL.encode(&der[267..])})
            }
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (BASE64URL.encode(&point[1..33]), BASE64URL.encode(&point[33..65]));
                json!({"kty": "EC", "crv": "P-256", "kid": "one", "x": x, "y": y})
            }
        }
    }

    fn token(&self, number: usize) -> String {
        let now = Timestamp::now().unix();
        let header = json!({"alg": self.name(), "typ": "at+jwt", "kid": "one"});
        let claims = json!({
            "iss": ISSUER, "sub": "ada", "aud": RESOURCE, "client_id": "desk", "jti": format!("t{number:08}"),
            "iat": now - 10, "exp": now + 3000, "scope": "tools:read tools:list", "org": "north",
            "roles": ["analyst", "reader"], "email": "ada@bank.example", "sid": "5f7c8ec7-c33c-46c0-84bb-afe8231d90aa",
        });
        let signed =
            format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims.to_string()));
        let random = SystemRandom::new();
        let signature = match self {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
            Pair::P256(pair) => pair.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{signed}.{}", BASE64URL.encode(signature))
    }
}

struct Documents(BTreeMap<String, String>);

#[async_trait]
impl KeySource for Documents {
    async fn get(&self, url: &str, _: NamedBy, _: usize) -> Result<Vec<u8>, FetchFailed> {
        self.0.get(url).map(|text| text.clone().into_bytes()).ok_or(FetchFailed("404".into()))
    }
}

struct Deaf;

impl Witness for Deaf {
    fn keys_changed(&self, _: &str, _: usize, _: usize) {}
    fn keys_unreachable(&self, _: &str, _: &str) {}
    fn introspection_failed(&self, _: &str, _: &str) {}
    fn proofs_unknown(&self, _: &str) {}
    fn claims_dropped(&self, _: &Principal, _: usize) {}
}

fn server(pair: &Pair) -> Arc<ResourceServer> {
    let jwks = format!("{ISSUER}/jwks");
    let documents = BTreeMap::from([(jwks.clone(), json!({"keys": [pair.jwk()]}).to_string())]);
    let config = IssuerConfig {
        name: "corp".into(),
        url: ISSUER.into(),
        jwks: Some(jwks),
        audience: vec![RESOURCE.into()],
        algorithms: vec![Algorithm::Rs256, Algorithm::Es256],
        untyped: false,
        kind: PrincipalKind::Person,
        services: Vec::new(),
        tenant: TenantRule::Claim(ClaimPath::parse("org").unwrap()),
        tenants: vec!["north".into()],
        roles_claim: ClaimPath::parse("roles").unwrap(),
        roles: vec!["analyst".into(), "reader".into()],
        role_names: BTreeMap::new(),
        scopes: vec!["tools:read".into()],
        scope_includes: Vec::new(),
        claims: Vec::new(),
        leeway: Duration::from_secs(30),
        lifetime: Duration::from_secs(3600),
        bound: false,
        nonce: false,
    };
    let setup = IssuerSetup { config, keys: Arc::new(Documents(documents)), introspection: None };
    Arc::new(ResourceServer::new(RESOURCE, vec![setup], Timing::default(), Arc::new(Deaf)).unwrap())
}

async fn time(server: &ResourceServer, token: &str) -> u64 {
    let shown = Shown { scheme: Scheme::Bearer, token, proof: None, method: "POST", certificate: None };
    let start = Instant::now();
    std::hint::black_box(server.authenticate(&shown).await).unwrap();
    u64::try_from(start.elapsed().as_nanos()).unwrap()
}

fn report(what: &str, mut nanos: Vec<u64>) {
    nanos.sort_unstable();
    let at = |share: usize| nanos[(nanos.len() - 1) * share / 1000] as f64 / 1000.0;
    println!("{what:<44} p50 {:>8.2} µs   p99 {:>8.2} µs   n {}", at(500), at(990), nanos.len());
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    for pair in [
        Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())),
        Pair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
    ] {
        let server = server(&pair);
        let tokens: Vec<String> = (0..FIRST).map(|number| pair.token(number)).collect();
        time(&server, &pair.token(FIRST)).await;
        let mut first = Vec::with_capacity(FIRST);
        for token in &tokens {
            first.push(time(&server, token).await);
        }
        report(&format!("{}, {} bytes, for the first time", pair.name(), tokens[0].len()), first);
        let mut again = Vec::with_capacity(AGAIN);
        for number in 0..AGAIN {
            again.push(time(&server, &tokens[number % 100]).await);
        }
        report(&format!("{}, again, one of 100 tokens", pair.name()), again);
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let (server, tokens) = (Arc::clone(&server), tokens.clone());
                tokio::spawn(async move {
                    let mut nanos = Vec::with_capacity(AGAIN / 8);
                    for number in 0..AGAIN / 8 {
                        nanos.push(time(&server, &tokens[(number + task) % 100]).await);
                    }
                    nanos
                })
            })
            .collect();
        let mut at_once = Vec::with_capacity(AGAIN);
        for task in tasks {
            at_once.extend(task.await.unwrap());
        }
        report(&format!("{}, again, from 8 tasks at once", pair.name()), at_once);
    }
}
