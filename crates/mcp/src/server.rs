//! What all connections of one server share.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use countersign_core::{Pipeline, Principal, Subsystem};
use tokio_util::sync::CancellationToken;

use crate::{
    changes::Changes,
    config::{Config, OAuth},
    credentials::Credentials,
    http::Sources,
    listen::Streams,
    peer::Presented,
    prompts::Prompts,
    request_state::RequestStates,
    rpc::Object,
    running::Working,
    session::Sessions,
};

/// Turns a credential into a principal. Called for every request, before its body is read.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Who sends a request with this head, over this connection?
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Arc<Principal>, NotAuthenticated>;

    /// Whether the credential that opened a stream for `principal` still holds. Asked again and again while the stream is open; it
    /// waits for nothing, and asks for no second proof of possession.
    fn still_holds(&self, presented: &Presented<'_>, principal: &Principal) -> bool;
}

/// Why a credential yields no principal. A caller learns only that a valid one is required; the record says why this one is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotAuthenticated {
    /// It is missing or not valid: a stable code for the record, such as `expired`; never any part of the credential.
    Credential(&'static str),
    /// The proof of possession does not fit (RFC 9449).
    Proof(&'static str),
    /// The proof of possession must carry this nonce (RFC 9449).
    Nonce(String),
    /// The credential is valid, but lacks a scope that everything here needs.
    Scope(&'static str),
    /// Credentials cannot be checked at present.
    Unavailable(Subsystem),
}

/// Why a server could not be made.
#[derive(Debug)]
pub enum ServerError {
    /// The operating system gave no random bytes.
    NoRandomness(String),
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ServerError::NoRandomness(cause) => write!(f, "no randomness for the server's key: {cause}"),
        }
    }
}

impl std::error::Error for ServerError {}

/// One MCP server, over any number of transports.
pub struct Server {
    pub(crate) config: Config,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) prompts: Option<Arc<dyn Prompts>>,
    pub(crate) credentials: Option<Arc<dyn Credentials>>,
    pub(crate) changes: Changes,
    pub(crate) sessions: Sessions,
    pub(crate) sources: Sources,
    pub(crate) streams: Streams,
    pub(crate) states: RequestStates,
    pub(crate) working: Working,
    /// Fires when the server begins to stop: no new connections, open streams end.
    pub(crate) closing: CancellationToken,
    /// Fires when no request may go on.
    pub(crate) stop: CancellationToken,
    /// `{"name":…,"version":…}`
    pub(crate) identity: String,
    oauth: RwLock<Option<Arc<OAuth>>>,
}

impl Server {
    /// A server in front of `pipeline`. `changes` is what open streams listen to.
    pub fn new(
        config: Config,
        pipeline: Arc<Pipeline>,
        authenticator: Arc<dyn Authenticator>,
        changes: Changes,
    ) -> Result<Server, ServerError> {
        let states = RequestStates::new(pipeline.environment.as_ref()).map_err(ServerError::NoRandomness)?;
        let mut identity = String::new();
        let mut object = Object::open(&mut identity);
        object.text("name", &config.name);
        object.text("version", &config.version);
        object.close();
        Ok(Server {
            sessions: Sessions::new(
                config.sessions_per_principal,
                config.sessions_total,
                config.session_idle,
            ),
            sources: Sources::new(
                config.anonymous_connections,
                config.failures_per_minute,
                config.failures_burst,
            ),
            streams: Streams::new(config.streams_per_principal),
            states,
            working: Working::default(),
            closing: CancellationToken::new(),
            stop: CancellationToken::new(),
            identity,
            prompts: None,
            oauth: RwLock::new(config.oauth.clone().map(Arc::new)),
            credentials: None,
            config,
            pipeline,
            authenticator,
            changes,
        })
    }

    /// Adds a source of prompts.
    #[must_use]
    pub fn with_prompts(mut self, prompts: Arc<dyn Prompts>) -> Server {
        self.prompts = Some(prompts);
        self
    }

    /// Publishes other metadata of the protected resource from now on.
    pub fn replace_oauth(&self, oauth: Option<OAuth>) {
        *self.oauth.write().unwrap_or_else(PoisonError::into_inner) = oauth.map(Arc::new);
    }

    /// What clients read to get a token.
    pub(crate) fn oauth(&self) -> Option<Arc<OAuth>> {
        self.oauth.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves holders of this server's own credentials.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Arc<dyn Credentials>) -> Server {
        self.credentials = Some(credentials);
        self
    }

    pub(crate) fn now(&self) -> u64 {
        self.pipeline.environment.monotonic_nanos()
    }

    /// Waits for the work under way, at most `patience`; then cancels it and waits until its outcome is recorded.
    pub(crate) async fn finish(&self, patience: Duration) {
        if tokio::time::timeout(patience, self.working.idle()).await.is_err() {
            self.stop.cancel();
            let _ = tokio::time::timeout(RECORD_PATIENCE, self.working.idle()).await;
        }
    }
}

/// How long cancelled work may take to record its outcome.
const RECORD_PATIENCE: Duration = Duration::from_secs(5);
