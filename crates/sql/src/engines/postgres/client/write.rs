//! A transaction that writes: begun, asked one statement after the other, and ended by its caller.

use std::time::Duration;

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::{backend::Message, frontend};

use super::{
    ClientError, Connection, ResultColumn,
    connection::{LIMIT, State},
    errors::ServerError,
    params, values,
};
use crate::{Refusal, Rule, Value};

/// What a statement of a writing transaction did.
#[derive(Debug, Default)]
pub struct Written {
    /// Rows inserted, updated or deleted; rows returned for a query.
    pub affected: u64,
    /// The columns that it returns; none if it returns nothing.
    pub columns: Vec<ResultColumn>,
    /// Their values, row by row; at most as many rows as were asked for.
    pub values: Vec<Value>,
}

impl Connection {
    /// Begins a transaction that may write. Its settings end with it.
    ///
    /// # Errors
    /// If the connection fails, or is in use.
    pub async fn begin_write(&mut self, time: Duration, application_name: &str) -> Result<(), ClientError> {
        self.settle().await?;
        self.state = State::Busy;
        let milliseconds = time.as_millis().clamp(1, i32::MAX as u128).to_string();
        frontend::parse(
            "",
            "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE",
            [],
            &mut self.wire.outbox,
        )?;
        self.queue("", &[], 0)?;
        self.queue(LIMIT, &[Some(&milliseconds), Some(application_name)], 0)?;
        self.group(0).await?;
        self.state = State::Writing;
        Ok(())
    }

    /// Runs one statement inside the transaction. `rows` is how many returned rows are kept; all are counted.
    ///
    /// # Errors
    /// If the statement fails: the transaction can then only be rolled back.
    pub async fn write(&mut self, sql: &str, given: &[Value], rows: u64) -> Result<Written, ClientError> {
        if self.state != State::Writing {
            return Err(ClientError::Protocol("there is no transaction to write in"));
        }
        let prepared = self.prepare(sql).await?;
        let params = params::encode(given, &prepared.params)?;
        let params: Vec<Option<&str>> = params.iter().map(Option::as_deref).collect();
        self.state = State::Busy;
        self.queue(&prepared.name, &params, 0)?;
        let mut written =
            Written { columns: prepared.columns.clone().unwrap_or_default(), ..Written::default() };
        self.fill(&mut written, rows).await?;
        self.state = State::Writing;
        Ok(written)
    }

    /// Makes the changes last.
    ///
    /// # Errors
    /// If the server cannot: then it is unknown to us, not to the server, whether they last only if the connection failed.
    pub async fn commit(&mut self) -> Result<(), ClientError> {
        self.end("COMMIT").await
    }

    /// Undoes the changes.
    ///
    /// # Errors
    /// If the connection fails; the server then rolls back by itself.
    pub async fn rollback(&mut self) -> Result<(), ClientError> {
        self.end("ROLLBACK").await
    }

    async fn end(&mut self, command: &'static str) -> Result<(), ClientError> {
        self.state = State::Busy;
        frontend::parse("", command, [], &mut self.wire.outbox)?;
        self.queue("", &[], 0)?;
        let tag = self.group(0).await?;
        // A transaction that failed is rolled back by `COMMIT`, which says so.
        if tag != command {
            return Err(Refusal::new(Rule::Failed, "the transaction had failed and was rolled back").into());
        }
        self.state = State::Idle;
        Ok(())
    }

    /// Brings the session back to how it began: `DISCARD ALL`. Prepared statements go too.
    ///
    /// # Errors
    /// If the connection fails: it must not be used again.
    pub async fn discard(&mut self) -> Result<(), ClientError> {
        self.settle().await?;
        self.state = State::Busy;
        frontend::parse("", "DISCARD ALL", [], &mut self.wire.outbox)?;
        self.queue("", &[], 0)?;
        self.group(0).await?;
        self.forget_all();
        self.prepare_own().await
    }

    /// Sends what is queued as one group and returns the last command's tag.
    async fn group(&mut self, rows: u64) -> Result<String, ClientError> {
        self.fill(&mut Written::default(), rows).await
    }

    async fn fill(&mut self, written: &mut Written, rows: u64) -> Result<String, ClientError> {
        frontend::sync(&mut self.wire.outbox);
        self.wire.flush().await?;
        let (mut tag, mut kept, mut failed) = (String::new(), 0, None);
        loop {
            match self.wire.next_within(usize::MAX).await? {
                Some(Message::ParseComplete | Message::BindComplete) => {}
                Some(Message::DataRow(row)) if kept < rows && !written.columns.is_empty() => {
                    kept += 1;
                    let mut ranges = row.ranges();
                    let mut columns = written.columns.iter();
                    while let Some(range) = ranges.next()? {
                        let bytes = range.and_then(|range| row.buffer().get(range));
                        let oid = columns.next().map_or(0, |column| column.type_oid);
                        written.values.push(bytes.map_or(Value::Null, |bytes| values::decode(bytes, oid)));
                    }
                }
                Some(Message::DataRow(_)) => {}
                Some(Message::CommandComplete(body)) => {
                    tag = body.tag()?.to_owned();
                    written.affected =
                        tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
                }
                Some(Message::ErrorResponse(body)) => failed = Some(ServerError::read(&body).classify()),
                Some(Message::ReadyForQuery(_)) => break,
                _ => return Err(ClientError::Protocol("an unexpected message in an answer")),
            }
        }
        match failed {
            Some(error) => {
                // In a failed transaction until it is rolled back.
                self.state = State::Writing;
                Err(error)
            }
            None => Ok(tag),
        }
    }
}
