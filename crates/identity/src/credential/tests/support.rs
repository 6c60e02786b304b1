//! A file of credentials in a directory of its own.

use std::{path::PathBuf, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use serde_json::Value;

use super::super::*;
use crate::{keyfile::KeyKind, time::Timestamp};

pub(super) const ADDRESS: &str = "https://mcp.bank.example/mcp";
pub(super) const TTL: Duration = Duration::from_secs(600);

/// The time of all tests.
pub(super) fn now() -> Timestamp {
    Timestamp::from_unix(1_800_000_000)
}

pub(super) fn later(seconds: u64) -> Timestamp {
    now().after(Duration::from_secs(seconds))
}

pub(super) fn profile() -> CredentialProfile {
    CredentialProfile { address: ADDRESS.into(), max_ttl: Duration::from_secs(900) }
}

pub(super) fn grant() -> Grant {
    Grant {
        subject: "nightly".into(),
        kind: KeyKind::Service,
        tenant: "acme".into(),
        roles: vec!["reader".into()],
        scopes: vec!["shop:read".into(), "shop:write".into()],
        tools: Some(vec!["query_shop".into(), "write_shop".into()]),
        run: Some("close-books".into()),
        owner: Some("ann".into()),
    }
}

/// A store, and what keeps its directory.
pub(super) struct Place {
    dir: tempfile::TempDir,
    pub(super) store: CredentialStore,
}

impl Place {
    pub(super) fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let store = CredentialStore::at(dir.path().join("credentials.json"), profile());
        Place { dir, store }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("credentials.json")
    }

    pub(super) fn issue(&self) -> Issued {
        self.store.issue(&grant(), "books", TTL, now()).unwrap()
    }

    pub(super) fn ring(&self) -> CredentialRing {
        CredentialRing::open(self.path(), profile()).unwrap()
    }
}

/// Header and payload of a token.
pub(super) fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.');
    let mut part = || serde_json::from_slice(&BASE64URL.decode(parts.next().unwrap()).unwrap()).unwrap();
    (part(), part())
}
