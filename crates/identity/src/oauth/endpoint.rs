//! An introspection endpoint over the network, through the one door that there is: `egress`.

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use countersign_egress::{
    Roots, TlsError,
    http::{Client, HeaderValue, Limits, Policy, Request, StatusCode, header},
};
use zeroize::Zeroizing;

use super::{
    introspection::{IntrospectionEndpoint, MAX_ANSWER},
    source::FetchFailed,
};

/// Asks an endpoint that the operator named, as a client of the authorization server.
pub struct IntrospectionClient {
    client: Client,
    url: String,
    authorization: HeaderValue,
}

/// The whole of a question. Callers wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

impl IntrospectionClient {
    /// With these authorities; `id` and `secret` are ours at the authorization server.
    ///
    /// # Errors
    /// [`TlsError`] if no authority can be read.
    pub fn new(roots: &Roots, url: &str, id: &str, secret: &str) -> Result<IntrospectionClient, TlsError> {
        // SPEC: RFC 6749 §2.3.1: both are form-encoded before they are put together.
        let pair = Zeroizing::new(format!("{}:{}", form(id), form(secret)));
        let text = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
        // Base64 is always a valid header; were it not, the endpoint would refuse us.
        let mut authorization =
            HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Basic"));
        authorization.set_sensitive(true);
        Ok(IntrospectionClient { client: Client::new(roots)?, url: url.to_owned(), authorization })
    }
}

#[async_trait]
impl IntrospectionEndpoint for IntrospectionClient {
    async fn ask(&self, token: &str) -> Result<Vec<u8>, FetchFailed> {
        let failed = |cause: &dyn std::fmt::Display| FetchFailed(format!("{}: {cause}", self.url));
        let policy = Policy::operator_named(&self.url).map_err(|e| failed(&e))?;
        let limits = Limits {
            connect: PATIENCE,
            head: PATIENCE,
            idle: PATIENCE,
            total: Some(PATIENCE),
            body: MAX_ANSWER as u64,
            redirects: 0,
            ..Limits::default()
        };
        let policy = policy.with_limits(limits).with_types(["application/json"]);
        let body = format!("token={}&token_type_hint=access_token", form(token));
        let request = Request::post(&self.url, body)
            .header(header::AUTHORIZATION, self.authorization.clone())
            .and_then(|request| {
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                request.header(header::CONTENT_TYPE, form)
            })
            .and_then(|request| request.header(header::ACCEPT, HeaderValue::from_static("application/json")));
        let request = request.map_err(|e| failed(&e))?;
        let response = self.client.send(request, &policy).await.map_err(|e| failed(&e))?;
        match response.status {
            StatusCode::OK => Ok(response.body.to_vec()),
            status => Err(failed(&format_args!("answered with {}", status.as_u16()))),
        }
    }
}

/// `application/x-www-form-urlencoded`, every byte that is not unreserved as `%XX`.
fn form(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
