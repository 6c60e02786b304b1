//! Each way in which a login fails has its own code for the record.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::Duration,
};

use countersign_identity::{
    ApiKey, Certificates, KeyKind, KeyStore, LocalUser, Minted, NewKey, PeerUsers, Timestamp,
};
use countersign_mcp::Peer;

use super::*;
use crate::callers::Callers;

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

async fn ask(door: &Door, authorization: &str, peer: &Peer) -> &'static str {
    let presented = Presented { authorization: authorization.as_bytes(), proof: None, method: "POST", peer };
    match door.authenticate(&presented).await {
        Ok(_) => "in",
        Err(NotAuthenticated::Credential(code)) => code,
        Err(NotAuthenticated::Unavailable(_)) => "unavailable",
        Err(other) => panic!("{other:?}"),
    }
}

async fn code(door: &Door, authorization: &str) -> &'static str {
    ask(door, authorization, &IpAddr::from(Ipv4Addr::LOCALHOST).into()).await
}

/// A door for the keys of this file alone.
fn door(path: &Path) -> Door {
    door_for(path, PeerUsers::default())
}

/// A door for the keys of this file, and for these users.
fn door_for(path: &Path, users: PeerUsers) -> Door {
    let callers = Callers { tokens: None, certificates: Certificates::default(), users };
    Door {
        keys: Arc::new(KeyRing::open(path).unwrap()),
        credentials: None,
        callers: Live::new(callers),
        anonymous: None,
    }
}

#[tokio::test]
async fn the_door_says_why_a_login_failed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let store = KeyStore::at(&path);
    let now = Timestamp::now();
    let good = mint(&store, "alice", now);
    let expired = mint(&store, "bob", Timestamp::from_unix(now.unix() - 2 * 3600));
    let revoked = mint(&store, "carol", now);
    store.revoke(&revoked.record.id, now).unwrap();
    let door = door(&path);

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
        assert_eq!(code(&door, authorization).await, *expected, "case {position}");
    }
}

#[tokio::test]
async fn nobody_comes_in_while_the_key_file_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let minted = mint(&KeyStore::at(&path), "alice", Timestamp::now());
    let door = door(&path);
    std::fs::write(&path, "{").unwrap();
    assert!(door.keys.reload().is_err());
    assert_eq!(code(&door, &format!("Bearer {}", minted.key.reveal())).await, "unavailable");
}

#[tokio::test]
async fn on_a_socket_the_kernel_says_who_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let ada = LocalUser {
        uid: 1000,
        user: "ada".into(),
        tenant: "north".into(),
        roles: Vec::new(),
        claims: Default::default(),
    };
    let door = door_for(&path, PeerUsers::new(&[ada]));
    let user = |uid| Peer { source: Source::User(uid), certificate: None };
    assert_eq!(ask(&door, "", &user(1000)).await, "in");
    for other in [0, 1001] {
        assert_eq!(ask(&door, "", &user(other)).await, "user-unknown");
    }
    // A header decides alone: a wrong key is not mended by the user.
    let wrong = format!("Bearer {}", ApiKey::generate().unwrap().reveal());
    assert_eq!(ask(&door, &wrong, &user(1000)).await, "unknown");
    assert_eq!(ask(&door, "", &IpAddr::from(Ipv4Addr::LOCALHOST).into()).await, "missing");
}

#[tokio::test]
async fn a_certificate_that_nobody_is_named_for_is_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let door = door(&dir.path().join("keys.json"));
    let peer = Peer {
        certificate: Some(Arc::from(&b"signed by the authority, yet unknown"[..])),
        ..IpAddr::from(Ipv4Addr::LOCALHOST).into()
    };
    assert_eq!(ask(&door, "", &peer).await, "certificate-unknown");
}
