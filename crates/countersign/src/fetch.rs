//! From `[fetch]` to the tool `fetch_url`.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use countersign_core::Tool;
use countersign_egress::{
    Roots,
    http::{Client, Limits, Policy, Proxy},
};
use countersign_policy::TrustedHosts;
use countersign_tools::{FetchConfig, FetchUrl, HtmlWorkers};

use crate::config::Fetch;

/// The hidden command under which this binary turns one page of HTML into text.
pub(crate) const HTML_WORKER: &str = "__html-worker";

/// The tool; none if no host is listed.
///
/// # Errors
/// If no certificate authority can be read.
pub(crate) fn tool(fetch: &Fetch, binary: &Path) -> anyhow::Result<Option<Arc<dyn Tool>>> {
    if fetch.allow.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(FetchUrl::new(FetchConfig {
        client: client(fetch)?,
        policy: policy(fetch),
        html: HtmlWorkers::new(binary, vec![HTML_WORKER.into()]),
        max_chars: fetch.max_chars,
    }))))
}

/// The client that the tool fetches with.
///
/// # Errors
/// If no certificate authority can be read.
pub(crate) fn client(fetch: &Fetch) -> anyhow::Result<Client> {
    let roots = fetch.ca.clone().map_or(Roots::System, Roots::File);
    let client = Client::new(&roots).context("`fetch_url` cannot verify servers; see `fetch.ca`")?;
    let proxy = fetch.proxy.as_ref().and_then(|proxy| {
        Some(Proxy {
            host: proxy.host().to_owned(),
            port: proxy.port()?,
            resolves: fetch.proxy_resolves,
            login: fetch.proxy_login.clone(),
        })
    });
    Ok(match proxy {
        Some(proxy) => client.with_proxy(proxy),
        None => client,
    })
}

/// Which destinations policies see as trusted.
pub(crate) fn trusted(fetch: &Fetch) -> TrustedHosts {
    let patterns = fetch.trusted.clone();
    TrustedHosts::new(move |host, port| patterns.iter().any(|pattern| pattern.matches(host, port)))
}

fn policy(fetch: &Fetch) -> Policy {
    let limits = Limits { total: Some(fetch.timeout), body: fetch.max_body, ..Limits::default() };
    Policy::listed(fetch.allow.iter().cloned())
        .with_inside(fetch.names.iter().cloned())
        .with_addresses(fetch.addresses())
        .with_types(fetch.types.iter().cloned())
        .with_limits(limits)
}
