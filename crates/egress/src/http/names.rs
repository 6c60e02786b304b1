//! Names that lead inside, whatever they resolve to: this machine's, a private network's, and those of platforms.

/// What a name is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameClass {
    /// A name of the public DNS.
    Public,
    /// A name that only some network knows: a single label, or under a domain that no public one can have.
    Local,
    /// The API of an orchestrator, a container's host, or a cloud's metadata service.
    Platform,
}

impl NameClass {
    /// Classifies a name: ASCII, lower case, no final dot.
    pub fn of(name: &str) -> NameClass {
        // MUTATE(F1-names): names of the inside are like any other
        if PLATFORM.iter().any(|suffix| is_below(name, suffix)) {
            NameClass::Platform
        } else if !name.contains('.') || LOCAL.iter().any(|suffix| is_below(name, suffix)) {
            NameClass::Local
        } else {
            NameClass::Public
        }
    }
}

/// Whether a name is `domain`, or ends with it after a dot.
pub(crate) fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Domains that are not in the public DNS.
///
/// SPEC: RFC 6761 and its registry of special-use names (RFC 6762, 7686, 8375, 9476, draft-davies-internal-tld; those below `arpa`, where no site
/// lies), the domains that ICANN withholds for their private use (corp, home, mail), and others in wide private use.
const LOCAL: &[&str] = &[
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "private",
    "lan",
    "corp",
    "home",
    "mail",
    "arpa",
    "alt",
    "onion",
    "test",
    "invalid",
    "consul",
    "docker",
];

/// Where platforms serve machines.
const PLATFORM: &[&str] = &[
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "metadata.azure.internal",
    "metadata.tencentyun.com",
    "metadata.packet.net",
    "metadata.platformequinix.com",
    "instance-data",
    "instance-data.ec2.internal",
    "kubernetes",
    "kubernetes.default",
    "svc",
    "cluster.local",
    "docker.internal",
    "containers.internal",
    "docker.for.mac.localhost",
    "docker.for.win.localhost",
];

/// Ports at which orchestrators and container engines take orders: Docker, Kubernetes, its nodes and its store, Nomad, Consul.
const PLATFORM_PORTS: &[u16] =
    &[2375, 2376, 2377, 2379, 2380, 4243, 4646, 6443, 8001, 8500, 8501, 10250, 10255, 10256, 16443];

/// Whether a port on a private network is probably an orchestrator's.
pub(crate) fn is_platform_port(port: u16) -> bool {
    PLATFORM_PORTS.contains(&port)
}

#[cfg(test)]
mod tests;
