//! What a request may reach and cost. Every request is made under a policy; there is none that permits everything.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    error::FetchError,
    hosts::{DEFAULT_PORTS, HostPattern},
    limits::Limits,
    names::NameClass,
    target::Target,
};
use crate::address::AddressPolicy;

/// Whether requests may travel in the clear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cleartext {
    /// `http` is refused.
    Refused,
    /// `http` is for this machine alone.
    Loopback,
    /// `http` is like `https`.
    Allowed,
}

/// A proxy of the operator's that requests leave through, by `CONNECT` (RFC 9110 §9.3.6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proxy {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the proxy resolves names, instead of being told the address that we judged. Then the proxy alone decides what a name leads to.
    pub resolves: bool,
    /// Who we are to the proxy, if it asks; no server behind it is told.
    pub login: Option<ProxyLogin>,
}

/// A user name and password for a proxy (RFC 7617). Clones are one login, so that it can be renewed while clients hold it. Wiped when the last
/// is dropped; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ProxyLogin(Arc<RwLock<Zeroizing<String>>>);

impl ProxyLogin {
    /// None if the name holds a colon, or either of the two a control character: no header can carry them.
    pub fn new(user: &str, password: &str) -> Option<ProxyLogin> {
        let plain = !user.contains(':') && !user.chars().chain(password.chars()).any(char::is_control);
        let both = Zeroizing::new(format!("{user}:{password}"));
        let header = || Zeroizing::new(format!("Basic {}", STANDARD.encode(both.as_bytes())));
        plain.then(|| ProxyLogin(Arc::new(RwLock::new(header()))))
    }

    /// Takes over what another login says, for all requests from now on. Whether it says something else.
    pub fn renew(&self, other: &ProxyLogin) -> bool {
        let new = other.header();
        let mut own = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // MUTATE(K1-proxy-renewed): a proxy is told the password that it had at the start
        std::mem::replace(&mut *own, new.clone()) != new
    }

    /// The value of `Proxy-Authorization`.
    pub(super) fn header(&self) -> Zeroizing<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl PartialEq for ProxyLogin {
    fn eq(&self, other: &ProxyLogin) -> bool {
        self.header() == other.header()
    }
}

impl Eq for ProxyLogin {}

impl fmt::Debug for ProxyLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyLogin(..)")
    }
}

/// What a request may reach and cost. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The hosts that may be reached; none stands for any public one.
    hosts: Option<Arc<[HostPattern]>>,
    /// The hosts of this one request, among those.
    only: Option<Arc<[(String, u16)]>>,
    /// Names of the inside that may be reached.
    inside: Arc<[HostPattern]>,
    addresses: Arc<AddressPolicy>,
    cleartext: Cleartext,
    types: Arc<[String]>,
    limits: Arc<Limits>,
}

impl Policy {
    /// Hosts of a list, at public addresses.
    pub fn listed(hosts: impl IntoIterator<Item = HostPattern>) -> Policy {
        Policy { hosts: Some(hosts.into_iter().collect()), ..Policy::any_public() }
    }

    /// Any public host, ports 80 and 443: for URLs that something else has judged already.
    pub fn any_public() -> Policy {
        Policy {
            hosts: None,
            only: None,
            inside: Arc::from([]),
            addresses: Arc::new(AddressPolicy::public_only()),
            cleartext: Cleartext::Allowed,
            types: Arc::from([]),
            limits: Arc::default(),
        }
    }

    /// The one host and port of a URL that the operator wrote into the configuration, wherever it is but at a metadata service; in the
    /// clear on this machine alone.
    ///
    /// # Errors
    /// [`FetchError::Url`] if it is none.
    pub fn operator_named(url: &str) -> Result<Policy, FetchError> {
        let target = Target::parse(url).map_err(FetchError::Url)?;
        let pattern = HostPattern::exact(target.host(), target.port());
        Ok(Policy {
            inside: Arc::from([pattern.clone()]),
            addresses: Arc::new(AddressPolicy::operator_named()),
            cleartext: Cleartext::Loopback,
            ..Policy::listed([pattern])
        })
    }

