//! One session: dialled, verified, logged in; and what becomes of it when its caller goes away.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use countersign_egress::{AddressClass, Roots, Tls, dial};
use countersign_sql::engines::postgres::client::{
    self, CancelKey, ClientError, Connection, Duplex, SessionSettings, Startup, request_tls,
};
use tokio::time::{Instant, timeout, timeout_at};

use super::config::{PostgresConfig, PostgresLogin, PostgresTls};
use crate::engine::EngineError;

/// How long a cancelled statement may keep its slot: some C loops of the server do not look at cancellation for tens of seconds.
const LINGER: Duration = Duration::from_secs(60);

/// Everything that is the same for all sessions of a pool.
pub(super) struct Dialer {
    pub(super) config: PostgresConfig,
    /// The authorities; none if no connection will ever be verified.
    tls: Option<Tls>,
}

/// A session that may run one statement at a time.
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) peer: Option<SocketAddr>,
    pub(super) encrypted: bool,
    /// Whether it was just opened: then a failure is the server's, not that of a session which had died while it was idle.
    pub(super) fresh: bool,
    pub(super) opened: Instant,
}

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Duty {
    Read,
    Write,
}

impl Dialer {
    pub(super) fn new(config: PostgresConfig) -> Result<Dialer, EngineError> {
        let roots = match &config.tls {
            PostgresTls::Verified { authorities: Some(file), .. } => Some(Roots::File(file.clone())),
            PostgresTls::Verified { authorities: None, .. } => Some(Roots::System),
            // A server that turns out to be local needs none: a machine without authorities can still use it.
            PostgresTls::UnlessLocal => None,
            PostgresTls::DangerPlaintext => None,
        };
        let tls = match roots {
            Some(roots) => Some(Tls::new(&roots).map_err(|error| EngineError::Broken(error.to_string()))?),
            None if config.tls == PostgresTls::UnlessLocal => Tls::new(&Roots::System).ok(),
            None => None,
        };
        Ok(Dialer { config, tls })
    }

    /// Opens a session.
    pub(super) async fn open(&self, login: &PostgresLogin, duty: Duty) -> Result<Session, EngineError> {
        let deadline = Instant::now() + self.config.connect_timeout;
        let opened = async {
            let (stream, peer, encrypted, local) = self.stream(deadline).await?;
            let startup = self.startup(login, duty, encrypted || local);
            let connection = Connection::open(stream, &startup).await.map_err(|e| unreachable(&e))?;
            Ok(Session { connection, peer, encrypted, fresh: true, opened: Instant::now() })
        };
        match timeout_at(deadline, opened).await {
            Ok(session) => session,
            Err(_) => Err(EngineError::Unreachable("connecting took too long".into())),
        }
    }

    /// A stream that may carry rows: local, or verified, or allowed in the clear by the operator.
    async fn stream(
        &self,
        deadline: Instant,
    ) -> Result<(Box<dyn Duplex>, Option<SocketAddr>, bool, bool), EngineError> {
        let config = &self.config;
        let dialed =
            dial(&config.endpoint, &config.addresses, deadline).await.map_err(|e| unreachable(&e))?;
        let (peer, local) = (dialed.peer, dialed.is_local());
        let mut stream = dialed.stream;
        if !must_verify(&config.tls, local) {
            return Ok((Box::new(stream), peer, false, local));
        }
        let tls = self
            .tls
            .as_ref()
            .ok_or_else(|| EngineError::Unreachable("no certificate authority is known".into()))?;
        request_tls(&mut stream).await.map_err(|e| unreachable(&e))?;
        let stream = tls.connect(stream, self.server_name()).await.map_err(|e| unreachable(&e))?;
        Ok((Box::new(stream), peer, true, local))
    }

    fn server_name(&self) -> &str {
        match (&self.config.tls, &self.config.endpoint) {
            (PostgresTls::Verified { server_name: Some(name), .. }, _) => name,
            (_, countersign_egress::Endpoint::Tcp { host, .. }) => host,
            (_, countersign_egress::Endpoint::Unix(_)) => "localhost",
        }
    }

