//! A read: one write of two groups, one answer, cut at its limits.

use std::time::Duration;

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;

use super::{
    ClientError, Connection, Prepared,
    connection::{BEGIN_READ, LIMIT, RELEASE, ROLLBACK, State},
    errors::ServerError,
    params, values,
};
use crate::{Refusal, RowsDigest, Rule, Truncated, Value};

/// Where a read is cut, and what the server's own log calls it.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits<'a> {
    /// Rows at the head of the result that are passed over.
    pub skip: u64,
    /// Rows at most, after those.
    pub rows: u64,
    /// Bytes of values at most.
    pub bytes: u64,
    /// The server stops the statement after this, in milliseconds' steps.
    pub time: Duration,
    /// Shown in `pg_stat_activity` and the server's log.
    pub application_name: &'a str,
}

/// A whole result.
#[derive(Debug)]
pub struct ReadOutcome {
    /// All values, row by row.
    pub values: Vec<Value>,
    /// Why rows are missing.
    pub truncated: Option<Truncated>,
    /// Of the rows that were passed over.
    pub skipped: RowsDigest,
}

/// What may still come after a result was cut at its limit on bytes, before its connection is given up rather than drained.
const DRAINED: usize = 256 << 10;

/// Where in the answer we are: each command of the group completes in turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Begin,
    Limit,
    Rows,
    Ready,
}

impl Connection {
    /// Runs a prepared statement in a read-only transaction of its own, which is rolled back. `masked` positions stay void.
    ///
    /// On any error but a refusal, and whenever the future is dropped, the connection is not [reusable](Connection::is_reusable).
    ///
    /// # Errors
    /// If the statement is refused, fails, or has no result; if the connection fails.
    pub async fn read(
        &mut self,
        sql: &str,
        prepared: &Prepared,
        given: &[Value],
        masked: &[bool],
        limits: ReadLimits<'_>,
    ) -> Result<ReadOutcome, ClientError> {
        let Some(columns) = &prepared.columns else {
            // MUTATE(A4-pg-no-result): statements without a result run: SET, PREPARE, LISTEN, DISCARD
            return Err(Refusal::new(Rule::NotAQuery, "a statement without a result is not a query").into());
        };
        let types: Vec<u32> = columns.iter().map(|column| column.type_oid).collect();
        let params = params::encode(given, &prepared.params)?;
        let params: Vec<Option<&str>> = params.iter().map(Option::as_deref).collect();
        self.settle().await?;
        self.state = State::Busy;
        let milliseconds = limits.time.as_millis().clamp(1, i32::MAX as u128).to_string();
        // One more than is returned, to know whether there are more.
        let rows = limits.skip.saturating_add(limits.rows).saturating_add(1);
        let rows = i32::try_from(rows).unwrap_or(i32::MAX);
        // INVARIANT: one group: whatever fails in it, the server skips what follows up to the `Sync`.
        self.queue(BEGIN_READ, &[], 0)?;
        self.queue(LIMIT, &[Some(&milliseconds), Some(limits.application_name)], 0)?;
        self.queue(&prepared.name, &params, rows)?;
        frontend::sync(&mut self.wire.outbox);
        self.queue(ROLLBACK, &[], 0)?;
        self.queue(RELEASE, &[], 0)?;
        frontend::sync(&mut self.wire.outbox);
        self.wire.flush().await?;
        let outcome = self.answer(&types, masked, limits).await;
        if outcome.is_err() {
            // What was planned for another schema fails until it is parsed anew.
            self.forget(sql);
        }
        outcome
    }

