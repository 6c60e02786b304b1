//! Access tokens of authorization servers, as they are configured: what checks them, and what clients read to get one.

use std::sync::Arc;

use anyhow::Context as _;
use countersign_core::Pipeline;
use countersign_egress::Roots;
use countersign_identity::oauth::{Fetcher, KeySource, Metadata, ResourceServer, Timing};

use crate::{config::Config, door::OnRecord};

/// What checks access tokens; none without issuers.
pub(crate) fn server(
    config: &Config,
    pipeline: &Arc<Pipeline>,
) -> anyhow::Result<Option<Arc<ResourceServer>>> {
    let identity = &config.identity;
    let Some(resource) = identity.resource.as_ref().filter(|_| !identity.issuers.is_empty()) else {
        return Ok(None);
    };
    let mut issuers = Vec::new();
    for issuer in &identity.issuers {
        let roots = issuer.ca.clone().map_or(Roots::System, Roots::File);
        let fetcher = Fetcher::new(&roots)
            .with_context(|| format!("the issuer `{}` cannot be reached safely", issuer.config.name))?;
        issuers.push((issuer.config.clone(), Arc::new(fetcher) as Arc<dyn KeySource>));
    }
    let witness = Arc::new(OnRecord(Arc::clone(pipeline)));
    Ok(Some(Arc::new(ResourceServer::new(resource, issuers, Timing::default(), witness)?)))
}

/// What clients read to get a token; nothing without issuers.
pub(crate) fn metadata(config: &Config) -> Option<countersign_mcp::OAuth> {
    let issuers: Vec<_> = config.identity.issuers.iter().map(|issuer| &issuer.config).collect();
    let resource = config.identity.resource.clone().filter(|_| !issuers.is_empty())?;
    let mut scopes: Vec<String> = issuers.iter().flat_map(|issuer| issuer.scopes.clone()).collect();
    scopes.sort();
    scopes.dedup();
    let scope = scopes.join(" ");
    let document = Metadata {
        resource,
        issuers: issuers.iter().map(|issuer| issuer.url.clone()).collect(),
        scopes,
        bound: issuers.iter().all(|issuer| issuer.bound),
        certificates: config.server.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()),
    };
    Some(countersign_mcp::OAuth { document: document.document(), url: document.url(), scope })
}
