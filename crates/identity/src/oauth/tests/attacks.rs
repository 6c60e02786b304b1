//! Tokens that must not be taken. Each differs in one thing from a token that is.

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use serde_json::{Value, json};

use super::{
    super::{TokenRefused, jwk::PublicKey, jws::Jws},
    authority::{ISSUER, NOW, Pair, RESOURCE, World, claims},
};

type Change = fn(&mut Value, &mut Value);

/// Asks with a good token, then with the same one after each change.
async fn each_is_refused(cases: &[(&str, Change, TokenRefused)]) {
    let world = World::new();
    world.ask(&world.token(|_, _| {})).await.expect("the unchanged token is good");
    for (name, change, expected) in cases {
        let refused = world.ask(&world.token(change)).await;
        assert_eq!(refused.as_ref().err(), Some(expected), "{name}");
    }
}

#[tokio::test]
async fn a_token_for_another_server_is_refused() {
    each_is_refused(&[
        ("another", |_, c| c["aud"] = "https://mcp.other.example/mcp".into(), TokenRefused::Audience),
        ("a prefix", |_, c| c["aud"] = "https://mcp.bank.example".into(), TokenRefused::Audience),
        ("a suffix", |_, c| c["aud"] = format!("{RESOURCE}/").into(), TokenRefused::Audience),
        ("none", |_, c| drop(c.as_object_mut().unwrap().remove("aud")), TokenRefused::Claim("aud")),
        ("an empty list", |_, c| c["aud"] = json!([]), TokenRefused::Audience),
        ("no text", |_, c| c["aud"] = json!({"0": RESOURCE}), TokenRefused::Claim("aud")),
    ])
    .await;
    let world = World::new();
    assert!(world.ask(&world.token(|_, c| c["aud"] = json!(["x", RESOURCE]))).await.is_ok());
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused() {
    each_is_refused(&[
        ("another", |_, c| c["iss"] = "https://evil.example".into(), TokenRefused::Issuer),
        ("a slash more", |_, c| c["iss"] = format!("{ISSUER}/").into(), TokenRefused::Issuer),
        ("capitals", |_, c| c["iss"] = ISSUER.to_uppercase().into(), TokenRefused::Issuer),
        ("none", |_, c| drop(c.as_object_mut().unwrap().remove("iss")), TokenRefused::Claim("iss")),
    ])
    .await;
}

#[tokio::test]
async fn a_token_outside_its_time_is_refused() {
    each_is_refused(&[
        ("expired", |_, c| c["exp"] = json!(NOW - 30), TokenRefused::Expired),
        ("no end", |_, c| drop(c.as_object_mut().unwrap().remove("exp")), TokenRefused::Claim("exp")),
        ("an end in text", |_, c| c["exp"] = "never".into(), TokenRefused::Claim("exp")),
        ("a negative end", |_, c| c["exp"] = json!(-1), TokenRefused::Claim("exp")),
        ("not yet", |_, c| c["nbf"] = json!(NOW + 31), TokenRefused::NotYet),
        ("issued tomorrow", |_, c| c["iat"] = json!(NOW + 31), TokenRefused::NotYet),
        ("a long life", |_, c| c["exp"] = json!(NOW + 86_400), TokenRefused::Claim("exp")),
    ])
    .await;
    let world = World::new();
    assert!(world.ask(&world.token(|_, c| c["exp"] = json!(NOW - 29))).await.is_ok(), "within the leeway");
}

#[tokio::test]
async fn a_token_that_was_remembered_still_expires() {
    let world = World::new();
    let token = world.token(|_, _| {});
    world.ask(&token).await.expect("good");
    world.ask_at(&token, NOW + 329).await.expect("still good");
    assert_eq!(world.ask_at(&token, NOW + 330).await.unwrap_err(), TokenRefused::Expired);
}

#[tokio::test]
async fn only_access_tokens_are_taken() {
    each_is_refused(&[
        ("an ID token", |h, _| h["typ"] = "JWT".into(), TokenRefused::Kind),
        ("a logout token", |h, _| h["typ"] = "logout+jwt".into(), TokenRefused::Kind),
        ("a proof", |h, _| h["typ"] = "dpop+jwt".into(), TokenRefused::Kind),
        ("no type", |h, _| drop(h.as_object_mut().unwrap().remove("typ")), TokenRefused::Kind),
    ])
    .await;
    let world = World::new();
    assert!(world.ask(&world.token(|h, _| h["typ"] = "application/AT+JWT".into())).await.is_ok());
    let old = World::with(Pair::p256(), super::super::Timing::default(), |config| config.untyped = true);
    assert!(old.ask(&old.token(|h, _| h["typ"] = "JWT".into())).await.is_ok(), "where the operator says so");
    assert!(old.ask(&old.token(|h, _| h["typ"] = "dpop+jwt".into())).await.is_err());
}

#[tokio::test]
async fn a_header_that_brings_a_key_is_refused() {
    let world = World::new();
    let mallory = Pair::p256();
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "one", "jwk": mallory.jwk()});
    let forged = mallory.sign(&header, &claims().to_string());
    // The attack works on a verifier that believes the header.
    let believed = Jws::read_proof(&forged).unwrap();
    assert!(believed.verify(believed.key.as_ref().unwrap()));
    assert_eq!(world.ask(&forged).await.unwrap_err(), TokenRefused::Header);
    each_is_refused(&[
        ("jku", |h, _| h["jku"] = "https://evil.example/jwks".into(), TokenRefused::Header),
        ("x5u", |h, _| h["x5u"] = "https://evil.example/cert".into(), TokenRefused::Header),
        ("x5c", |h, _| h["x5c"] = json!(["AAAA"]), TokenRefused::Header),
        ("jwk", |h, _| h["jwk"] = json!({}), TokenRefused::Header),
        ("crit", |h, _| h["crit"] = json!(["exp"]), TokenRefused::Header),
        ("b64", |h, _| h["b64"] = false.into(), TokenRefused::Header),
        ("zip", |h, _| h["zip"] = "DEF".into(), TokenRefused::Header),
    ])
    .await;
    assert_eq!(world.asked(), 0, "no address of a header is ever fetched");
}

