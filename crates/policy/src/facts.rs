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

/// All tools, databases and roots.
#[derive(Clone, Default, Debug)]
pub struct RegistryFacts {
    /// The tools, each name once.
    pub tools: Vec<ToolFact>,
    /// The databases, each name once.
    pub databases: Vec<DatabaseFact>,
    /// The roots of files, each name once.
    pub roots: Vec<RootFact>,
}
