//! What a server does for holders of its own short-lived credentials: it publishes the keys that verify them, and issues narrower ones.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::{Denied, Principal, json::Value};

use crate::peer::Presented;

/// A holder asks for a credential that grants less than the one it shows.
#[derive(Clone, Copy)]
pub struct NarrowRequest<'r> {
    /// Who the credential makes its bearer. It was verified, and nobody has stopped it.
    pub principal: &'r Arc<Principal>,
    /// What the request showed.
    pub presented: &'r Presented<'r>,
    /// What is asked for: one JSON object, read strictly.
    pub body: &'r Value<'r>,
}

/// Why no credential was issued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotNarrowed {
    /// The request breaks a rule, which is named.
    Invalid(String),
    /// It asks for more than the holder has, or the holder shows no credential of this server.
    Forbidden(String),
    /// Limited, or not possible at present.
    Denied(Denied),
}

/// Serves holders of credentials. The binary supplies it where credentials are issued.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The public keys: a JSON Web Key Set (RFC 7517).
    ///
    /// # Errors
    /// When they cannot be read at present.
    fn keys(&self) -> Result<String, Denied>;

    /// Issues a narrower credential, on record; the answer's JSON.
    ///
    /// # Errors
    /// [`NotNarrowed`] says why there is none.
    async fn narrow(&self, request: NarrowRequest<'_>) -> Result<String, NotNarrowed>;
}
