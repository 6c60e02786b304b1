//! Attacks on access tokens at the real binary. Each differs in one thing from what is taken, is refused, and is on record with its reason.

use aws_lc_rs::{digest, hmac, signature::EcdsaKeyPair};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use countersign_testbed::Postgres;
use serde_json::{Value, json};

use crate::{
    fleet,
    issuer::{Issuer, jwk, key_pair, now, sign},
    tls::event,
    world::*,
};

const RESOURCE: &str = "http://127.0.0.1:8931/mcp";

fn world(issuer: &Issuer) -> World {
    let extra =
        format!("{}[limits.unauthenticated]\nper_minute = 60000\nburst = 10000\n", issuer.settings(RESOURCE));
    World::new(Shape { extra, ..Shape::default() })
}

fn list(world: &World, token: &str) -> u16 {
    world.client(token).modern("tools/list", json!({})).status
}

#[test]
fn every_attack_on_a_token_is_refused_and_on_record() {
    let (issuer, stranger) = (Issuer::start(), Issuer::start());
    let world = world(&issuer);
    let _server = world.serve();
    let good = issuer.token(RESOURCE, |_| {});
    assert_eq!(list(&world, &good), 200);
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (_, claims) = signed.split_once('.').unwrap();
    let unsigned = |algorithm: &str| {
        let header = json!({"alg": algorithm, "typ": "at+jwt", "kid": "one"}).to_string();
        format!("{}.{claims}", BASE64URL.encode(header))
    };
    // What everybody can read of the key is the secret of a verifier that lets the token choose.
    let key = hmac::Key::new(hmac::HMAC_SHA256, issuer.public_key().as_bytes());
    let mac = BASE64URL.encode(hmac::sign(&key, unsigned("HS256").as_bytes()));
    let own = key_pair();
    let brought = |name: &str, value: Value| {
        let mut header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "one"});
        header[name] = value;
        let claims: Value = serde_json::from_slice(&BASE64URL.decode(claims).unwrap()).unwrap();
        sign(&own, &header, &claims)
    };
    let attacks = [
        (
            "token-expired",
            issuer.token(RESOURCE, |c| (c["iat"], c["exp"]) = (json!(now() - 400), json!(now() - 100))),
        ),
        ("token-audience", issuer.token("https://mcp.other.example/mcp", |_| {})),
        ("token-issuer", stranger.token(RESOURCE, |_| {})),
        ("token-signature", stranger.token(RESOURCE, |c| c["iss"] = issuer.url.as_str().into())),
        ("token-algorithm", format!("{}.", unsigned("none"))),
        ("token-algorithm", format!("{}.{mac}", unsigned("HS256"))),
        ("token-header", brought("jwk", jwk("one", &own))),
        ("token-header", brought("jku", format!("{}/jwks", stranger.url).into())),
        ("token-header", brought("x5u", format!("{}/cert", stranger.url).into())),
        ("token-type", issuer.forged(RESOURCE, |header, _| header["typ"] = "JWT".into())),
        ("token-tenant", issuer.token(RESOURCE, |c| c["org"] = "globex".into())),
        ("token-not-yet", issuer.token(RESOURCE, |c| c["nbf"] = json!(now() + 200))),
        ("token-malformed", "no.token.at-all".into()),
    ];
    for (code, token) in &attacks {
        assert_eq!(list(&world, token), 401, "{code}");
        event(&world, code);
    }
    assert_eq!(stranger.asked(), 0, "no address of a token is ever asked");

    let before = issuer.asked();
    for n in 0..100 {
        let made_up = issuer.forged(RESOURCE, |header, _| header["kid"] = format!("made-up-{n}").into());
        assert_eq!(list(&world, &made_up), 401);
    }
    assert!(issuer.asked() - before <= 2, "a flood of unknown keys costs the issuer one look at most");
    event(&world, "token-unknown-key");
    assert_eq!(list(&world, &good), 200, "others are not kept out");
    let log =
        std::process::Command::new("grep").args(["-rc", good.as_str()]).arg(world.audit()).output().unwrap();
    assert!(
        String::from_utf8_lossy(&log.stdout).lines().all(|line| line.ends_with(":0")),
        "no token is on record"
    );
}

/// Somebody with a key, and a token that is bound to it.
struct Holder {
    pair: EcdsaKeyPair,
    token: String,
}

fn public(pair: &EcdsaKeyPair) -> Value {
    let mut key = jwk("", pair);
    key.as_object_mut().unwrap().retain(|name, _| matches!(name.as_str(), "kty" | "crv" | "x" | "y"));
    key
}

