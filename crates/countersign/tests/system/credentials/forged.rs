//! Forged credentials, and credentials beside the tokens of another issuer: each is judged by who made it, and by nobody else.

use aws_lc_rs::{hmac, signature::Ed25519KeyPair};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};

use super::*;
use crate::issuer::Issuer;

/// The key that signs credentials now, as whoever reads the server's state finds it.
fn signing_key(world: &World) -> Ed25519KeyPair {
    let file = std::fs::read(world.dir.path().join("state/credentials.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let seed = BASE64URL.decode(file["signing"]["seed"].as_str().unwrap()).unwrap();
    Ed25519KeyPair::from_seed_unchecked(&seed).unwrap()
}

/// Header and claims of a token.
fn parts(token: &str) -> [Value; 2] {
    let mut parts = token.split('.');
    [(); 2].map(|()| serde_json::from_slice(&BASE64URL.decode(parts.next().unwrap()).unwrap()).unwrap())
}

fn body(header: &Value, claims: &Value) -> String {
    format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims.to_string()))
}

fn signed(pair: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let body = body(header, claims);
    format!("{body}.{}", BASE64URL.encode(pair.sign(body.as_bytes())))
}

fn changed(of: &Value, name: &str, value: Value) -> Value {
    let mut changed = of.clone();
    changed[name] = value;
    changed
}

/// Every attack is refused, and on record under its reason.
fn refused(world: &World, attacks: &[(&str, String)]) {
    for (code, attack) in attacks {
        assert_eq!(status(world.port, attack), 401, "{code}");
    }
    for (code, _) in attacks {
        recorded(world, code);
    }
}

#[test]
fn forgeries_are_refused_and_on_record() {
    let world = world();
    let _server = world.serve();
    let given = issue(&world, &[]);
    let pair = signing_key(&world);
    let [header, claims] = parts(&given.token);
    let signature = given.token.rsplit('.').next().unwrap();
    let signed = |header: &Value, claims: &Value| signed(&pair, header, claims);
    // The attacks differ from what is accepted in one thing each.
    assert_eq!(status(world.port, &signed(&header, &claims)), 200);
    let public = BASE64URL.decode(keys(&world)["keys"][0]["x"].as_str().unwrap()).unwrap();
    let symmetric = body(&changed(&header, "alg", json!("HS256")), &claims);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), symmetric.as_bytes());
    let other = Ed25519KeyPair::generate().unwrap();
    let genuine = body(&header, &claims);
    let attacks = [
        (
            "token-signature",
            format!("{}.{signature}", body(&header, &changed(&claims, "tenant", json!("globex")))),
        ),
        ("token-signature", format!("{genuine}.{}", BASE64URL.encode(other.sign(genuine.as_bytes())))),
        ("token-algorithm", format!("{}.", body(&changed(&header, "alg", json!("none")), &claims))),
        ("token-algorithm", format!("{symmetric}.{}", BASE64URL.encode(mac))),
        ("token-audience", signed(&header, &changed(&claims, "aud", json!("http://localhost/other")))),
        ("token-issuer", signed(&header, &changed(&claims, "iss", json!("https://evil.example")))),
        ("token-unknown-key", signed(&changed(&header, "kid", json!("csk-nobody")), &claims)),
        ("token-type", signed(&changed(&header, "typ", json!("at+jwt")), &claims)),
        ("token-header", signed(&changed(&header, "jku", json!("https://evil.example/jwks")), &claims)),
        ("token-claim", signed(&header, &changed(&claims, "exp", json!(4_000_000_000_u64)))),
        ("token-claim", signed(&header, &changed(&claims, "scope", json!("*")))),
        ("token-malformed", signed(&header, &changed(&claims, "hosts", json!(["a"])))),
    ];
    refused(&world, &attacks);
    assert_eq!(status(world.port, &given.token), 200);
}

fn keys(world: &World) -> Value {
    http(world.port, "GET /.well-known/jwks.json", "", "").1
}

#[test]
fn beside_another_issuer_each_token_goes_to_who_made_it() {
    let issuer = Issuer::start();
    let resource = "http://127.0.0.1:8931/mcp";
    let extra = format!("{}[identity.credentials]\nmax_ttl = \"15m\"\n", issuer.settings(resource));
    let world = World::new(Shape { extra, ..Shape::default() });
    let _server = world.serve();
    let own = issue(&world, &[]);
    let theirs = issuer.token(resource, |_| {});
    for good in [&own.token, &theirs, &world.ann] {
        assert_eq!(status(world.port, good), 200);
    }
    let pair = signing_key(&world);
    let [header, claims] = parts(&own.token);
    let [their_header, their_claims] = parts(&theirs);
    // Signed with our key, a credential is believed, and with the issuer's key a token: the attacks differ from these.
    assert_eq!(status(world.port, &signed(&pair, &header, &claims)), 200);
    let by_issuer = |change: &dyn Fn(&mut Value, &mut Value)| {
        issuer.forged(resource, |header, claims| change(header, claims))
    };
    assert_eq!(status(world.port, &by_issuer(&|_, claims| claims["jti"] = "t-1".into())), 200);
    refused(
        &world,
        &[
            // The issuer makes a credential of ours: by type, and by its name as well.
            ("token-algorithm", by_issuer(&|header, _| header["typ"] = "cs+jwt".into())),
            (
                "token-algorithm",
                by_issuer(&|of, what| {
                    (*of, *what) = (changed(&header, "alg", "ES256".into()), claims.clone());
                }),
            ),
            // A token of the issuer in our name, and one of ours in the issuer's name.
            ("token-issuer", by_issuer(&|_, claims| claims["iss"] = resource.into())),
            ("token-issuer", signed(&pair, &header, &changed(&claims, "iss", issuer.url.clone().into()))),
            // Our key signs tokens of the issuer: under its key's name, and under our own.
            ("token-algorithm", signed(&pair, &changed(&their_header, "alg", "EdDSA".into()), &their_claims)),
            (
                "token-unknown-key",
                signed(
                    &pair,
                    &changed(&changed(&header, "kid", "one".into()), "typ", "cs+jwt".into()),
                    &claims,
                ),
            ),
            // A credential of ours that claims to be a token of the issuer's kind.
            ("token-algorithm", signed(&pair, &changed(&header, "typ", "at+jwt".into()), &their_claims)),
        ],
    );
    // An API key is neither: it is looked up as a key, in the one scheme that keys have.
    let mut bent = world.ann.clone();
    bent.truncate(bent.len() - 1);
    assert_eq!(status(world.port, &bent), 401);
    let dotted = format!("{}.{}.x", world.ann, world.ann);
    assert_eq!(status(world.port, &dotted), 401);

    // Names are shared by chance alone: what is revoked here goes on there.
    let twin = issuer.token(resource, |claims| {
        claims["sub"] = "helper".into();
        claims["jti"] = own.id.clone().into();
    });
    assert_eq!(status(world.port, &twin), 200);
    world.command(&["token", "revoke", &own.id]);
    within_two_seconds("the credential", || status(world.port, &own.token) == 401);
    world.command(&["token", "revoke", "--agent", "helper"]);
    let anew = issue(&world, &[]);
    within_two_seconds("the agent", || status(world.port, &anew.token) == 401);
    assert_eq!(status(world.port, &twin), 200, "the issuer's helper is somebody else");
    world.command(&["token", "revoke", "--token", &issuer.url, &own.id]);
    within_two_seconds("the issuer's token", || status(world.port, &twin) == 401);
    assert_eq!([status(world.port, &theirs), status(world.port, &world.ann)], [200, 200]);
}
