//! The port through which an issuer's documents are fetched.

use async_trait::async_trait;

/// Who named the host of an address, which decides where it may lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NamedBy {
    /// The operator, in the configuration: it may be a private address.
    Operator,
    /// A document of the issuer: public addresses alone.
    Document,
}

/// The document could not be had; the text is for the operator.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchFailed(pub String);

/// Fetches documents of issuers.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The body of a `GET` that was answered with 200, within a deadline and `limit` bytes. Redirects are not followed.
    ///
    /// # Errors
    /// [`FetchFailed`] for anything else.
    async fn get(&self, url: &str, named_by: NamedBy, limit: usize) -> Result<Vec<u8>, FetchFailed>;
}
