//! The way to the state database of a fleet: dialled once resolved, and verified unless it stays on this machine.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_egress::{AddressPolicy, Endpoint, Roots, Tls, dial};
use countersign_sql::engines::postgres::client::request_tls;
use countersign_state::{Dial, Duplex, PostgresSettings, PostgresStore, StateError};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{config::SharedState, engines::endpoint};

/// How long a step may take. What is stopped is read separately, and believed for two seconds.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long dialling may take, of that.
const CONNECT: Duration = Duration::from_secs(1);

/// Opens the store.
///
/// # Errors
/// If the server cannot be reached or verified, or is not fit to hold state.
pub(crate) async fn open(shared: &SharedState) -> Result<PostgresStore, StateError> {
    let target = &shared.target;
    let verified = shared.ca.is_some() || !target.host.is_local();
    let roots = shared.ca.clone().map_or(Roots::System, Roots::File);
    let tls = match Tls::new(&roots) {
        Ok(tls) => Some(tls),
        Err(error) if verified => return Err(StateError::Unreachable(error.to_string())),
        // A server on this machine needs no authority.
        Err(_) => None,
    };
    let server = Server { endpoint: endpoint(&target.host, target.port), tls, verified };
    let settings = PostgresSettings {
        user: shared.user.clone(),
        password: shared.password.as_ref().map(|secret| Zeroizing::new(secret.reveal().to_owned())),
        database: target.database.clone(),
        connections: shared.pool,
        patience: PATIENCE,
    };
    PostgresStore::open(Arc::new(server), settings).await
}

struct Server {
    endpoint: Endpoint,
    tls: Option<Tls>,
    /// Whether it proves who it is wherever it is.
    verified: bool,
}

#[async_trait]
impl Dial for Server {
    async fn dial(&self) -> Result<Box<dyn Duplex>, String> {
        let dialed = dial(&self.endpoint, &AddressPolicy::operator_named(), Instant::now() + CONNECT).await;
        let dialed = dialed.map_err(|error| causes(&error))?;
        let local = dialed.is_local();
        let mut stream = dialed.stream;
        // MUTATE(P4-plaintext): passwords and state cross the network in the clear
        if local && !self.verified {
            return Ok(Box::new(stream));
        }
        let tls = self.tls.as_ref().ok_or("no certificate authority is known")?;
        request_tls(&mut stream).await.map_err(|error| causes(&error))?;
        let name = match &self.endpoint {
            Endpoint::Tcp { host, .. } => host,
            Endpoint::Unix(_) => "localhost",
        };
        let stream = tls.connect(stream, name).await.map_err(|error| causes(&error))?;
        Ok(Box::new(stream))
    }
}

/// An error with what is behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
