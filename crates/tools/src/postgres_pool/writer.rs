//! A session that writes: one transaction, under a login of its own, ended with its session.

use std::time::Duration;

use countersign_sql::{Value, engines::postgres::client::Written};
use tokio::time::timeout;

use super::{session::engine_error, tenant::Lease};
use crate::engine::EngineError;

/// One transaction. Dropping it cancels and rolls back.
pub struct WriteSession {
    lease: Lease,
    name: String,
    time: Duration,
}

impl WriteSession {
    pub(super) fn new(lease: Lease, name: String) -> WriteSession {
        WriteSession { lease, name, time: Duration::from_secs(10) }
    }

    /// Begins the transaction. No statement of it runs longer than `time`.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn begin(&mut self, time: Duration) -> Result<(), EngineError> {
        self.time = time;
        let connection = &mut self.lease.session()?.connection;
        connection.begin_write(time, &self.name).await.map_err(engine_error)
    }

    /// Runs one judged statement and keeps at most `rows` of the rows it returns. After an error only [`WriteSession::rollback`] is left.
    ///
    /// # Errors
    /// If the statement fails or runs past its time.
    pub async fn execute(&mut self, sql: &str, params: &[Value], rows: u64) -> Result<Written, EngineError> {
        let until = self.time + Duration::from_millis(50);
        let connection = &mut self.lease.session()?.connection;
        match timeout(until, connection.write(sql, params, rows)).await {
            Ok(written) => written.map_err(engine_error),
            Err(_) => Err(EngineError::Killed),
        }
    }

    /// Makes the changes last. The session ends.
    ///
    /// # Errors
    /// If the server refuses (the changes are undone then) or the connection fails (they may last or not).
    pub async fn commit(mut self) -> Result<(), EngineError> {
        self.lease.session()?.connection.commit().await.map_err(engine_error)
    }

    /// Undoes the changes. The session ends.
    ///
    /// # Errors
    /// If the connection fails; the server then undoes them by itself.
    pub async fn rollback(mut self) -> Result<(), EngineError> {
        self.lease.session()?.connection.rollback().await.map_err(engine_error)
    }
}
