//! Where an issuer publishes its keys, when the operator did not say.
//!
//! SPEC: RFC 8414 §3, OpenID Connect Discovery 1.0 §4, MCP 2026-07-28 authorization server discovery.

use countersign_core::json::{self, Limits, Value};

use super::source::{FetchFailed, KeySource, NamedBy};

/// The longest metadata that is read, in bytes.
const MAX_METADATA: usize = 256 << 10;

/// An address taken apart: scheme, authority, path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Parts<'u> {
    pub(crate) scheme: &'u str,
    pub(crate) authority: &'u str,
    pub(crate) path: &'u str,
}

/// Takes an `http` or `https` address apart. `None` when it has user information, a query, a fragment, or odd characters.
pub(crate) fn parts(url: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at)?;
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'@' | b'\\' | b'"');
    let good = matches!(scheme, "https" | "http") && !authority.is_empty() && rest.bytes().all(plain);
    good.then_some(Parts { scheme, authority, path })
}

/// Where the issuer's keys are, by its own metadata.
///
/// # Errors
/// When no metadata of exactly this issuer can be had.
pub(super) async fn find(issuer: &str, source: &dyn KeySource) -> Result<(String, NamedBy), FetchFailed> {
    let Parts { scheme, authority, path } =
        parts(issuer).ok_or_else(|| FetchFailed("the issuer's address cannot be read".into()))?;
    let path = path.trim_end_matches('/');
    let root = format!("{scheme}://{authority}");
    let mut candidates = vec![
        format!("{root}/.well-known/oauth-authorization-server{path}"),
        format!("{root}/.well-known/openid-configuration{path}"),
        format!("{root}{path}/.well-known/openid-configuration"),
    ];
    candidates.dedup();
    let mut last = FetchFailed("the issuer publishes no metadata".into());
    for url in candidates {
        let read = match source.get(&url, NamedBy::Operator, MAX_METADATA).await {
            Ok(text) => jwks_uri(&text, issuer),
            Err(failed) => Err(failed),
        };
        match read {
            Ok(jwks) => {
                let same = parts(&jwks).is_some_and(|found| found.authority == authority);
                // INVARIANT: a document cannot lead us to the operator's private network; only the operator can.
                return Ok((jwks, if same { NamedBy::Operator } else { NamedBy::Document }));
            }
            Err(failed) => last = failed,
        }
    }
    Err(last)
}

fn jwks_uri(text: &[u8], issuer: &str) -> Result<String, FetchFailed> {
    let failed = |rule: &str| FetchFailed(rule.to_owned());
    let limits = Limits { bytes: MAX_METADATA, depth: 16, nodes: 20_000 };
    let document = json::parse(text, limits).map_err(|_| failed("the issuer's metadata is no JSON"))?;
    // SPEC: RFC 8414 §3.3: the issuer must be identical, or the metadata is somebody else's.
    // MUTATE(G1-metadata-issuer): metadata of another issuer is taken
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(failed("the metadata is that of another issuer"));
    }
    let jwks = document.get("jwks_uri").and_then(Value::as_str);
    let jwks = jwks.ok_or_else(|| failed("the metadata names no `jwks_uri`"))?;
    let secure =
        |found: Parts<'_>| found.scheme == "https" || parts(issuer).is_some_and(|own| own.scheme == "http");
    if parts(jwks).is_some_and(secure) {
        Ok(jwks.to_owned())
    } else {
        Err(failed("the `jwks_uri` is no plain `https` address"))
    }
}
