//! Tokens that are bound to a key or to a certificate of their holder.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use countersign_core::json;
use serde_json::{Value, json};

use super::{
    super::{
        Scheme, SharedProofs, Shown, Timing, TokenRefused,
        jwk::{PublicKey, sha256},
    },
    authority::{NOW, Pair, RESOURCE, World, bearer},
};

fn thumbprint(pair: &Pair) -> String {
    let text = pair.jwk().to_string();
    let value = json::parse(text.as_bytes(), json::Limits::default()).unwrap();
    BASE64URL.encode(PublicKey::read(&value).unwrap().thumbprint())
}

/// A token bound to this key.
fn bound(world: &World, pair: &Pair) -> String {
    world.token(|_, c| c["cnf"] = json!({"jkt": thumbprint(pair)}))
}

/// A proof for one request with a token, changed.
fn proof(pair: &Pair, token: &str, id: &str, change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let mut header = json!({"typ": "dpop+jwt", "alg": pair.algorithm(), "jwk": pair.jwk()});
    let mut claims = json!({
        "jti": id, "htm": "POST", "htu": RESOURCE, "iat": NOW, "ath": BASE64URL.encode(sha256(token.as_bytes())),
    });
    change(&mut header, &mut claims);
    pair.sign(&header, &claims.to_string())
}

async fn show(world: &World, token: &str, proof: &str) -> Result<(), TokenRefused> {
    let shown = Shown { scheme: Scheme::Dpop, token, proof: Some(proof), method: "POST", certificate: None };
    world.server.authenticate_at(&shown, NOW).await.map(drop)
}

#[tokio::test]
async fn a_bound_token_needs_the_key_that_it_is_bound_to() {
    let (world, holder, thief) = (World::new(), Pair::p256(), Pair::p256());
    let token = bound(&world, &holder);
    show(&world, &token, &proof(&holder, &token, "1", |_, _| {})).await.expect("the holder");
    let ed = Pair::ed25519();
    let other = bound(&world, &ed);
    show(&world, &other, &proof(&ed, &other, "1", |_, _| {})).await.expect("another kind of key");

    // A thief who has the token alone.
    assert_eq!(world.ask(&token).await.unwrap_err(), TokenRefused::Unbound, "as a bearer token");
    assert_eq!(show(&world, &token, &proof(&thief, &token, "2", |_, _| {})).await, Err(TokenRefused::Proof));
    let borrowed = proof(&thief, &token, "3", |h, _| h["jwk"] = holder.jwk());
    assert_eq!(
        show(&world, &token, &borrowed).await,
        Err(TokenRefused::Proof),
        "the holder's key, the thief's signature"
    );
    let shown = Shown { scheme: Scheme::Dpop, ..bearer(&token) };
    assert_eq!(world.server.authenticate_at(&shown, NOW).await.unwrap_err(), TokenRefused::Proof);
}

#[tokio::test]
async fn a_proof_is_good_once() {
    let (world, holder) = (World::new(), Pair::p256());
    let token = bound(&world, &holder);
    let once = proof(&holder, &token, "1", |_, _| {});
    show(&world, &token, &once).await.expect("the first time");
    assert_eq!(show(&world, &token, &once).await, Err(TokenRefused::Replay));
    let again = proof(&holder, &token, "1", |_, c| c["iat"] = json!(NOW - 1));
    assert_eq!(show(&world, &token, &again).await, Err(TokenRefused::Replay), "the same id, signed again");
    // As long as a proof is young enough to be taken, it is remembered.
    let shown = Shown { scheme: Scheme::Dpop, proof: Some(&once), ..bearer(&token) };
    for later in [1, 30, 60] {
        let refused = world.server.authenticate_at(&shown, NOW + later).await.unwrap_err();
        assert_eq!(refused, TokenRefused::Replay, "{later} s later");
    }
    assert_eq!(world.server.authenticate_at(&shown, NOW + 61).await.unwrap_err(), TokenRefused::Proof);
}

/// What processes of a fleet remember together; `None` while it is away.
struct Together(Mutex<Option<HashSet<[u8; 32]>>>);

#[async_trait]
impl SharedProofs for Together {
    async fn is_first(&self, proof: [u8; 32], until: u64) -> Result<bool, String> {
        assert!((NOW..=NOW + 122).contains(&until), "for as long as it could be used");
        self.0.lock().unwrap().as_mut().map(|seen| seen.insert(proof)).ok_or("away".into())
    }
}

#[tokio::test]
async fn a_proof_is_good_once_in_all_processes_together() {
    let (world, holder) = (World::new(), Pair::p256());
    let token = bound(&world, &holder);
    let replay = proof(&holder, &token, "1", |_, _| {});
    let shown = Shown { scheme: Scheme::Dpop, proof: Some(&replay), ..bearer(&token) };
    // The attack works between processes that do not know of each other.
    show(&world, &token, &replay).await.expect("the first process");
    let second = world.sibling(None);
    second.authenticate_at(&shown, NOW).await.expect("the second process has not seen it");

    let together = Arc::new(Together(Mutex::new(Some(HashSet::new()))));
    let [one, other] = [(), ()].map(|()| world.sibling(Some(Arc::clone(&together) as _)));
    one.authenticate_at(&shown, NOW).await.expect("the first time");
    assert_eq!(other.authenticate_at(&shown, NOW).await.unwrap_err(), TokenRefused::Replay);
    *together.0.lock().unwrap() = None;
    let fresh = proof(&holder, &token, "2", |_, _| {});
    let shown = Shown { proof: Some(&fresh), ..shown };
    assert_eq!(one.authenticate_at(&shown, NOW).await.unwrap_err(), TokenRefused::Unavailable);
    assert!(world.heard().contains(&"proofs: away".to_owned()));
}

