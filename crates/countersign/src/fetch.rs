//! From `[fetch]` to the tools `fetch_url` and `send_request`.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use countersign_core::{PowerClass, Tool};
use countersign_egress::{
    Roots,
    http::{Cleartext, Client, HostPattern, Limits, Policy, Proxy},
};
use countersign_policy::TrustedHosts;
use countersign_tools::{FetchConfig, FetchUrl, HtmlWorkers, SendConfig, SendRequest};

use crate::config::Fetch;

/// The hidden command under which this binary turns one page of HTML into text.
pub(crate) const HTML_WORKER: &str = "__html-worker";

/// The tools: one that fetches and one that sends, each only if hosts are listed for it.
///
/// # Errors
/// If no certificate authority can be read.
pub(crate) fn tools(fetch: &Fetch, binary: &Path) -> anyhow::Result<Vec<Arc<dyn Tool>>> {
    let mut tools: Vec<Arc<dyn Tool>> = Vec::new();
    if !fetch.allow.is_empty() {
        tools.push(Arc::new(FetchUrl::new(FetchConfig {
            client: client(fetch)?,
            policy: policy(fetch, &fetch.allow),
            html: HtmlWorkers::new(binary, vec![HTML_WORKER.into()]),
            max_chars: fetch.max_chars,
        })));
    }
    // INVARIANT: what may be read may not be written: the hosts of one list are not those of the other.
    if !fetch.send.allow.is_empty() {
        tools.push(Arc::new(SendRequest::new(sending(fetch)?)));
    }
    Ok(tools)
}

fn sending(fetch: &Fetch) -> anyhow::Result<SendConfig> {
    let send = &fetch.send;
    Ok(SendConfig {
        client: client(fetch)?,
        // MUTATE(F1-send-hosts): what may be read may be written
        policy: policy(fetch, &send.allow).with_cleartext(Cleartext::Loopback),
        methods: send.methods.clone(),
        types: send.types.clone(),
        max_body: send.max_body,
        max_chars: fetch.max_chars,
        power: if send.low { PowerClass::WriteLow } else { PowerClass::WriteHigh },
    })
}

/// The client that the tools reach the network with.
///
/// # Errors
/// If no certificate authority can be read.
pub(crate) fn client(fetch: &Fetch) -> anyhow::Result<Client> {
    let roots = fetch.ca.clone().map_or(Roots::System, Roots::File);
    let client = Client::new(&roots).context("servers cannot be verified; see `fetch.ca`")?;
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

fn policy(fetch: &Fetch, hosts: &[HostPattern]) -> Policy {
    let limits = Limits { total: Some(fetch.timeout), body: fetch.max_body, ..Limits::default() };
    Policy::listed(hosts.iter().cloned())
        .with_inside(fetch.names.iter().cloned())
        .with_addresses(fetch.addresses())
        .with_types(fetch.types.iter().cloned())
        .with_limits(limits)
}
