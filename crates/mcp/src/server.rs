//! What all connections of one server share.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use countersign_core::{Denied, Pipeline, Principal, RunId, Subsystem};
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
    pub(crate) runs: Runs,
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
            runs: Runs::default(),
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

/// The runs of callers without a session: one per principal and credential, a new one after idle time.
#[derive(Default)]
pub(crate) struct Runs {
    live: std::sync::Mutex<std::collections::HashMap<String, (RunId, u64)>>,
}

/// Idle time after which a caller's next request starts a new run, in nanoseconds.
const RUN_IDLE: u64 = 30 * 60 * 1_000_000_000;
/// Above this many runs, those that were idle too long are forgotten.
const RUNS_SWEEP: usize = 4096;

impl Runs {
    /// The run that a stateless request belongs to: that of its credential, or one of ours. Nothing that the client sends has a say.
    pub(crate) fn of(&self, principal: &Principal, pipeline: &Pipeline) -> Result<RunId, Denied> {
        // MUTATE(G5-run): a credential for one run is used in another
        if let Some(run) = principal.run() {
            return Ok(run.clone());
        }
        let now = pipeline.environment.monotonic_nanos();
        // INVARIANT: what was narrowed stays in the run of what it was narrowed from, so narrowing is no way to a clean run.
        // MUTATE(G5-narrow-run): a narrowed credential begins a clean run
        let key = format!("{}\u{0}{}", principal.key(), principal.first_credential());
        let mut live = self.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((run, used)) = live.get_mut(&key)
            && now.saturating_sub(*used) <= RUN_IDLE
        {
            *used = now;
            return Ok(run.clone());
        }
        let mut random = [0; 16];
        let drawn = pipeline.environment.random(&mut random);
        drawn.map_err(|_| Denied::Unavailable(Subsystem::Server))?;
        let run = RunId::new(format!("run-{:032x}", u128::from_be_bytes(random)));
        if live.len() >= RUNS_SWEEP {
            live.retain(|_, (_, used)| now.saturating_sub(*used) <= RUN_IDLE);
        }
        live.insert(key, (run.clone(), now));
        Ok(run)
    }
}