    fn startup(&self, login: &PostgresLogin, duty: Duty, confidential: bool) -> Startup {
        let config = &self.config;
        let settings = SessionSettings {
            schemas: &config.schemas,
            statement_timeout: config.statement_timeout,
            lock_timeout: config.lock_timeout,
            work_mem_kb: config.work_mem_kb,
            writes: duty == Duty::Write,
        };
        Startup {
            user: login.user().to_owned(),
            password: login.password().to_owned(),
            database: config.database.clone(),
            settings: settings.list(),
            confidential,
        }
    }

    /// Has the server cancel what a session runs, over a stream of its own, protected alike.
    async fn cancel(&self, key: CancelKey) {
        let deadline = Instant::now() + self.config.connect_timeout;
        let cancelled = async {
            if let Ok((mut stream, ..)) = self.stream(deadline).await {
                let _ = client::cancel(stream.as_mut(), key).await;
            }
        };
        let _ = timeout_at(deadline, cancelled).await;
    }

    /// Ends a session in the middle of an answer: cancelled, never used again. `held` is kept until the server is done with it, so that
    /// statements which ignore cancellation cannot pile up behind the pool's back.
    pub(super) fn abandon(self: &Arc<Self>, mut session: Session, held: impl Send + 'static) {
        // Without a runtime the process is about to end, and the stream with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let dialer = Arc::clone(self);
        runtime.spawn(async move {
            let key = session.connection.cancel_key();
            let give_up = Instant::now() + LINGER;
            let mut pause = Duration::from_millis(100);
            // A cancellation that arrives before the server has read the statement is lost, so it is sent until the server is done.
            while Instant::now() < give_up {
                // MUTATE(I2-pg-cancel): a statement whose caller is gone runs on
                dialer.cancel(key).await;
                if timeout(pause, session.connection.drain()).await.is_ok() {
                    break;
                }
                pause = pause.saturating_mul(2).min(Duration::from_secs(5));
            }
            drop(session);
            drop(held);
        });
    }
}

impl Session {
    pub(super) fn is_public(&self) -> bool {
        self.peer.is_some_and(|peer| AddressClass::of(peer.ip()) == AddressClass::Public)
    }
}

/// Whether a connection needs TLS: always off this machine, unless the operator accepted the danger.
fn must_verify(tls: &PostgresTls, local: bool) -> bool {
    match tls {
        PostgresTls::Verified { .. } => true,
        // MUTATE(A21-pg-plaintext): rows cross the network in the clear
        PostgresTls::UnlessLocal => !local,
        PostgresTls::DangerPlaintext => false,
    }
}

/// No connection, and why; the causes hold no statement and no password.
fn unreachable(error: &dyn std::error::Error) -> EngineError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    EngineError::Unreachable(text)
}

/// What a session's error is to the engine's caller.
pub(super) fn engine_error(error: ClientError) -> EngineError {
    match error {
        ClientError::Refused(refusal) => EngineError::Refused(refusal),
        ClientError::Full => EngineError::Busy { retry_after: Duration::from_secs(1) },
        other => unreachable(&other),
    }
}

/// Whether the session, not the statement, is at fault.
pub(super) fn is_lost(error: &ClientError) -> bool {
    matches!(error, ClientError::Stream(_) | ClientError::Server(_) | ClientError::Protocol(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_on_this_machine_goes_in_the_clear() {
        let verified = PostgresTls::Verified { authorities: None, server_name: None };
        assert!(must_verify(&verified, true) && must_verify(&verified, false));
        assert!(
            must_verify(&PostgresTls::UnlessLocal, false) && !must_verify(&PostgresTls::UnlessLocal, true)
        );
        assert!(!must_verify(&PostgresTls::DangerPlaintext, false));
    }
}