fn hash(bytes: &[u8]) -> String {
    BASE64URL.encode(digest::digest(&digest::SHA256, bytes))
}

impl Holder {
    fn of(issuer: &Issuer) -> Holder {
        let pair = key_pair();
        let own = public(&pair);
        // RFC 7638 §3: members in this order, no white space.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, own["x"], own["y"]);
        let token =
            issuer.token(RESOURCE, |claims| claims["cnf"] = json!({"jkt": hash(canonical.as_bytes())}));
        Holder { pair, token }
    }

    /// A proof for the token, by whoever has this key.
    fn proof(&self, pair: &EcdsaKeyPair, id: &str) -> String {
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": public(pair)});
        let ath = hash(self.token.as_bytes());
        sign(pair, &header, &json!({"jti": id, "htm": "POST", "htu": RESOURCE, "iat": now(), "ath": ath}))
    }

    fn show(&self, world: &World, scheme: &str, proof: &str) -> Answer {
        let text = request("127.0.0.1", &format!("{scheme} {}", self.token), "tools/list", json!({}));
        exchange(world.port, &text.replacen("\r\n", &format!("\r\nDPoP: {proof}\r\n"), 1))
    }
}

#[test]
fn a_proof_of_possession_is_good_once() {
    let issuer = Issuer::start();
    let world = world(&issuer);
    let _server = world.serve();
    let (holder, thief) = (Holder::of(&issuer), key_pair());
    let once = holder.proof(&holder.pair, "1");
    assert_eq!(holder.show(&world, "DPoP", &once).status, 200);
    let replayed = holder.show(&world, "DPoP", &once);
    assert_eq!(replayed.status, 401);
    assert!(replayed.header("www-authenticate").unwrap().contains("invalid_dpop_proof"), "{replayed:?}");
    event(&world, "proof-replayed");
    assert_eq!(holder.show(&world, "DPoP", &holder.proof(&thief, "2")).status, 401);
    event(&world, "proof-invalid");
    assert_eq!(holder.show(&world, "Bearer", &holder.proof(&holder.pair, "3")).status, 401);
    event(&world, "token-unbound");
    assert_eq!(
        holder.show(&world, "DPoP", &holder.proof(&holder.pair, "4")).status,
        200,
        "its holder goes on"
    );
}

#[test]
fn a_proof_that_one_instance_of_a_fleet_has_taken_no_other_takes() {
    let (cluster, issuer) = (Postgres::start(), Issuer::start());
    fleet::init(&cluster);
    let worlds = [(); 2].map(|()| fleet::instance(&cluster, &issuer.settings(RESOURCE)));
    let _servers = [worlds[0].serve(), worlds[1].serve()];
    let holder = Holder::of(&issuer);
    for (n, (first, second)) in [(0, 1), (1, 0)].into_iter().enumerate() {
        let proof = holder.proof(&holder.pair, &format!("proof-{n}"));
        assert_eq!(holder.show(&worlds[first], "DPoP", &proof).status, 200);
        assert_eq!(holder.show(&worlds[second], "DPoP", &proof).status, 401);
    }
    event(&worlds[0], "proof-replayed");
    drop(cluster);
    assert_eq!(holder.show(&worlds[0], "DPoP", &holder.proof(&holder.pair, "late")).status, 503);
    event(&worlds[0], "proofs-unknown");
}

#[test]
fn a_session_of_somebody_else_does_not_exist() {
    let issuer = Issuer::start();
    let world = world(&issuer);
    let _server = world.serve();
    let [ada, eve] = ["ada", "eve"].map(|who| issuer.token(RESOURCE, |claims| claims["sub"] = who.into()));
    let hello =
        json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let legacy = |token: &str, session: Option<&str>, method: &str, params: Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let session = session.map_or(String::new(), |id| {
            format!("Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: {LEGACY}\r\n")
        });
        exchange(
            world.port,
            &format!(
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
                 Accept: application/json, text/event-stream\r\nConnection: close\r\n{session}Content-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
    };
    let opened = legacy(&ada, None, "initialize", hello);
    let session = opened.header("mcp-session-id").unwrap();
    assert_eq!(legacy(&ada, Some(session), "tools/list", json!({})).status, 200);
    assert_eq!(legacy(&eve, Some(session), "tools/list", json!({})).status, 404);
    assert!(event(&world, "session-of-another-principal").contains("\"eve\""));
}
