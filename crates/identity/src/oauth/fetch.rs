//! Issuers' documents over the network, through the one door that there is: `egress`.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use countersign_egress::{
    Roots, TlsError,
    http::{Cleartext, Client, Limits, Policy, Response, StatusCode, header},
};

use super::{
    jwk::MAX_SET,
    source::{FetchFailed, KeySource, NamedBy},
};

/// Fetches documents of issuers by HTTPS; in the clear from this machine alone.
pub struct Fetcher {
    client: Client,
}

/// The whole of a fetch. Callers wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

impl Fetcher {
    /// With these authorities.
    ///
    /// # Errors
    /// [`TlsError`] if no authority can be read.
    pub fn new(roots: &Roots) -> Result<Fetcher, TlsError> {
        Ok(Fetcher { client: Client::new(roots)? })
    }

    /// What time its web server says that it is.
    pub(super) async fn clock(
        &self,
        url: &str,
        named_by: NamedBy,
    ) -> Result<Option<SystemTime>, FetchFailed> {
        let response = self.answer(url, named_by, MAX_SET).await?;
        let date = response.headers.get(header::DATE).and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| httpdate::parse_http_date(date).ok()))
    }

    async fn answer(&self, url: &str, named_by: NamedBy, limit: usize) -> Result<Response, FetchFailed> {
        let failed = |cause: &dyn std::fmt::Display| FetchFailed(format!("{url}: {cause}"));
        let policy = match named_by {
            NamedBy::Operator => Policy::operator_named(url).map_err(|e| failed(&e))?,
            NamedBy::Document => Policy::any_public().with_cleartext(Cleartext::Refused),
        };
        let limits = Limits {
            connect: PATIENCE,
            head: PATIENCE,
            idle: PATIENCE,
            total: Some(PATIENCE),
            body: u64::try_from(limit).unwrap_or(u64::MAX),
            // SPEC: RFC 8414 §6.2: a document that redirects is somebody else's.
            redirects: 0,
            ..Limits::default()
        };
        let response = self.client.get(url, &policy.with_limits(limits)).await.map_err(|e| failed(&e))?;
        match response.status {
            StatusCode::OK => Ok(response),
            status => Err(failed(&format_args!("answered with {}", status.as_u16()))),
        }
    }
}

#[async_trait]
impl KeySource for Fetcher {
    async fn get(&self, url: &str, named_by: NamedBy, limit: usize) -> Result<Vec<u8>, FetchFailed> {
        Ok(self.answer(url, named_by, limit).await?.body.to_vec())
    }
}
