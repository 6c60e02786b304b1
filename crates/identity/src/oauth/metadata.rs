//! What this server publishes about itself, so that a client finds out where to get a token.
//!
//! SPEC: RFC 9728 §2 and §3.1, RFC 8705 §3.3, RFC 9449 §5.1.

use serde_json::json;

use super::{discovery, dpop};

/// The public facts of a protected resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// Our identifier: the address that clients call, and the audience of their tokens.
    pub resource: String,
    /// The issuers, by their addresses.
    pub issuers: Vec<String>,
    /// The scopes that a client should ask for.
    pub scopes: Vec<String>,
    /// Whether every token must be bound to a key.
    pub bound: bool,
    /// Whether tokens may be bound to client certificates.
    pub certificates: bool,
}

impl Metadata {
    /// The document.
    pub fn document(&self) -> String {
        let algorithms: Vec<&str> = dpop::ALGORITHMS.iter().map(|algorithm| algorithm.name()).collect();
        let mut document = json!({
            "resource": self.resource,
            "authorization_servers": self.issuers,
            "bearer_methods_supported": ["header"],
            "resource_name": "Countersign",
            "dpop_signing_alg_values_supported": algorithms,
            "tls_client_certificate_bound_access_tokens": self.certificates,
        });
        if let Some(members) = document.as_object_mut() {
            if !self.scopes.is_empty() {
                members.insert("scopes_supported".into(), json!(self.scopes));
            }
            if self.bound && !self.certificates {
                members.insert("dpop_bound_access_tokens_required".into(), true.into());
            }
        }
        document.to_string()
    }

    /// Where the document is: the well-known path, put between host and path of the resource.
    pub fn url(&self) -> String {
        match discovery::parts(&self.resource) {
            Some(parts) => {
                let path = parts.path.trim_end_matches('/');
                format!("{}://{}{WELL_KNOWN}{path}", parts.scheme, parts.authority)
            }
            None => self.resource.clone(),
        }
    }
}

/// The well-known path of the document.
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Whether a text can be the address of a resource or of an issuer: `https`, or `http` on this machine; no query, no fragment.
pub fn is_identifier(url: &str) -> bool {
    let host = |authority: &str| {
        authority.rsplit_once(':').map_or(authority.to_owned(), |(host, _)| host.to_owned())
    };
    discovery::parts(url).is_some_and(|parts| match parts.scheme {
        "https" => true,
        _ => matches!(host(parts.authority).as_str(), "localhost" | "127.0.0.1" | "[::1]"),
    })
}
