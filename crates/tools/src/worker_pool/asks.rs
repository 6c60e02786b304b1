//! What an engine on workers does of [`Engine`](crate::Engine), as requests to a worker and answers that are checked.

use std::time::Duration;

use countersign_sql::{
    Facts, Rehearsal, Request, Response, Rows, Run, TableDetail, TableEstimate, TableInfo,
    engines::postgres::guard::Syntax,
};
use tokio::time::Instant;

use super::{Lease, WorkerPool, unexpected};
use crate::engine::{EngineError, EngineRows, Purpose, Rehearsed};

impl WorkerPool {
    pub(crate) async fn prepare(&self, purpose: Purpose, sql: &str) -> Result<Facts, EngineError> {
        let request = Request::Prepare { sql: sql.to_owned(), write: purpose == Purpose::Write };
        match self.ask(&request).await? {
            Response::Facts(facts) => Ok(facts),
            _ => Err(unexpected()),
        }
    }

    /// Judges the text of a PostgreSQL statement, on workers that were opened for that.
    pub(crate) async fn judge(&self, purpose: Purpose, sql: &str) -> Result<Syntax, EngineError> {
        let request = Request::Prepare { sql: sql.to_owned(), write: purpose == Purpose::Write };
        match self.ask(&request).await? {
            Response::Syntax(syntax) => Ok(*syntax),
            _ => Err(unexpected()),
        }
    }

    pub(crate) async fn run(&self, run: Run) -> Result<EngineRows, EngineError> {
        let limits = run.limits;
        let until = Instant::now() + limits.time;
        let mut lease = self.lease().await?;
        // What the queue took is not the statement's; but it must not run past its caller's time either.
        let time = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let request = Request::Run(Run { limits: countersign_sql::RunLimits { time, ..limits }, ..run });
        let mut response = lease.exchange(&request, until).await?;
        let mut rows = EngineRows::default();
        let (mut count, mut bytes) = (0u64, 0u64);
        loop {
            let Response::Rows(batch) = response else { return Err(lease.distrust()) };
            if !batch.columns.is_empty() && rows.columns.is_empty() {
                rows.columns = batch.columns;
            }
            for row in batch.rows {
                count = count.saturating_add(1);
                bytes = row.iter().map(countersign_sql::Value::size).fold(bytes, u64::saturating_add);
                if row.len() != rows.columns.len() || count > limits.rows || bytes > limits.bytes {
                    return Err(lease.distrust());
                }
                rows.values.extend(row);
            }
            if let Some(done) = batch.done {
                let masked = done.masked.iter().map(|position| usize::try_from(*position));
                rows.masked = masked.collect::<Result<_, _>>().map_err(|_| lease.distrust())?;
                rows.truncated = done.truncated;
                rows.skipped = done.skipped;
                return Ok(rows);
            }
            response = lease.next(until).await?;
        }
    }

    pub(crate) async fn rehearse(&self, run: Run) -> Result<Rehearsed, EngineError> {
        let until = Instant::now() + run.limits.time;
        let mut lease = self.lease().await?;
        let rehearsal = match lease.exchange(&Request::Rehearse(run), until).await? {
            Response::Rehearsal(rehearsal) => rehearsal,
            _ => return Err(lease.distrust()),
        };
        let Rehearsal { affected, before, after, warnings } = rehearsal;
        let whole = |rows: Option<Rows>| rows.map(engine_rows).transpose();
        match (whole(before), whole(after)) {
            (Ok(before), Ok(after)) => Ok(Rehearsed { affected, before, after, warnings }),
            _ => Err(lease.distrust()),
        }
    }

    pub(crate) async fn write(&self, run: Run, expected: Option<u64>) -> Result<u64, EngineError> {
        let until = Instant::now() + run.limits.time;
        let mut lease = self.lease().await?;
        match lease.exchange(&Request::Write { run, expected }, until).await? {
            // INVARIANT: a worker that says it changed other rows than it was told is not believed.
            Response::Written { affected } if expected.is_none_or(|expected| expected == affected) => {
                Ok(affected)
            }
            _ => Err(lease.distrust()),
        }
    }

    pub(crate) async fn tables(&self) -> Result<Vec<TableInfo>, EngineError> {
        match self.ask(&Request::Tables).await? {
            Response::Tables(tables) => Ok(tables),
            _ => Err(unexpected()),
        }
    }

    pub(crate) async fn describe(&self, table: &str) -> Result<TableDetail, EngineError> {
        match self.ask(&Request::Describe { table: table.to_owned() }).await? {
            Response::Table(table) => Ok(table),
            _ => Err(unexpected()),
        }
    }

    pub(crate) async fn estimate(&self, table: &str) -> Result<TableEstimate, EngineError> {
        match self.ask(&Request::Estimate { table: table.to_owned() }).await? {
            Response::Estimate(estimate) => Ok(estimate),
            _ => Err(unexpected()),
        }
    }
}

/// A sample as a worker gave it, if its rows are as wide as its columns.
fn engine_rows(rows: Rows) -> Result<EngineRows, EngineError> {
    let width = rows.columns.len();
    if rows.rows.iter().any(|row| row.len() != width) {
        return Err(unexpected());
    }
    let values = rows.rows.into_iter().flatten().collect();
    Ok(EngineRows { columns: rows.columns, values, ..EngineRows::default() })
}

impl Lease {
    /// The worker answered what was not asked.
    fn distrust(&mut self) -> EngineError {
        self.kill();
        unexpected()
    }
}
