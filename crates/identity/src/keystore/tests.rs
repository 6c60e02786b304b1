//! The life of a key as the operator leads it.

use std::{fs, os::unix::fs::PermissionsExt as _, thread};

use tempfile::TempDir;

use super::*;

fn store() -> (TempDir, KeyStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::at(dir.path().join("state/keys.json"));
    (dir, store)
}

fn alice() -> NewKey {
    NewKey {
        subject: "alice".into(),
        kind: KeyKind::Person,
        tenant: "acme".into(),
        roles: vec!["operator".into(), "analyst".into(), "operator".into()],
        claims: BTreeMap::new(),
        lifetime: DEFAULT_LIFETIME,
    }
}

#[test]
fn the_file_holds_hashes_and_never_keys() {
    let (dir, store) = store();
    let minted = store.mint(alice(), Timestamp::from_unix(1_795_000_000)).unwrap();
    let path = dir.path().join("state/keys.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(minted.key.reveal()) && !text.contains("cs_"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    let record = &minted.record;
    let hash: String = record.sha256.iter().map(|b| format!("{b:02x}")).collect();
    let id = &record.id;
    assert_eq!(
        text,
        format!(
            r#"{{
  "version": 1,
  "keys": [
    {{
      "id": "{id}",
      "sha256": "{hash}",
      "subject": "alice",
      "kind": "person",
      "tenant": "acme",
      "roles": [
        "analyst",
        "operator"
      ],
      "created": "2026-11-18T11:06:40Z",
      "expires": "2027-02-16T11:06:40Z"
    }}
  ]
}}
"#
        )
    );
}

#[test]
fn renewing_leaves_the_old_key_its_overlap() {
    let (_dir, store) = store();
    let now = Timestamp::from_unix(1_795_000_000);
    let first = store.mint(alice(), now).unwrap();
    let second = store.renew(&first.record.id, DEFAULT_LIFETIME, DEFAULT_OVERLAP, now).unwrap();
    assert_ne!(first.key.hash(), second.key.hash());
    assert_eq!(second.record.renews.as_deref(), Some(first.record.id.as_str()));
    assert_eq!(second.record.subject, "alice");
    let keys = store.list().unwrap();
    assert_eq!(keys[0].expires, now.after(DEFAULT_OVERLAP));
    assert_eq!(keys[1], second.record);

    // An overlap never lengthens a life.
    let third = store.renew(&first.record.id, DEFAULT_LIFETIME, DEFAULT_LIFETIME, now).unwrap();
    assert_eq!(store.list().unwrap()[0].expires, now.after(DEFAULT_OVERLAP));
    assert_eq!(third.record.expires, now.after(DEFAULT_LIFETIME));
}

#[test]
fn a_revoked_key_stays_revoked() {
    let (_dir, store) = store();
    let now = Timestamp::from_unix(1_795_000_000);
    let id = store.mint(alice(), now).unwrap().record.id;
    assert_eq!(store.revoke(&id, now).unwrap().revoked, Some(now));
    assert_eq!(store.revoke(&id, now.after(DEFAULT_OVERLAP)).unwrap().revoked, Some(now));
    let refused = store.renew(&id, DEFAULT_LIFETIME, DEFAULT_OVERLAP, now).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("key `{id}` was revoked; mint a new one with `countersign token key create`")
    );
}

#[test]
fn what_cannot_be_minted_or_found() {
    let (_dir, store) = store();
    let now = Timestamp::now();
    for new in [
        NewKey { subject: "a b".into(), ..alice() },
        NewKey { tenant: String::new(), ..alice() },
        NewKey { roles: vec!["x\"".into()], ..alice() },
        NewKey { claims: [("a b".to_owned(), "x".to_owned())].into(), ..alice() },
        NewKey { claims: [("branch".to_owned(), "a\nb".to_owned())].into(), ..alice() },
    ] {
        assert!(matches!(store.mint(new, now), Err(KeyFileError::Name(_) | KeyFileError::Claim(_))));
    }
    assert_eq!(store.list().unwrap(), []);
    let missing = store.revoke("key-nothing", now).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "no key has the id `key-nothing`; `countersign token key list` shows them"
    );
}

#[test]
fn several_writers_lose_no_key() {
    let (_dir, store) = store();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10).for_each(|_| drop(store.mint(alice(), Timestamp::now()).unwrap())));
        }
    });
    assert_eq!(store.list().unwrap().len(), 40);
}
