//! What `fetch_url` and `send_request` may reach, and whether it could: authorities, and names that resolve to addresses which may be dialled.

use countersign_egress::{Resolver as _, SystemResolver, http::HostPattern};
use tokio::runtime::Runtime;

use super::Check;
use crate::{
    config::{Config, Fetch},
    fetch::client,
};

const ABOUT: &str = "fetch_url";

/// The checks; none without listed hosts.
pub(super) fn checks(config: &Config, runtime: &Runtime) -> Vec<Check> {
    let fetch = &config.fetch;
    if fetch.allow.is_empty() && fetch.send.allow.is_empty() {
        return vec![Check::good(ABOUT, "absent: no host is listed in `fetch.allow`")];
    }
    if let Err(error) = client(fetch) {
        return vec![Check::bad(ABOUT, format!("{error:#}"), "install ca-certificates, or set `fetch.ca`")];
    }
    let names =
        |hosts: &[HostPattern]| hosts.iter().map(HostPattern::to_string).collect::<Vec<_>>().join(", ");
    let mut checks = Vec::new();
    if !fetch.allow.is_empty() {
        checks.push(Check::good(ABOUT, format!("may reach {}", names(&fetch.allow))));
    }
    if !fetch.send.allow.is_empty() {
        let sent = format!("may send {} to {}", fetch.send.methods.join(", "), names(&fetch.send.allow));
        checks.push(Check::good("send_request", sent));
    }
    if fetch.proxy.is_none() {
        let sent = fetch.send.allow.iter().filter(|host| !fetch.allow.contains(host));
        let exact = fetch.allow.iter().chain(sent).filter(|host| host.is_exact() && host.address().is_none());
        checks.extend(exact.filter_map(|host| runtime.block_on(unreachable(fetch, host))));
    }
    checks
}

/// What keeps a listed host from being reached, as far as its name tells.
async fn unreachable(fetch: &Fetch, host: &HostPattern) -> Option<Check> {
    match SystemResolver.resolve(host.host()).await {
        Ok(found) if !found.is_empty() => {
            let (_, class) = found.iter().find_map(|a| Some((a, fetch.addresses().judge(*a).err()?)))?;
            let found = format!("`{host}` leads to an address that is {class}: it is refused");
            Some(Check::warning(ABOUT, found, "if it is yours, list its network in `danger.fetch_networks`"))
        }
        _ => Some(Check::warning(ABOUT, format!("`{host}` cannot be resolved from here"), "")),
    }
}
