//! `[fetch]`: the hosts that `fetch_url` may reach, and what of the inside it may reach under `[danger]`.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_egress::{
    AddressClass, AddressPolicy, Nat64, Network,
    http::{HostPattern, NameClass, ProxyLogin},
};

use super::{
    error::Problem,
    kind::{Form, Value},
    raw::Raw,
    secret::{Environment, Vault},
};

/// `[fetch]`
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    /// The hosts; without any there is no tool.
    pub(crate) allow: Vec<HostPattern>,
    /// Those that are trusted with what callers have read, for policies.
    pub(crate) trusted: Vec<HostPattern>,
    /// Content types that are read.
    pub(crate) types: Vec<String>,
    /// Bytes of the longest answer.
    pub(crate) max_body: u64,
    /// Characters of the longest result.
    pub(crate) max_chars: usize,
    /// The time of a whole request.
    pub(crate) timeout: Duration,
    /// The authorities that servers are verified with; the system's if none.
    pub(crate) ca: Option<PathBuf>,
    /// Prefixes under which a translator reaches IPv4.
    pub(crate) nat64: Vec<Nat64>,
    /// The proxy that requests leave through.
    pub(crate) proxy: Option<HostPattern>,
    /// Who we are to the proxy.
    pub(crate) proxy_login: Option<ProxyLogin>,
    /// `danger.fetch_proxy_resolves`
    pub(crate) proxy_resolves: bool,
    /// `danger.fetch_networks`
    pub(crate) networks: Vec<Network>,
    /// `danger.fetch_names`
    pub(crate) names: Vec<HostPattern>,
    /// Where the orchestrator that runs us answers, if one says so.
    pub(crate) platform: Option<IpAddr>,
    /// `[fetch.send]`
    pub(crate) send: Sending,
}

/// `[fetch.send]`
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    /// The hosts; without any there is no tool.
    pub(crate) allow: Vec<HostPattern>,
    /// Methods that may change something.
    pub(crate) methods: Vec<String>,
    /// Content types of bodies.
    pub(crate) types: Vec<String>,
    /// Bytes of the longest body.
    pub(crate) max_body: u64,
    /// Whether a request can do little harm.
    pub(crate) low: bool,
}

pub(super) const HOSTS: Form = Form {
    allowed: "hosts such as [\"docs.example.com\", \"*.example.org\", \"api.example.com:8443\"]; ports are 80 and 443 unless one is given",
    admits: |text| text.parse::<HostPattern>().is_ok(),
};
pub(super) const NETWORKS: Form = Form {
    allowed: "networks such as [\"10.1.0.0/16\", \"fd12::/48\"], with no bit set beyond the prefix; one address alone is a network of one",
    admits: |text| text.parse::<Network>().is_ok(),
};
pub(super) const TRANSLATORS: Form = Form {
    allowed: "NAT64 prefixes of 96 bits such as [\"64:ff9b::/96\"]",
    admits: |text| text.parse::<Nat64>().is_ok(),
};
pub(super) const TYPES: Form = Form {
    allowed: "content types such as [\"text/*\", \"application/json\", \"application/*+json\"], in lower case",
    admits: |text| {
        let part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-+.*_".contains(&b))
        };
        text.matches('*').count() <= 1
            && text.split_once('/').is_some_and(|(kind, of)| part(kind) && part(of) && kind != "*")
    },
};
pub(super) const METHODS: Form = Form {
    allowed: "methods among \"POST\", \"PUT\", \"PATCH\" and \"DELETE\"; `fetch_url` sends GET",
    admits: |text| ["POST", "PUT", "PATCH", "DELETE"].contains(&text),
};
pub(super) const BODIES: Form = Form {
    allowed: "content types such as [\"application/json\", \"text/plain\"], in lower case, without `*`",
    admits: |text| !text.contains('*') && (TYPES.admits)(text),
};
pub(super) const PROXY: Form = Form {
    allowed: "a host and a port such as \"proxy.example.com:3128\"",
    admits: |text| text.parse::<HostPattern>().is_ok_and(|host| host.is_exact() && host.port().is_some()),
};

