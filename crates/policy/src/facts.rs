//! What exists: the tools, databases and roots that policies may speak of. The schema is generated from this and nothing else.

use std::sync::Arc;

use countersign_core::ToolSpec;

/// A tool of the registry.
#[derive(Clone, Debug)]
pub struct ToolFact {
    /// Its metadata, as pinned.
    pub spec: Arc<ToolSpec>,
    /// The only tenant that may see it, if it belongs to one (a query tool of a tenant's own database).
    pub tenant: Option<Arc<str>>,
}

/// A configured database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatabaseFact {
    /// Its configured name: 1–64 characters of `[A-Za-z0-9_-]`.
    pub name: Arc<str>,
    /// The only tenant that may touch it, if it belongs to one.
    pub tenant: Option<Arc<str>>,
}

/// A configured root of files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootFact {
    /// Its configured name: 1–64 characters of `[A-Za-z0-9_-]`.
    pub name: Arc<str>,
    /// The only tenant that may touch what lies below it, if it belongs to one.
    pub tenant: Option<Arc<str>>,
}

/// Which destinations the operator trusts with what a run has read. Without one, none is trusted.
#[derive(Clone, Default)]
pub struct TrustedHosts(Option<Arc<IsTrusted>>);

/// A question about a host and a port.
type IsTrusted = dyn Fn(&str, u16) -> bool + Send + Sync;

impl TrustedHosts {
    /// Those for which `trusted` says so, given a host in lower case without a final dot, or an address, and a port.
    pub fn new(trusted: impl Fn(&str, u16) -> bool + Send + Sync + 'static) -> TrustedHosts {
        TrustedHosts(Some(Arc::new(trusted)))
    }

    /// Whether this destination is one of them.
    pub(crate) fn has(&self, host: &str, port: u16) -> bool {
        // MUTATE(M3-trusted): every destination counts as trusted
        self.0.as_ref().is_some_and(|trusted| trusted(host, port))
    }
}

impl std::fmt::Debug for TrustedHosts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "TrustedHosts(…)" } else { "TrustedHosts(none)" })
    }
}

/// All tools, databases and roots, and what is known of destinations.
#[derive(Clone, Default, Debug)]
pub struct RegistryFacts {
    /// The tools, each name once.
    pub tools: Vec<ToolFact>,
    /// The databases, each name once.
    pub databases: Vec<DatabaseFact>,
    /// The roots of files, each name once.
    pub roots: Vec<RootFact>,
    /// The destinations that are trusted.
    pub trusted: TrustedHosts,
}
