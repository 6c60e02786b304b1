//! What a running server accepts, and how soon it notices that it should not.

use std::{fs, os::unix::fs::PermissionsExt as _, thread, time::Instant};

use tempfile::TempDir;

use super::*;
use crate::{ApiKey, KeyKind, KeyStore, Minted, NewKey};

const HOUR: Duration = Duration::from_secs(3600);

struct Fixture {
    _dir: TempDir,
    path: PathBuf,
    store: KeyStore,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/keys.json");
    Fixture { store: KeyStore::at(&path), path, _dir: dir }
}

impl Fixture {
    fn mint(&self, subject: &str, tenant: &str) -> Minted {
        let new = NewKey {
            subject: subject.into(),
            kind: KeyKind::Person,
            tenant: tenant.into(),
            roles: vec!["analyst".into()],
            claims: [("branch".to_owned(), "north".to_owned())].into(),
            lifetime: HOUR,
        };
        self.store.mint(new, Timestamp::now()).unwrap()
    }
}

#[test]
fn two_keys_are_two_principals_in_two_tenants() {
    let fixture = fixture();
    let (alice, bob) = (fixture.mint("alice", "acme"), fixture.mint("bob", "globex"));
    let ring = KeyRing::open(&fixture.path).unwrap();
    let a = ring.authenticate_bearer(alice.key.reveal()).unwrap();
    let b = ring.authenticate_bearer(bob.key.reveal()).unwrap();
    assert_eq!(
        (a.issuer(), a.subject(), a.tenant(), a.roles()),
        ("keys", "alice", "acme", &["analyst".to_owned()][..])
    );
    assert_eq!((b.subject(), b.tenant(), b.credential()), ("bob", "globex", bob.record.id.as_str()));
    assert_ne!(a.key(), b.key());
}

#[test]
fn what_is_refused_and_why() {
    let fixture = fixture();
    let minted = fixture.mint("alice", "acme");
    let ring = KeyRing::open(&fixture.path).unwrap();
    let stranger = ApiKey::generate().unwrap();
    assert_eq!(ring.authenticate_bearer(stranger.reveal()).unwrap_err(), AuthFailure::Unknown);
    for text in ["", "cs_", "secret", &minted.record.sha256.map(|b| format!("{b:02x}")).concat()] {
        assert_eq!(ring.authenticate_bearer(text).unwrap_err(), AuthFailure::Malformed, "{text}");
    }
    let expires = minted.record.expires;
    let last_second = Timestamp::from_unix(expires.unix() - 1);
    assert!(ring.authenticate_at(minted.key.reveal(), last_second).is_ok());
    assert_eq!(ring.authenticate_at(minted.key.reveal(), expires).unwrap_err(), AuthFailure::Expired);
}

#[test]
fn a_revoked_key_is_refused_within_a_second() {
    let fixture = fixture();
    let (alice, bob) = (fixture.mint("alice", "acme"), fixture.mint("bob", "globex"));
    let ring = KeyRing::open(&fixture.path).unwrap();
    let principal = ring.authenticate_bearer(alice.key.reveal()).unwrap();
    assert_eq!(ring.recheck(&principal), Ok(()));

    fixture.store.revoke(&alice.record.id, Timestamp::now()).unwrap();
    let revoked = Instant::now();
    while ring.authenticate_bearer(alice.key.reveal()).is_ok() {
        assert!(revoked.elapsed() < Duration::from_secs(1), "the revoked key still works");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(ring.authenticate_bearer(alice.key.reveal()).unwrap_err(), AuthFailure::Revoked);
    assert_eq!(ring.recheck(&principal), Err(AuthFailure::Revoked));
    assert!(ring.authenticate_bearer(bob.key.reveal()).is_ok());
}

#[test]
fn a_key_minted_later_works_without_restart() {
    let fixture = fixture();
    let ring = KeyRing::open(&fixture.path).unwrap();
    let minted = fixture.mint("alice", "acme");
    ring.reload().unwrap();
    assert!(ring.authenticate_bearer(minted.key.reveal()).is_ok());
}

#[test]
fn an_unreadable_key_file_authenticates_nobody() {
    let fixture = fixture();
    let minted = fixture.mint("alice", "acme");
    let ring = KeyRing::open(&fixture.path).unwrap();
    assert!(ring.authenticate_bearer(minted.key.reveal()).is_ok());

    let good = fs::read(&fixture.path).unwrap();
    fs::write(&fixture.path, b"{\"version\":1,\"keys\":[").unwrap();
    thread::sleep(MAX_STALENESS);
    assert_eq!(ring.authenticate_bearer(minted.key.reveal()).unwrap_err(), AuthFailure::Unavailable);

    fs::write(&fixture.path, good).unwrap();
    thread::sleep(MAX_STALENESS);
    assert!(ring.authenticate_bearer(minted.key.reveal()).is_ok(), "and recovers by itself");

    fs::remove_file(&fixture.path).unwrap();
    thread::sleep(MAX_STALENESS);
    assert_eq!(ring.authenticate_bearer(minted.key.reveal()).unwrap_err(), AuthFailure::Unknown);
}

#[test]
fn a_key_file_that_others_can_write_is_refused() {
    let fixture = fixture();
    fixture.mint("alice", "acme");
    fs::set_permissions(&fixture.path, fs::Permissions::from_mode(0o620)).unwrap();
    let refused = KeyRing::open(&fixture.path).unwrap_err();
    assert!(matches!(refused, KeyFileError::WritableByOthers { mode: 0o620, .. }), "{refused}");
}
