//! Minting, renewing, revoking and listing API keys: the operator's side of the key file.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::{
    key::{self, ApiKey},
    keyfile::{self, KeyFileError, KeyKind, KeyRecord},
    names::{check_claim, check_name},
    time::Timestamp,
};

#[cfg(test)]
mod tests;

const DAY: Duration = Duration::from_secs(86_400);
/// How long a key lives unless the operator says otherwise: 90 days.
pub const DEFAULT_LIFETIME: Duration = DAY.saturating_mul(90);
/// How long a renewed key goes on working beside its successor: 1 day.
pub const DEFAULT_OVERLAP: Duration = DAY;
/// Characters of a key's id.
const ID_CHARS: usize = 8;

/// Who a new key is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewKey {
    /// Whose key it is.
    pub subject: String,
    /// What kind of principal that is.
    pub kind: KeyKind,
    /// The tenant.
    pub tenant: String,
    /// The roles.
    pub roles: Vec<String>,
    /// What the operator says of the holder besides, by name.
    pub claims: BTreeMap<String, String>,
    /// How long it lives.
    pub lifetime: Duration,
}

/// A key that was just made. This is the only time that its text exists outside its holder's hands.
#[derive(Debug)]
pub struct Minted {
    /// The key, to be shown once.
    pub key: ApiKey,
    /// What the file says about it.
    pub record: KeyRecord,
}

/// The key file as the operator works on it. Several processes may work on one file; each change is made under a lock.
#[derive(Clone, Debug)]
pub struct KeyStore {
    path: PathBuf,
}

impl KeyStore {
    /// The store in this file; the file appears with the first key.
    pub fn at(path: impl Into<PathBuf>) -> KeyStore {
        KeyStore { path: path.into() }
    }

    /// All keys, in the order they were minted; expired and revoked ones too.
    ///
    /// # Errors
    /// When the file cannot be read or is not a key file.
    pub fn list(&self) -> Result<Vec<KeyRecord>, KeyFileError> {
        keyfile::read(&self.path).map(|(keys, _)| keys)
    }

    /// Makes a key and records it durably before it is handed out.
    ///
    /// # Errors
    /// When a name breaks the rules, there is no entropy, or the file cannot be changed.
    pub fn mint(&self, new: NewKey, now: Timestamp) -> Result<Minted, KeyFileError> {
        check_name("subject", &new.subject)?;
        check_name("tenant", &new.tenant)?;
        new.roles.iter().try_for_each(|role| check_name("role", role))?;
        new.claims.iter().try_for_each(|(name, value)| check_claim(name, value))?;
        self.change(|keys| {
            let minted = fresh(keys, new, None, now)?;
            keys.push(minted.record.clone());
            Ok(minted)
        })
    }

    /// Makes a successor of key `id` for the same principal. The old key goes on for at most `overlap`, so that clients can be
    /// switched over one after the other.
    ///
    /// # Errors
    /// When no such key exists, it was revoked, or the file cannot be changed.
    pub fn renew(
        &self,
        id: &str,
        lifetime: Duration,
        overlap: Duration,
        now: Timestamp,
    ) -> Result<Minted, KeyFileError> {
        self.change(|keys| {
            let old = find(keys, id)?;
            if old.revoked.is_some() {
                return Err(KeyFileError::Revoked { id: id.to_owned() });
            }
            old.expires = old.expires.min(now.after(overlap));
            let new = NewKey {
                subject: old.subject.clone(),
                kind: old.kind,
                tenant: old.tenant.clone(),
                roles: old.roles.clone(),
                claims: old.claims.clone(),
                lifetime,
            };
            let minted = fresh(keys, new, Some(id.to_owned()), now)?;
            keys.push(minted.record.clone());
            Ok(minted)
        })
    }

    /// Revokes key `id`; running servers refuse it within [`crate::MAX_STALENESS`]. Revoking twice changes nothing.
    ///
    /// # Errors
    /// When no such key exists or the file cannot be changed.
    pub fn revoke(&self, id: &str, now: Timestamp) -> Result<KeyRecord, KeyFileError> {
        self.change(|keys| {
            let record = find(keys, id)?;
            record.revoked.get_or_insert(now);
            Ok(record.clone())
        })
    }

    /// Reads, changes and writes the file while no other process can.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<KeyRecord>) -> Result<T, KeyFileError>,
    ) -> Result<T, KeyFileError> {
        let _guard = keyfile::lock(&self.path)?;
        let (mut keys, _) = keyfile::read(&self.path)?;
        let result = change(&mut keys)?;
        keyfile::write(&self.path, keys)?;
        Ok(result)
    }
}

fn find<'k>(keys: &'k mut [KeyRecord], id: &str) -> Result<&'k mut KeyRecord, KeyFileError> {
    keys.iter_mut().find(|key| key.id == id).ok_or_else(|| KeyFileError::UnknownId { id: id.to_owned() })
}

fn fresh(
    keys: &[KeyRecord],
    new: NewKey,
    renews: Option<String>,
    now: Timestamp,
) -> Result<Minted, KeyFileError> {
    let key = ApiKey::generate()?;
    let mut roles = new.roles;
    roles.sort();
    roles.dedup();
    let record = KeyRecord {
        id: unused_id(keys)?,
        sha256: key.hash(),
        subject: new.subject,
        kind: new.kind,
        tenant: new.tenant,
        roles,
        claims: new.claims,
        created: now,
        expires: now.after(new.lifetime),
        revoked: None,
        renews,
    };
    Ok(Minted { key, record })
}

fn unused_id(keys: &[KeyRecord]) -> Result<String, KeyFileError> {
    loop {
        let mut id = String::from("key-");
        key::random_chars(&mut id, ID_CHARS)?;
        if keys.iter().all(|key| key.id != id) {
            return Ok(id);
        }
    }
}
