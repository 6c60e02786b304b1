//! Issuing, narrowing and listing credentials: the file with the keys that sign them and with what is still alive. One process changes it at
//! a time.
//!
//! INVARIANT: a credential is in the file, durable, before anybody sees it. Expired ones are swept out with every change.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    CredentialProfile,
    grant::{Grant, GrantError, Narrowing, check_purpose},
    keys::{RetiredKey, SigningKey, VerifyingKey},
    token::Credential,
};
use crate::{
    key::random_chars,
    keyfile::{self, Holds, KeyFileError, Loaded, Stamp, text},
    oauth::TokenRefused,
    time::Timestamp,
};

const VERSION: u32 = 1;
/// Characters of a credential's id that are drawn.
const ID_CHARS: usize = 16;
/// How long one key signs, unless an operator rotates it before.
const ROTATE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Credentials that are alive at once.
const MAX_ALIVE: usize = 5_000;
/// Living credentials that were narrowed from one.
const MAX_NARROWED: usize = 100;
/// How often in a row a credential can be narrowed.
const MAX_STEPS: usize = 8;
/// The longest text of a credential, in bytes: clients send it with every call.
const MAX_TOKEN: usize = 8 << 10;

/// Why the store does not do what is asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The grant.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The time.
    #[error("a credential lives from 1 second to {max} seconds, as `identity.credentials.max_ttl` says")]
    Lifetime {
        /// The longest life, in seconds.
        max: u64,
    },
    /// More time than what is narrowed has left.
    #[error("a credential can be narrowed, never widened: it ends in {left} seconds")]
    Longer {
        /// What it has left, in seconds.
        left: u64,
    },
    /// What is to be narrowed is not a living credential of this server.
    #[error("this is no living credential of this server: {0}")]
    NotOurs(TokenRefused),
    /// Narrowed too often.
    #[error(
        "a credential can be narrowed {MAX_STEPS} times in a row, and {MAX_NARROWED} narrowed ones of it can be alive"
    )]
    TooOften,
    /// Too many.
    #[error("{MAX_ALIVE} credentials are alive, or their file is full; wait until some end")]
    Full,
    /// Too much in one.
    #[error("the credential would be longer than {MAX_TOKEN} bytes; name fewer scopes, tools and roles")]
    TooLong,
    /// The file holds a key that is none.
    #[error("the signing key cannot be used; `countersign token rotate` makes another one")]
    Key,
}

/// A fresh credential. This is the only time that its text exists outside its holder's hands.
pub struct Issued {
    /// The credential, to be shown once.
    pub token: Zeroizing<String>,
    /// What is kept of it.
    pub record: IssuedRecord,
}

/// What is kept of a credential: everything but the credential.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuedRecord {
    /// Its id: by this it is revoked.
    pub id: String,
    /// What it grants.
    pub grant: Grant,
    /// What it is for, in the operator's words.
    pub purpose: String,
    /// The id of the key that signed it.
    pub kid: String,
    /// When it was issued.
    #[serde(with = "text")]
    pub issued: Timestamp,
    /// When it ends.
    #[serde(with = "text")]
    pub expires: Timestamp,
    /// The credentials that it was narrowed from, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing: Option<SigningKey>,
    retired: Vec<RetiredKey>,
    issued: Vec<IssuedRecord>,
}

/// Issues, narrows and lists credentials.
#[derive(Clone, Debug)]
pub struct CredentialStore {
    path: PathBuf,
    profile: CredentialProfile,
}

impl CredentialStore {
    /// The store in this file; the file appears with the first credential.
    pub fn at(path: impl Into<PathBuf>, profile: CredentialProfile) -> CredentialStore {
        CredentialStore { path: path.into(), profile }
    }