    async fn answer(
        &mut self,
        types: &[u32],
        masked: &[bool],
        limits: ReadLimits<'_>,
    ) -> Result<ReadOutcome, ClientError> {
        let mut rows = Rows { types, masked, ..Rows::default() };
        let (mut step, mut bound, mut drained) = (Step::Begin, false, 0);
        let limit = usize::try_from(limits.bytes).unwrap_or(usize::MAX).saturating_add(64 << 10);
        loop {
            let Some(message) = self.wire.next_within(limit).await? else {
                // A single row beyond the limit is not awaited; the connection is given up with it.
                return Ok(ReadOutcome { truncated: Some(Truncated::Bytes), ..rows.outcome() });
            };
            match message {
                Message::DataRow(row) if step == Step::Rows => {
                    if rows.truncated.is_none() {
                        rows.take(&row, limits)?;
                    } else {
                        drained += row.buffer().len();
                        if drained > DRAINED {
                            return Ok(rows.outcome());
                        }
                    }
                }
                Message::DataRow(_) if step == Step::Limit => {}
                Message::BindComplete => bound = step == Step::Rows,
                Message::CommandComplete(body) => {
                    step = match (step, body.tag().unwrap_or_default()) {
                        (Step::Begin, "BEGIN") => Step::Limit,
                        (Step::Limit, "SELECT 1") => Step::Rows,
                        (Step::Rows, _) => Step::Ready,
                        _ => return Err(ClientError::Protocol("a command of ours did something else")),
                    };
                }
                Message::PortalSuspended | Message::EmptyQueryResponse if step == Step::Rows => {
                    step = Step::Ready
                }
                Message::ReadyForQuery(ready) if step == Step::Ready && ready.status() == b'T' => {
                    self.state = State::Settling;
                    return Ok(rows.outcome());
                }
                Message::ErrorResponse(body) => {
                    let error = ServerError::read(&body);
                    let parameter = error.parameter.filter(|_| step == Step::Rows && !bound);
                    let error = match (error.classify(), parameter.and_then(|number| number.checked_sub(1))) {
                        (ClientError::Refused(_), Some(position)) => {
                            params::unfit(position, "must be in the form of its type").into()
                        }
                        (error, _) => error,
                    };
                    if matches!(error, ClientError::Refused(_)) {
                        self.skip_to_ready().await?;
                    }
                    return Err(error);
                }
                _ => return Err(ClientError::Protocol("an unexpected message in an answer")),
            }
        }
    }

    /// After an error the server says that it is ready, and goes on with the group that rolls back.
    async fn skip_to_ready(&mut self) -> Result<(), ClientError> {
        match self.wire.next().await? {
            Message::ReadyForQuery(_) => {
                self.state = State::Settling;
                Ok(())
            }
            _ => Err(ClientError::Protocol("it is not ready after an error")),
        }
    }
}

#[derive(Default)]
struct Rows<'a> {
    types: &'a [u32],
    masked: &'a [bool],
    values: Vec<Value>,
    passed: u64,
    skipped: RowsDigest,
    count: u64,
    bytes: u64,
    truncated: Option<Truncated>,
}

impl Rows<'_> {
    fn outcome(self) -> ReadOutcome {
        ReadOutcome { values: self.values, truncated: self.truncated, skipped: self.skipped }
    }

    fn take(&mut self, row: &DataRowBody, limits: ReadLimits<'_>) -> Result<(), ClientError> {
        let skip = self.passed < limits.skip;
        if !skip && self.count >= limits.rows {
            self.truncated = Some(Truncated::Rows);
            return Ok(());
        }
        let start = self.values.len();
        let buffer = row.buffer();
        let mut ranges = row.ranges();
        while let Some(range) = ranges.next()? {
            let position = self.values.len() - start;
            let Some(&type_oid) = self.types.get(position) else {
                return Err(ClientError::Protocol("a row has more values than columns"));
            };
            let hidden = self.masked.get(position).copied().unwrap_or(false);
            let value = match range.and_then(|range| buffer.get(range)) {
                // INVARIANT: a masked value is not even copied.
                Some(bytes) if !hidden => values::decode(bytes, type_oid),
                _ => Value::Null,
            };
            let size = if skip { 0 } else { value.size() };
            self.bytes = self.bytes.saturating_add(size);
            self.values.push(value);
        }
        if self.values.len() - start != self.types.len() {
            return Err(ClientError::Protocol("a row has fewer values than columns"));
        }
        if skip {
            self.skipped = self.skipped.then(self.values.get(start..).unwrap_or_default());
            self.passed += 1;
            self.values.truncate(start);
            return Ok(());
        }
        if self.bytes > limits.bytes {
            self.values.truncate(start);
            self.truncated = Some(Truncated::Bytes);
            return Ok(());
        }
        self.count += 1;
        Ok(())
    }
}
