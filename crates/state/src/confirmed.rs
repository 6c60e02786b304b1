//! An operator's word on policies that loosen: a signature over exactly their digest, kept in a file beside the state.
//!
//! Where operators are enrolled for all tenants, only their signature counts. Where none is, the file itself does: whoever can write to the
//! state directory can do all that Countersign can.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign_core::{
    Digest,
    approval::{ApprovalDigest, Vote},
};
use serde::{Deserialize, Serialize};

use crate::{
    desk::Desk,
    error::StateError,
    operator::{OperatorKey, verifies},
    store::KeyRow,
};

/// Policies that an operator confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmed {
    /// The digest of the set of policies.
    pub digest: String,
    /// Who, if somebody signed.
    pub operator: Option<String>,
    /// Ed25519, base64.
    pub signature: Option<String>,
}

impl Desk {
    /// Confirms a set of policies by its digest, signed with `key` if there is one.
    ///
    /// # Errors
    /// If operators are enrolled and this is none of their keys, or the state cannot answer.
    pub async fn confirm(&self, digest: &str, key: Option<&OperatorKey>) -> Result<Confirmed, StateError> {
        let refuse = |why: &str| StateError::Refused(why.to_owned());
        let trusted = self.trusted().await?;
        let Some(key) = key else {
            if trusted.is_empty() {
                return Ok(Confirmed { digest: digest.to_owned(), operator: None, signature: None });
            }
            return Err(refuse("operators are enrolled here, so one of them must sign: add --key FILE"));
        };
        let row = trusted.iter().find(|row| row.public == key.public());
        let row =
            row.ok_or_else(|| refuse("this key is not enrolled here for all tenants, or was revoked"))?;
        let signature = STANDARD.encode(key.sign(Vote::Approve, statement(digest), &row.name, ""));
        Ok(Confirmed {
            digest: digest.to_owned(),
            operator: Some(row.name.clone()),
            signature: Some(signature),
        })
    }

    /// Whether a confirmation counts now.
    ///
    /// # Errors
    /// If the state cannot answer.
    pub async fn counts(&self, confirmed: &Confirmed) -> Result<bool, StateError> {
        let trusted = self.trusted().await?;
        if trusted.is_empty() {
            return Ok(true);
        }
        let signature = confirmed.signature.as_ref().and_then(|text| STANDARD.decode(text).ok());
        let (Some(name), Some(signature)) = (&confirmed.operator, signature) else { return Ok(false) };
        // MUTATE(H2-signed): policies that loosen need no operator's signature
        Ok(trusted.iter().any(|row| {
            row.name == *name
                && verifies(&row.public, &signature, Vote::Approve, statement(&confirmed.digest), name, "")
        }))
    }

    /// The keys of operators for all tenants that are not revoked.
    async fn trusted(&self) -> Result<Vec<KeyRow>, StateError> {
        let mut keys = self.keys().await?;
        keys.retain(|row| row.revoked.is_none() && row.tenant.is_none());
        Ok(keys)
    }
}

/// What is signed. INVARIANT: its own domain, so that no approval of a call is a word on policies, nor the reverse.
fn statement(digest: &str) -> ApprovalDigest {
    ApprovalDigest(Digest::of_fields("countersign policies confirmed v1", [digest.as_bytes()]))
}
