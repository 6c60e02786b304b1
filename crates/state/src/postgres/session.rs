//! One session with the server: logged in, held to our terms, and with the statements that it has prepared.

use std::collections::HashMap;

use tokio::{task::AbortHandle, time::timeout};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, NoTls, Row, Statement,
    config::{ChannelBinding, SslMode},
    error::SqlState,
    tls::NoTlsStream,
    types::ToSql,
};

use super::{Dial, Duplex, PostgresSettings, schema, schema::SCHEMA};
use crate::error::StateError;

/// A step that was rolled back because of others is tried so often.
const ATTEMPTS: u32 = 5;

type Wire = Connection<Box<dyn Duplex>, NoTlsStream>;
type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A session. Dropped in the middle of something it is gone, and the server rolls back.
pub(super) struct Session {
    pub(super) client: Client,
    statements: HashMap<&'static str, Statement>,
    wire: AbortHandle,
}

impl Session {
    /// Opens a session on a schema that somebody has migrated.
    pub(super) async fn open(dial: &dyn Dial, settings: &PostgresSettings) -> Result<Session, StateError> {
        let session = Session::open_any(dial, settings).await?;
        let version = session.client.query_one_scalar("SELECT version FROM state_version", &[]).await;
        schema::acceptable(version.map_err(failed)?)?;
        Ok(session)
    }

    /// Opens a session whatever the schema is.
    pub(super) async fn open_any(
        dial: &dyn Dial,
        settings: &PostgresSettings,
    ) -> Result<Session, StateError> {
        let (client, mut wire) = connect(dial, settings).await?;
        let pump = async move {
            // Notices say nothing that matters here; the end of the connection shows in the client.
            while let Some(Ok(_)) = next(&mut wire).await {}
        };
        let wire = tokio::spawn(pump).abort_handle();
        let session = Session { client, statements: HashMap::new(), wire };
        session.agree().await?;
        Ok(session)
    }

    /// INVARIANT: a step that returned is durable, and what is read is what was written last: no standby, no lazy commit.
    async fn agree(&self) -> Result<(), StateError> {
        let sql = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',
                   CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
                   THEN set_config('synchronous_commit', 'on', false) END";
        let row = self.client.query_one(sql, &[]).await.map_err(failed)?;
        // MUTATE(P4-standby): a standby, which knows of stops late, is asked
        match get(&row, 0)? {
            false => Ok(()),
            true => Err(StateError::Server("it is a standby or read-only; name the primary".into())),
        }
    }

    /// Whether it can no longer be used.
    pub(super) fn is_gone(&self) -> bool {
        self.client.is_closed()
    }

    /// Cuts the connection without a word, for when nobody answers.
    pub(super) fn cut(self) {
        self.wire.abort();
    }

    /// The rows of one statement.
    pub(super) async fn rows(
        &mut self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StateError> {
        let mut attempt = 1;
        loop {
            let statement = self.prepared(sql).await?;
            match self.client.query(&statement, parameters).await {
                Err(error) if attempt < ATTEMPTS && is_rolled_back(&error) => attempt += 1,
                done => return done.map_err(failed),
            }
        }
    }

    /// How many rows one statement changed.
    pub(super) async fn change(
        &mut self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<u64, StateError> {
        let mut attempt = 1;
        loop {
            let statement = self.prepared(sql).await?;
            match self.client.execute(&statement, parameters).await {
                Err(error) if attempt < ATTEMPTS && is_rolled_back(&error) => attempt += 1,
                done => return done.map_err(failed),
            }
        }
    }

    /// A statement, prepared the first time.
    pub(super) async fn prepared(&mut self, sql: &'static str) -> Result<Statement, StateError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await.map_err(failed)?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// Dials and logs in.
pub(super) async fn connect(
    dial: &dyn Dial,
    settings: &PostgresSettings,
) -> Result<(Client, Wire), StateError> {
    let mut config = Config::new();
    config
        .user(&*settings.user)
        .dbname(&*settings.database)
        .application_name("countersign")
        .options(options(settings))
        // The stream is what it should be already: verified TLS, or one that does not leave this machine.
        .ssl_mode(SslMode::Disable)
        .channel_binding(ChannelBinding::Disable);
    if let Some(password) = &settings.password {
        config.password(password.as_bytes());
    }
    let connecting = async {
        let stream = dial.dial().await.map_err(StateError::Unreachable)?;
        config.connect_raw(stream, NoTls).await.map_err(failed)
    };
    // INVARIANT: a server that takes the connection and says nothing holds nobody up.
    let connected = timeout(settings.patience, connecting).await;
    connected.unwrap_or_else(|_| Err(StateError::Unreachable("it says nothing".into())))
}

/// What every session starts with. INVARIANT: no statement outlives the patience of its caller, and no lock that of others.
fn options(settings: &PostgresSettings) -> String {
    let limit = settings.patience.mul_f32(0.6).as_millis();
    format!(
        "-c search_path={SCHEMA} -c statement_timeout={limit} -c lock_timeout={limit} \
         -c idle_in_transaction_session_timeout={limit} -c default_transaction_isolation=read\\ committed"
    )
}

/// The next message that answers no question.
pub(super) async fn next(wire: &mut Wire) -> Option<Result<AsyncMessage, tokio_postgres::Error>> {
    std::future::poll_fn(|context| wire.poll_message(context)).await
}

/// A column.
pub(super) fn get<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    column: usize,
) -> Result<T, StateError> {
    row.try_get(column).map_err(|error| StateError::Damaged(error.to_string()))
}

/// What the server said, without the values of rows that its details may quote.
pub(super) fn failed(error: tokio_postgres::Error) -> StateError {
    match error.as_db_error() {
        Some(said) => StateError::Server(format!("{} ({})", said.message(), said.code().code())),
        None => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            StateError::Unreachable(format!("{error}{}", cause.unwrap_or_default()))
        }
    }
}

/// Whether nothing of the statement happened, because of what others did at the same time.
fn is_rolled_back(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code)
    })
}