    /// Issues a credential.
    ///
    /// # Errors
    /// When the grant, purpose or life break a rule, or the file cannot be changed.
    pub fn issue(
        &self,
        grant: &Grant,
        purpose: &str,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Issued, StoreError> {
        grant.check()?;
        check_purpose(purpose)?;
        let max = self.profile.max_ttl;
        // MUTATE(G5-lifetime): a credential may live for years
        if lifetime.as_secs() == 0 || lifetime > max {
            return Err(StoreError::Lifetime { max: max.as_secs() });
        }
        self.change(now, |document| {
            let credential = Credential {
                id: fresh_id()?,
                grant: grant.clone(),
                ancestors: Vec::new(),
                issued: now,
                expires: now.after(lifetime),
            };
            self.sign(document, credential, purpose)
        })
    }

    /// Issues a credential that grants less than `token` does, and ends no later.
    ///
    /// # Errors
    /// When `token` is no living credential of this server, or more is asked for than it has.
    pub fn narrow(
        &self,
        token: &str,
        to: &Narrowing,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<Issued, StoreError> {
        self.change(now, |document| {
            let had = Credential::read(&self.profile, Some(&document.verifying()), token, now)
                .map_err(StoreError::NotOurs)?;
            let grant = had.grant.narrowed(to)?;
            let expires = match lifetime {
                None => had.expires,
                Some(lifetime) if lifetime.as_secs() == 0 => {
                    return Err(StoreError::Lifetime { max: self.profile.max_ttl.as_secs() });
                }
                // MUTATE(G5-narrow-ttl): a narrowed credential outlives what it was narrowed from
                Some(lifetime) if now.after(lifetime) > had.expires => {
                    return Err(StoreError::Longer { left: had.expires.since(now).as_secs() });
                }
                Some(lifetime) => now.after(lifetime),
            };
            let purpose = document.issued.iter().find(|record| record.id == had.id);
            let purpose = purpose.map(|record| record.purpose.clone()).unwrap_or_default();
            let mut ancestors = had.ancestors;
            ancestors.push(had.id);
            let first = ancestors.first().cloned();
            let siblings =
                document.issued.iter().filter(|one| one.ancestors.first() == first.as_ref()).count();
            // MUTATE(G5-narrow-flood): a holder fills the file with narrowed credentials
            if ancestors.len() > MAX_STEPS || siblings >= MAX_NARROWED {
                return Err(StoreError::TooOften);
            }
            let credential = Credential { id: fresh_id()?, grant, ancestors, issued: now, expires };
            self.sign(document, credential, &purpose)
        })
    }

    /// The credentials that are alive, in the order they were issued.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self, now: Timestamp) -> Result<Vec<IssuedRecord>, StoreError> {
        let mut issued = read(&self.path)?.0.issued;
        issued.retain(|record| record.expires > now);
        Ok(issued)
    }

    /// Lets a new key sign from now on; its id. What the old keys signed is believed until it ends; `at_once`, not at all.
    ///
    /// # Errors
    /// When the file cannot be changed.
    pub fn rotate(&self, at_once: bool, now: Timestamp) -> Result<String, StoreError> {
        self.change(now, |document| {
            document.replace_key(now)?;
            let kid = document.signing.as_ref().ok_or(StoreError::Key)?.kid.clone();
            if at_once {
                document.retired.clear();
                document.issued.clear();
            }
            Ok(kid)
        })
    }

    /// The public keys, as a JSON Web Key Set.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn jwks(&self) -> Result<String, StoreError> {
        Ok(super::keys::jwks(&read(&self.path)?.0.verifying()))
    }

    fn sign(
        &self,
        document: &mut Document,
        credential: Credential,
        purpose: &str,
    ) -> Result<Issued, StoreError> {
        let now = credential.issued;
        let young = |key: &SigningKey| now.since(key.made) < ROTATE;
        if !document.signing.as_ref().is_some_and(young) {
            document.replace_key(now)?;
        }
        let key = document.signing.as_mut().ok_or(StoreError::Key)?;
        let token = credential.sign(&self.profile, key).ok_or(StoreError::Key)?;
        if token.len() > MAX_TOKEN {
            return Err(StoreError::TooLong);
        }
        key.until = key.until.max(credential.expires);
        let Credential { id, grant, ancestors, issued, expires } = credential;
        let (purpose, kid) = (purpose.to_owned(), key.kid.clone());
        let record = IssuedRecord { id, grant, purpose, kid, issued, expires, ancestors };
        if document.issued.len() >= MAX_ALIVE {
            return Err(StoreError::Full);
        }
        document.issued.push(record.clone());
        Ok(Issued { token, record })
    }

    /// Reads, sweeps, changes and writes the file while no other process can.
    fn change<T>(
        &self,
        now: Timestamp,
        change: impl FnOnce(&mut Document) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _guard = keyfile::lock(&self.path)?;
        let (mut document, _) = read(&self.path)?;
        document.issued.retain(|record| record.expires > now);
        document.retired.retain(|key| key.until > now);
        let result = change(&mut document)?;
        let text = serde_json::to_vec(&document).map(Zeroizing::new).map_err(|_| StoreError::Key)?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > keyfile::MAX_BYTES {
            return Err(StoreError::Full);
        }
        keyfile::replace(&self.path, &text)?;
        Ok(result)
    }
}

impl Document {
    fn replace_key(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let old = self.signing.replace(SigningKey::generate(now)?);
        let alive = old.filter(|old| old.until > now);
        self.retired.extend(alive.and_then(|old| old.retired()));
        Ok(())
    }

    fn verifying(&self) -> Vec<VerifyingKey> {
        let signing = self.signing.iter().filter_map(SigningKey::verifying);
        signing.chain(self.retired.iter().filter_map(RetiredKey::verifying)).collect()
    }
}

/// The keys of a file, and the state that it was read in. No file has no keys.
pub(super) fn verifying_keys(
    path: &std::path::Path,
) -> Result<(Vec<VerifyingKey>, Option<Stamp>), KeyFileError> {
    read(path).map(|(document, stamp)| (document.verifying(), stamp))
}

fn read(path: &std::path::Path) -> Result<(Document, Option<Stamp>), KeyFileError> {
    let empty = Document { version: VERSION, ..Document::default() };
    let Some(Loaded { text, stamp }) = keyfile::load(path, Holds::Secrets)? else { return Ok((empty, None)) };
    // The parser's own message could quote the file, which holds secrets.
    let malformed = |e: serde_json::Error| KeyFileError::Malformed {
        path: path.to_owned(),
        reason: format!("column {} of line {} is not understood", e.column(), e.line()),
    };
    let version: keyfile::Version = serde_json::from_slice(&text).map_err(malformed)?;
    if version.version != VERSION {
        return Err(KeyFileError::Version { path: path.to_owned(), found: version.version });
    }
    Ok((serde_json::from_slice(&text).map_err(malformed)?, Some(stamp)))
}

fn fresh_id() -> Result<String, KeyFileError> {
    let mut id = String::from("cred-");
    random_chars(&mut id, ID_CHARS)?;
    Ok(id)
}
