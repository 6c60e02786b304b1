//! Each way in which a login fails has its own code for the record.

use std::{net::Ipv4Addr, time::Duration};

use countersign_identity::{ApiKey, KeyKind, KeyStore, Minted, NewKey, Timestamp};

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn mint(store: &KeyStore, subject: &str, at: Timestamp) -> Minted {
    let (kind, tenant) = (KeyKind::Person, "acme".to_owned());
    let new = NewKey {
        subject: subject.into(),
        kind,
        tenant,
        roles: Vec::new(),
        claims: Default::default(),
        lifetime: HOUR,
    };
    store.mint(new, at).unwrap()
}

fn code(door: &Door, authorization: &str) -> &'static str {
    match door.authenticate(authorization.as_bytes(), Ipv4Addr::LOCALHOST.into()) {
        Ok(_) => "in",
        Err(NotAuthenticated::Credential(code)) => code,
        Err(NotAuthenticated::Unavailable(_)) => "unavailable",
    }
}

#[test]
fn the_door_says_why_a_login_failed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let store = KeyStore::at(&path);
    let now = Timestamp::now();
    let good = mint(&store, "alice", now);
    let expired = mint(&store, "bob", Timestamp::from_unix(now.unix() - 2 * 3600));
    let revoked = mint(&store, "carol", now);
    store.revoke(&revoked.record.id, now).unwrap();
    let door = Door { keys: Arc::new(KeyRing::open(&path).unwrap()), anonymous: None };

    let bearer = |key: &ApiKey| format!("Bearer {}", key.reveal());
    let mut mistyped = bearer(&good.key);
    mistyped.pop();
    let cases = [
        (bearer(&good.key), "in"),
        (bearer(&expired.key), "expired"),
        (bearer(&revoked.key), "revoked"),
        (bearer(&ApiKey::generate().unwrap()), "unknown"),
        (mistyped, "malformed"),
        ("Basic YTpi".to_owned(), "bad-header"),
        (String::new(), "missing"),
    ];
    for (position, (authorization, expected)) in cases.iter().enumerate() {
        assert_eq!(code(&door, authorization), *expected, "case {position}");
    }
}

#[test]
fn nobody_comes_in_while_the_key_file_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let minted = mint(&KeyStore::at(&path), "alice", Timestamp::now());
    let keys = Arc::new(KeyRing::open(&path).unwrap());
    std::fs::write(&path, "{").unwrap();
    assert!(keys.reload().is_err());
    let door = Door { keys, anonymous: None };
    assert_eq!(code(&door, &format!("Bearer {}", minted.key.reveal())), "unavailable");
}