#[tokio::test]
async fn no_signature_and_a_mac_with_the_public_key_are_refused() {
    let world = World::with(Pair::rsa(), super::super::Timing::default(), |_| {});
    world.ask(&world.token(|_, _| {})).await.expect("the unchanged token is good");
    let body = BASE64URL.encode(claims().to_string());
    for none in ["none", "None", "NONE", ""] {
        let header = BASE64URL.encode(json!({"alg": none, "typ": "at+jwt", "kid": "one"}).to_string());
        assert_eq!(world.ask(&format!("{header}.{body}.")).await.unwrap_err(), TokenRefused::Algorithm);
    }
    // What everybody can read of the key is the secret of the MAC: the attack works on a verifier that lets the token choose.
    let public = world.pair.jwk().to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, public.as_bytes());
    for (algorithm, expected) in [("HS256", TokenRefused::Algorithm), ("RS256", TokenRefused::Signature)] {
        let header = BASE64URL.encode(json!({"alg": algorithm, "typ": "at+jwt", "kid": "one"}).to_string());
        let signed = format!("{header}.{body}");
        let tag = hmac::sign(&key, signed.as_bytes());
        assert!(hmac::verify(&key, signed.as_bytes(), tag.as_ref()).is_ok());
        let forged = format!("{signed}.{}", BASE64URL.encode(tag.as_ref()));
        assert_eq!(world.ask(&forged).await.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn a_signature_of_another_key_is_refused() {
    let world = World::new();
    let mallory = Pair::p256();
    let forged = mallory.sign(&world.header(), &claims().to_string());
    assert_eq!(world.ask(&forged).await.unwrap_err(), TokenRefused::Signature);
    let good = world.token(|_, _| {});
    let (signed, signature) = good.rsplit_once('.').unwrap();
    for broken in [format!("{signed}."), format!("{signed}.{}", BASE64URL.encode([7; 64]))] {
        assert_eq!(world.ask(&broken).await.unwrap_err(), TokenRefused::Signature);
    }
    let mut other = claims();
    other["sub"] = "eve".into();
    let (header, _) = signed.split_once('.').unwrap();
    let swapped = format!("{header}.{}.{signature}", BASE64URL.encode(other.to_string()));
    assert_eq!(world.ask(&swapped).await.unwrap_err(), TokenRefused::Signature);
}

#[tokio::test]
async fn an_algorithm_that_the_issuer_does_not_use_is_refused() {
    let change =
        |config: &mut super::super::IssuerConfig| config.algorithms.retain(|one| one.name() != "ES256");
    let world = World::with(Pair::p256(), super::super::Timing::default(), change);
    assert_eq!(world.ask(&world.token(|_, _| {})).await.unwrap_err(), TokenRefused::Algorithm);
    for pair in [Pair::rsa(), Pair::ed25519(), Pair::p256()] {
        let world = World::with(pair, super::super::Timing::default(), |_| {});
        world.ask(&world.token(|_, _| {})).await.expect("each kind of key verifies");
    }
}

#[tokio::test]
async fn two_readings_of_one_token_are_refused() {
    let world = World::new();
    let good = claims().to_string();
    let twice = good.replacen('{', r#"{"aud":"https://mcp.other.example/mcp","#, 1);
    assert_eq!(
        world.ask(&world.pair.sign(&world.header(), &twice)).await.unwrap_err(),
        TokenRefused::Malformed
    );
    let token = world.token(|_, _| {});
    let (signed, signature) = token.rsplit_once('.').unwrap();
    for odd in [
        format!("{signed}.{signature}=="),
        format!("{signed}.{signature}.{signature}"),
        format!(" {token}"),
        token.replace('.', ".."),
        "..".to_owned(),
        "a.b".to_owned(),
        "x".repeat(20_000),
    ] {
        assert_eq!(world.ask(&odd).await.unwrap_err(), TokenRefused::Malformed, "{odd:.60}");
    }
}

#[test]
fn keys_with_private_halves_and_odd_keys_are_not_read() {
    let parse = |value: &Value| {
        let text = value.to_string();
        let value = countersign_core::json::parse(text.as_bytes(), countersign_core::json::Limits::default());
        PublicKey::read(&value.unwrap())
    };
    let good = Pair::p256().jwk();
    assert!(parse(&good).is_some());
    for (name, value) in [("d", "AAAA"), ("k", "AAAA"), ("crv", "P-521"), ("x", "AAAA"), ("kty", "oct")] {
        let mut bad = good.clone();
        bad[name] = value.into();
        assert!(parse(&bad).is_none(), "{name}");
    }
}

/// SPEC: RFC 7638 §3.1 and RFC 8037 §A.3: the thumbprints of their examples.
#[test]
fn thumbprints_are_those_of_the_standards() {
    let parse = |text: &str| {
        let value = countersign_core::json::parse(text.as_bytes(), countersign_core::json::Limits::default());
        BASE64URL.encode(PublicKey::read(&value.unwrap()).unwrap().thumbprint())
    };
    let rsa = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}"#;
    assert_eq!(parse(rsa), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    let ed = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    assert_eq!(parse(ed), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}
