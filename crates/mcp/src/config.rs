//! Every limit and name of the data plane, with its default.

use std::time::Duration;

/// What a protected resource publishes of itself (RFC 9728).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct OAuth {
    /// The metadata document.
    pub document: String,
    /// Where clients find it: an address whose path begins with `/.well-known/oauth-protected-resource`.
    pub url: String,
    /// The scopes that a client should ask for, separated by spaces.
    pub scope: String,
}

/// What the data plane allows and how it presents itself. `Config::default()` is safe; the binary fills in names.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's name, as clients see it.
    pub name: String,
    /// The server's version, as clients see it.
    pub version: String,
    /// What a model is told about this server; says what the delimiters of untrusted data mean.
    pub instructions: String,
    /// Bytes of one message.
    pub body_bytes: usize,
    /// Levels of nesting in one message.
    pub depth: usize,
    /// Values and keys in one message.
    pub nodes: usize,
    /// Entries of a list on one page.
    pub page_size: usize,
    /// Legacy sessions per principal; the one that was idle longest makes room.
    pub sessions_per_principal: usize,
    /// Legacy sessions in all; beyond it new ones are refused.
    pub sessions_total: usize,
    /// How long a legacy session lives without a request.
    pub session_idle: Duration,
    /// Open notification streams per principal.
    pub streams_per_principal: usize,
    /// How long the head of a request may take to arrive, and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// How long a client may take to answer a question in mid-call.
    pub ask_timeout: Duration,
    /// Pause after which an open stream carries a comment.
    pub keep_alive: Duration,
    /// How long requests that are under way may take to finish when the server stops.
    pub drain: Duration,
    /// Headers of one request.
    pub header_count: usize,
    /// Bytes of the head of one request.
    pub header_bytes: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections per address on which nobody has authenticated yet.
    pub anonymous_connections: usize,
    /// Failed authentications per address and minute.
    pub failures_per_minute: u32,
    /// Failed authentications of one address that may come at once.
    pub failures_burst: u32,
    /// Host names, beyond the loopback ones, under which this server may be addressed; without port, lower case.
    pub hosts: Vec<String>,
    /// Origins, beyond loopback ones, from which browsers may call; `scheme://host[:port]`, lower case.
    pub origins: Vec<String>,
    /// What clients read to get a token; none where no tokens are taken.
    pub oauth: Option<OAuth>,
    /// Whether `resources/subscribe` is offered; only sensible when something reports changes to resources.
    pub resource_updates: bool,
    /// How long clients may keep a list, in milliseconds.
    pub ttl_ms: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            name: "countersign".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            instructions: String::new(),
            body_bytes: 1 << 20,
            depth: 64,
            nodes: 100_000,
            page_size: 100,
            sessions_per_principal: 16,
            sessions_total: 4096,
            session_idle: Duration::from_secs(30 * 60),
            streams_per_principal: 16,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            ask_timeout: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
            drain: Duration::from_secs(10),
            header_count: 64,
            header_bytes: 32 << 10,
            connections: 2048,
            anonymous_connections: 128,
            failures_per_minute: 30,
            failures_burst: 30,
            hosts: Vec::new(),
            origins: Vec::new(),
            oauth: None,
            resource_updates: false,
            ttl_ms: 0,
        }
    }
}

impl Config {
    pub(crate) fn json_limits(&self) -> countersign_core::json::Limits {
        countersign_core::json::Limits { bytes: self.body_bytes, depth: self.depth, nodes: self.nodes }
    }
}