    /// The same policy for these hosts and ports alone.
    #[must_use]
    pub fn only(mut self, hosts: impl IntoIterator<Item = (String, u16)>) -> Policy {
        self.only = Some(hosts.into_iter().collect());
        self
    }

    /// With names of the inside that may be reached. Those of platforms (orchestrators, metadata services) must be named one by one.
    #[must_use]
    pub fn with_inside(mut self, names: impl IntoIterator<Item = HostPattern>) -> Policy {
        self.inside = names.into_iter().collect();
        self
    }

    /// With other rules for addresses.
    #[must_use]
    pub fn with_addresses(mut self, addresses: AddressPolicy) -> Policy {
        self.addresses = Arc::new(addresses);
        self
    }

    /// With another rule for `http`.
    #[must_use]
    pub fn with_cleartext(mut self, cleartext: Cleartext) -> Policy {
        self.cleartext = cleartext;
        self
    }

    /// For answers of these types alone: `text/html`, `text/*`, `application/*+json`.
    #[must_use]
    pub fn with_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Policy {
        self.types = types.into_iter().map(Into::into).collect();
        self
    }

    /// With other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Policy {
        self.limits = Arc::new(limits);
        self
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The rules for addresses.
    pub(crate) fn addresses(&self) -> &AddressPolicy {
        &self.addresses
    }

    /// The rule for `http`.
    pub(crate) fn cleartext(&self) -> Cleartext {
        self.cleartext
    }

    /// Whether the operator named exactly this host and port.
    pub(crate) fn names(&self, host: &str, port: u16) -> bool {
        self.hosts.iter().flat_map(|hosts| hosts.iter()).any(|pattern| pattern.names(host, port))
    }

    /// Judges all of a URL that needs no network: scheme, host, port, and the address if it names one.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn judge(&self, target: &Target) -> Result<(), FetchError> {
        let (host, port) = (target.host(), target.port());
        let owned = || (host.to_owned(), port);
        if !target.is_tls() && self.cleartext == Cleartext::Refused {
            return Err(FetchError::Cleartext);
        }
        if target.address().is_none() {
            let pattern = |class: NameClass| {
                let mut listed = self.inside.iter().filter(|pattern| pattern.matches_host(host));
                listed.any(|pattern| class == NameClass::Local || pattern.is_exact())
            };
            match NameClass::of(host) {
                NameClass::Public => {}
                class if pattern(class) => {}
                _ => return Err(FetchError::Name(host.to_owned())),
            }
        }
        let listed = match &self.hosts {
            Some(hosts) => hosts.iter().any(|pattern| pattern.matches(host, port)),
            None => DEFAULT_PORTS.contains(&port),
        };
        // MUTATE(F1-hosts): hosts that the operator did not list are reached
        if !listed {
            let (host, port) = owned();
            return Err(FetchError::Host { host, port });
        }
        let mut only = self.only.iter().flat_map(|only| only.iter());
        if self.only.is_some() && !only.any(|(own, at)| own == host && *at == port) {
            let (host, port) = owned();
            return Err(FetchError::OtherHost { host, port });
        }
        match target.address().map(|address| (address, self.addresses.judge(address))) {
            Some((address, Err(class))) => Err(FetchError::Address { address, class }),
            _ => Ok(()),
        }
    }

    /// Whether an answer of this type may be read. The type is without parameters, in lower case.
    pub(crate) fn takes(&self, kind: &str) -> bool {
        let matches = |own: &String| match own.split_once('*') {
            Some((head, tail)) => kind.strip_prefix(head).is_some_and(|rest| rest.ends_with(tail)),
            None => own == kind,
        };
        self.types.is_empty() || self.types.iter().any(matches)
    }
}
