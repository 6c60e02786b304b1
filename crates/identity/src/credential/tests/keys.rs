//! Keys come and go: what an old key signed ends by itself, or at once.

use std::{thread, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use serde_json::Value;

use super::{
    super::{keys::SigningKey, *},
    support::{Place, TTL, grant, later, now, parts},
};
use crate::{keyring::MAX_STALENESS, oauth::TokenRefused};

fn kids(ring: &CredentialRing) -> Vec<String> {
    let jwks: Value = serde_json::from_str(&ring.jwks().unwrap()).unwrap();
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_rotated_key_is_believed_until_what_it_signed_has_ended() {
    let place = Place::new();
    let old = place.issue();
    let stolen: Value = serde_json::from_slice(&std::fs::read(place.path()).unwrap()).unwrap();
    let stolen: SigningKey = serde_json::from_value(stolen["signing"].clone()).unwrap();
    let kid = place.store.rotate(false, later(60)).unwrap();
    let new = place.store.issue(&grant(), "books", TTL, later(60)).unwrap();
    assert_eq!(
        (parts(&old.token).0["kid"].as_str(), new.record.kid.as_str()),
        (Some(old.record.kid.as_str()), kid.as_str())
    );

    let ring = place.ring();
    assert_eq!(kids(&ring), [kid.clone(), old.record.kid.clone()]);
    assert!(ring.authenticate_at(&old.token, later(599)).is_ok());
    assert!(ring.authenticate_at(&new.token, later(599)).is_ok());
    assert_eq!(ring.authenticate_at(&old.token, later(600)).unwrap_err(), TokenRefused::Expired);
    // Its private half is nowhere, and whoever has it can sign nothing that lives longer.
    assert_eq!(std::fs::read_to_string(place.path()).unwrap().matches("seed").count(), 1);
    let (header, mut claims) = parts(&old.token);
    let forged = |claims: &Value| {
        let signed =
            format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims.to_string()));
        format!("{signed}.{}", BASE64URL.encode(stolen.sign(signed.as_bytes()).unwrap()))
    };
    assert!(ring.authenticate_at(&forged(&claims), later(60)).is_ok());
    claims["exp"] = later(601).unix().into();
    assert_eq!(ring.authenticate_at(&forged(&claims), later(60)).unwrap_err(), TokenRefused::UnknownKey);

    place.store.issue(&grant(), "books", TTL, later(600)).unwrap();
    assert_eq!(kids(&place.ring()), [kid], "the old key is swept");
}

#[test]
fn a_key_that_was_stolen_ends_at_once() {
    let place = Place::new();
    let ring = place.ring();
    let old = place.issue();
    assert!(
        ring.authenticate_at(&old.token, now()).is_ok(),
        "a key that another process made is found at once"
    );
    place.store.rotate(true, now()).unwrap();
    thread::sleep(MAX_STALENESS + Duration::from_millis(100));
    assert_eq!(ring.authenticate_at(&old.token, now()).unwrap_err(), TokenRefused::UnknownKey);
    assert!(place.store.list(now()).unwrap().is_empty());
    assert!(!kids(&ring).contains(&old.record.kid));
}

#[test]
fn a_key_signs_for_a_week() {
    let place = Place::new();
    let week = 7 * 24 * 3600;
    let first = place.issue().record.kid;
    let issue = |seconds| place.store.issue(&grant(), "books", TTL, later(seconds)).unwrap().record.kid;
    assert_eq!(issue(week - 1), first);
    assert_ne!(issue(week), first);
}

#[test]
fn what_was_verified_once_still_expires() {
    let place = Place::new();
    let issued = place.issue();
    let ring = place.ring();
    for _ in 0..2 {
        assert!(ring.authenticate_at(&issued.token, later(599)).is_ok());
    }
    assert_eq!(ring.authenticate_at(&issued.token, later(600)).unwrap_err(), TokenRefused::Expired);
}

#[test]
fn a_file_that_cannot_be_read_makes_nobody_a_principal() {
    let place = Place::new();
    let issued = place.issue();
    let ring = place.ring();
    assert!(ring.authenticate_at(&issued.token, now()).is_ok());
    let good = std::fs::read(place.path()).unwrap();
    std::fs::write(place.path(), "{").unwrap();
    thread::sleep(MAX_STALENESS + Duration::from_millis(100));
    assert_eq!(ring.authenticate_at(&issued.token, now()).unwrap_err(), TokenRefused::Unavailable);
    assert_eq!(ring.jwks(), None);
    std::fs::write(place.path(), good).unwrap();
    thread::sleep(MAX_STALENESS + Duration::from_millis(100));
    assert!(ring.authenticate_at(&issued.token, now()).is_ok());
}

#[test]
fn the_published_keys_are_public_keys() {
    let place = Place::new();
    place.issue();
    let jwks: Value = serde_json::from_str(&place.ring().jwks().unwrap()).unwrap();
    let key = jwks["keys"][0].as_object().unwrap();
    let mut members: Vec<&str> = key.keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&"OKP".into(), &"Ed25519".into(), &"EdDSA".into()));
    assert_eq!(BASE64URL.decode(key["x"].as_str().unwrap()).unwrap().len(), 32);
}