pub(super) const PROXY_USER: Form = Form {
    allowed: "a user name of 1 to 255 visible characters without a colon",
    admits: |text| {
        (1..=255).contains(&text.len())
            && !text.chars().any(|c| c == ':' || c.is_control() || c.is_whitespace())
    },
};

/// Who we are to the proxy, from two settings that take each other.
pub(super) fn proxy_login(
    raw: &mut Raw,
    vault: &mut Vault,
    dir: &Path,
    environment: Environment<'_>,
) -> Option<ProxyLogin> {
    const KEYS: [&str; 3] = ["fetch.proxy", "fetch.proxy_user", "fetch.proxy_password"];
    let given = KEYS.map(|key| raw.values.contains_key(key));
    if let [_, true, false] | [_, false, true] | [false, true, true] = given {
        let message =
            "`fetch.proxy`, `fetch.proxy_user` and `fetch.proxy_password` take each other".to_owned();
        let help = "leave user and password away for a proxy that does not ask who we are".to_owned();
        raw.problems.push(Problem { place: None, message, help: Some(help) });
    }
    let password = vault.fetch(raw, "fetch.proxy_password", "fetch.proxy_password", dir, environment)?;
    let Some(Value::Text(user)) = raw.values.get("fetch.proxy_user").map(|read| &read.value) else {
        return None;
    };
    let login = ProxyLogin::new(user, password.reveal());
    if login.is_none() {
        let message =
            "`fetch.proxy_password` holds a control character, which no header can carry".to_owned();
        raw.problems.push(Problem { place: None, message, help: None });
    }
    login
}

impl Fetch {
    /// Which addresses may be reached.
    pub(crate) fn addresses(&self) -> AddressPolicy {
        AddressPolicy::public_only()
            .with_networks(self.networks.iter().copied())
            .with_nat64(self.nat64.iter().copied())
            .with_platform(self.platform)
    }

    /// Every host that a tool may reach, with the setting that lists it.
    fn listed(&self) -> impl Iterator<Item = (&'static str, &HostPattern)> {
        let sent = self.send.allow.iter().map(|host| ("fetch.send.allow", host));
        self.allow.iter().map(|host| ("fetch.allow", host)).chain(sent)
    }

    /// Listed hosts that could never be reached: the operator meant something else.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let addresses = self.addresses();
        let unreachable = |(key, host): (&str, &HostPattern)| match host.address() {
            Some(address) => {
                let class = addresses.judge(address).err().filter(|class| *class != AddressClass::Public)?;
                Some((
                    format!("`{key}` lists `{host}`, whose address is {class}"),
                    "fetch_networks",
                    address.to_string(),
                ))
            }
            None => {
                let class = NameClass::of(host.host());
                let named = self
                    .names
                    .iter()
                    .any(|name| name.covers(host) && (class == NameClass::Local || name.is_exact()));
                (class != NameClass::Public && !named).then(|| {
                    let of = if class == NameClass::Local { "a private network" } else { "a platform" };
                    (
                        format!("`{key}` lists `{host}`, a name of {of}"),
                        "fetch_names",
                        host.any_port().to_string(),
                    )
                })
            }
        };
        let problem = |(message, key, what): (String, &str, String)| Problem {
            place: None,
            message,
            help: Some(format!("if that is meant, say so with `{key} = [\"{what}\"]` in `[danger]`")),
        };
        let closed = self.listed().filter_map(unreachable).map(problem);
        let idle = self.trusted.iter().filter(|host| !self.listed().any(|(_, listed)| listed.covers(host)));
        let idle = idle.map(|host| Problem {
            place: None,
            message: format!("`fetch.trusted` lists `{host}`, which `fetch.allow` does not cover"),
            help: Some(
                "what is trusted must be allowed as well; add it to `fetch.allow` or `fetch.send.allow`"
                    .into(),
            ),
        });
        closed.chain(idle).collect()
    }
}