#[tokio::test]
async fn a_proof_is_for_one_request() {
    let (world, holder) = (World::new(), Pair::p256());
    let token = bound(&world, &holder);
    let other = world.token(|_, c| (c["jti"], c["cnf"]) = ("t2".into(), json!({"jkt": thumbprint(&holder)})));
    type Change = fn(&mut Value, &mut Value);
    let cases: &[(&str, Change)] = &[
        ("another method", |_, c| c["htm"] = "GET".into()),
        ("another address", |_, c| c["htu"] = "https://mcp.other.example/mcp".into()),
        ("another path", |_, c| c["htu"] = "https://mcp.bank.example/".into()),
        ("plain http", |_, c| c["htu"] = "http://mcp.bank.example/mcp".into()),
        ("too old", |_, c| c["iat"] = json!(NOW - 61)),
        ("from the future", |_, c| c["iat"] = json!(NOW + 61)),
        ("no time", |_, c| c["iat"] = Value::Null),
        ("no id", |_, c| c["jti"] = "".into()),
        ("another type", |h, _| h["typ"] = "at+jwt".into()),
        ("no key", |h, _| h["jwk"] = Value::Null),
        ("a MAC", |h, _| h["alg"] = "HS256".into()),
    ];
    for (name, change) in cases {
        let refused = show(&world, &token, &proof(&holder, &token, name, change)).await;
        assert_eq!(refused, Err(TokenRefused::Proof), "{name}");
    }
    let stolen = proof(&holder, &other, "9", |_, _| {});
    assert_eq!(show(&world, &token, &stolen).await, Err(TokenRefused::Proof), "for another token");
    let same =
        proof(&holder, &token, "10", |_, c| c["htu"] = "HTTPS://MCP.bank.example:443/mcp?x=1#y".into());
    show(&world, &token, &same).await.expect("another spelling of the same address");
}

#[tokio::test]
async fn a_nonce_is_demanded_where_the_operator_says_so() {
    let world = World::with(Pair::p256(), Timing::default(), |config| config.nonce = true);
    let holder = Pair::p256();
    let token = bound(&world, &holder);
    let refused = show(&world, &token, &proof(&holder, &token, "1", |_, _| {})).await;
    let Err(TokenRefused::Nonce(nonce)) = refused else { panic!("{refused:?}") };
    let made_up = proof(&holder, &token, "2", |_, c| c["nonce"] = "AAAAAAAAAAAAAAAAAAAAAAAA".into());
    assert!(matches!(show(&world, &token, &made_up).await, Err(TokenRefused::Nonce(_))));
    let fresh = proof(&holder, &token, "3", |_, c| c["nonce"] = nonce.as_str().into());
    show(&world, &token, &fresh).await.expect("with the nonce");
}

#[tokio::test]
async fn a_token_of_a_certificate_needs_that_certificate() {
    let world = World::new();
    let (own, other) = (sha256(b"the holder's certificate"), sha256(b"a thief's certificate"));
    let token = world.token(|_, c| c["cnf"] = json!({"x5t#S256": BASE64URL.encode(own)}));
    let ask = async |certificate| {
        let shown = Shown { certificate, ..bearer(&token) };
        world.server.authenticate_at(&shown, NOW).await.map(drop)
    };
    assert_eq!(ask(Some(own)).await, Ok(()));
    assert_eq!(ask(Some(other)).await, Err(TokenRefused::Unbound));
    assert_eq!(ask(None).await, Err(TokenRefused::Unbound));
}

#[tokio::test]
async fn bindings_that_we_cannot_check_are_refused_and_bearers_where_none_may_be() {
    let world = World::new();
    for cnf in [
        json!({"jwk": {}}),
        json!({}),
        json!("x"),
        json!({"jkt": "short"}),
        json!({"jkt": thumbprint(&world.pair), "kid": "one"}),
    ] {
        let token = world.token(|_, c| c["cnf"] = cnf.clone());
        assert_eq!(world.ask(&token).await.unwrap_err(), TokenRefused::Claim("cnf"), "{cnf}");
    }
    let plain = world.token(|_, _| {});
    let shown = Shown { scheme: Scheme::Dpop, ..bearer(&plain) };
    assert_eq!(world.server.authenticate_at(&shown, NOW).await.unwrap_err(), TokenRefused::Unbound);
    let strict = World::with(Pair::p256(), Timing::default(), |config| config.bound = true);
    assert_eq!(strict.ask(&strict.token(|_, _| {})).await.unwrap_err(), TokenRefused::Unbound);
}
