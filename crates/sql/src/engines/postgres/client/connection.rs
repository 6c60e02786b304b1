//! A connection: its messages, its prepared statements, and whether it may be used again.

use std::{collections::HashMap, sync::Arc};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::{
    IsNull,
    message::{
        backend::{Header, Message},
        frontend::{self, BindError},
    },
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{CancelKey, ClientError, Duplex, errors::ServerError};
use crate::{Refusal, Rule};

/// The longest message that is awaited, bytes, where the result's own limit is not smaller.
const MAX_MESSAGE: usize = 64 << 20;
/// Statements that stay prepared on one connection; when full, all but those in use are closed.
const MAX_STATEMENTS: usize = 128;

/// A column of a result, as the server describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResultColumn {
    /// Its name.
    pub name: String,
    /// The relation whose column it is, unchanged; 0 for an expression.
    pub table: u32,
    /// That column's number; 0 for an expression.
    pub column: i16,
    /// Its type's object identifier.
    pub type_oid: u32,
    /// The type's modifier: a length or precision; -1 for none.
    pub modifier: i32,
}

/// A statement that the server has parsed.
#[derive(Debug)]
pub struct Prepared {
    pub(super) name: String,
    /// The types of its parameters.
    pub params: Vec<u32>,
    /// Its result's columns; none if it has no result.
    pub columns: Option<Vec<ResultColumn>>,
}

/// A session on a server. Dropping it closes the stream, and the server ends what runs.
pub struct Connection {
    pub(super) wire: Wire,
    key: CancelKey,
    statements: HashMap<Box<str>, Arc<Prepared>>,
    /// Names of statements that the server still has and nobody will run: they are closed when the next one is parsed.
    forgotten: Vec<String>,
    named: u64,
    /// What is under way: nothing of it may be mistaken for the next answer.
    pub(super) state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Nothing is under way, outside any transaction.
    Idle,
    /// Only the group that rolls back is unanswered.
    Settling,
    /// In a transaction that writes.
    Writing,
    /// In the middle of an answer: of no use if it stays so.
    Busy,
}

/// Names of the statements that every connection has.
pub(super) const BEGIN_READ: &str = "cs_begin_read";
pub(super) const LIMIT: &str = "cs_limit";
pub(super) const ROLLBACK: &str = "cs_rollback";
pub(super) const RELEASE: &str = "cs_release";

const OWN: &[(&str, &str)] = &[
    // MUTATE(A7-pg-read-only): transactions may write
    (BEGIN_READ, "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY"),
    (
        LIMIT,
        "SELECT pg_catalog.set_config('statement_timeout', $1, true), pg_catalog.set_config('application_name', $2, true)",
    ),
    (ROLLBACK, "ROLLBACK"),
    // MUTATE(A7-pg-advisory): advisory locks outlive their call
    (RELEASE, "SELECT pg_catalog.pg_advisory_unlock_all()"),
];

impl Connection {
    pub(super) fn over(wire: Wire, key: CancelKey) -> Connection {
        let (statements, forgotten) = (HashMap::new(), Vec::new());
        Connection { wire, key, statements, forgotten, named: 0, state: State::Idle }
    }

    /// What cancels this connection's statement from another stream.
    pub fn cancel_key(&self) -> CancelKey {
        self.key
    }

    /// Whether it may serve another call: nothing is half answered.
    pub fn is_reusable(&self) -> bool {
        matches!(self.state, State::Idle | State::Settling)
    }

    /// Whether the server owes an answer. If not, a transaction that is open ends with the stream.
    pub fn is_busy(&self) -> bool {
        self.state == State::Busy
    }

    pub(super) async fn prepare_own(&mut self) -> Result<(), ClientError> {
        self.state = State::Busy;
        for (name, sql) in OWN {
            frontend::parse(name, sql, [], &mut self.wire.outbox)?;
        }
        frontend::sync(&mut self.wire.outbox);
        self.wire.flush().await?;
        for _ in OWN {
            match self.wire.next().await? {
                Message::ParseComplete => {}
                _ => return Err(ClientError::Protocol("no answer to a statement of ours")),
            }
        }
        self.ready(b'I').await?;
        self.state = State::Idle;
        Ok(())
    }

    /// Waits until what the last call left behind is done with. INVARIANT: nothing is sent before the server said that it is outside any
    /// transaction.
    pub async fn settle(&mut self) -> Result<(), ClientError> {
        if self.state != State::Settling {
            return match self.state {
                State::Idle => Ok(()),
                _ => Err(ClientError::Protocol("the connection is in the middle of an answer")),
            };
        }
        self.state = State::Busy;
        loop {
            match self.wire.next().await? {
                Message::ReadyForQuery(ready) if ready.status() == b'I' => break,
                Message::ReadyForQuery(_) => {
                    return Err(ClientError::Protocol("a transaction was not rolled back"));
                }
                Message::ErrorResponse(_) => return Err(ClientError::Protocol("a session was not settled")),
                _ => {}
            }
        }
        self.state = State::Idle;
        Ok(())
    }

    /// Has the server parse a statement, or finds it among those it has. Nothing runs.
    ///
    /// # Errors
    /// If the server refuses it. The connection goes on then.
    pub async fn prepare(&mut self, sql: &str) -> Result<Arc<Prepared>, ClientError> {
        if let Some(prepared) = self.statements.get(sql) {
            return Ok(Arc::clone(prepared));
        }
        let before = match self.state {
            State::Writing => State::Writing,
            _ => {
                self.settle().await?;
                State::Idle
            }
        };
        if sql.contains('\0') {
            return Err(Refusal::new(Rule::NulCharacter, "the statement contains a NUL character").into());
        }
        if self.statements.len() >= MAX_STATEMENTS {
            // INVARIANT: what a call holds, to run it next, stays.
            // MUTATE(A9-pg-in-use): a session that holds many statements lets go of the one that is about to run
            let unused = self.statements.extract_if(|_, one| Arc::strong_count(one) == 1);
            self.forgotten.extend(unused.map(|(_, prepared)| prepared.name.clone()));
        }
        for name in self.forgotten.drain(..) {
            frontend::close(b'S', &name, &mut self.wire.outbox)?;
        }
        self.named = self.named.wrapping_add(1);
        let name = format!("cs_{}", self.named);
        self.state = State::Busy;
        frontend::parse(&name, sql, [], &mut self.wire.outbox)?;
        frontend::describe(b'S', &name, &mut self.wire.outbox)?;
        frontend::sync(&mut self.wire.outbox);
        self.wire.flush().await?;
        let mut prepared = Prepared { name, params: Vec::new(), columns: None };
        let mut failed = None;
        loop {
            match self.wire.next_within(MAX_MESSAGE).await? {
                Some(Message::ParseComplete | Message::CloseComplete | Message::NoData) => {}
                Some(Message::ParameterDescription(body)) => prepared.params = body.parameters().collect()?,
                Some(Message::RowDescription(body)) => {
                    let columns = body.fields().map(|field| {
                        Ok(ResultColumn {
                            name: field.name().to_owned(),
                            table: field.table_oid(),
                            column: field.column_id(),
                            type_oid: field.type_oid(),
                            modifier: field.type_modifier(),
                        })
                    });
                    prepared.columns = Some(columns.collect()?);
                }
                Some(Message::ErrorResponse(body)) => failed = Some(ServerError::read(&body).classify()),
                Some(Message::ReadyForQuery(_)) => break,
                _ => return Err(ClientError::Protocol("an unexpected answer to a statement")),
            }
        }
        self.state = before;
        if let Some(error) = failed {
            return Err(error);
        }
        let prepared = Arc::new(prepared);
        self.statements.insert(sql.into(), Arc::clone(&prepared));
        Ok(prepared)
    }

    /// Waits until the server is done with what a cancelled connection ran, or has closed it. The connection must not be used again.
    pub async fn drain(&mut self) {
        self.state = State::Busy;
        while let Ok(Some(message)) = self.wire.next_within(MAX_MESSAGE).await {
            if matches!(message, Message::ReadyForQuery(_)) {
                return;
            }
        }
    }

    /// Forgets a statement, so that it is parsed anew.
    pub(super) fn forget(&mut self, sql: &str) {
        // MUTATE(A9-pg-forgotten): statements that failed pile up in the server's memory
        self.forgotten.extend(self.statements.remove(sql).map(|prepared| prepared.name.clone()));
    }

    /// Forgets all: the server has discarded them.
    pub(super) fn forget_all(&mut self) {
        self.statements.clear();
        self.forgotten.clear();
    }

    /// Queues a run of a prepared statement, with parameters and results as text.
    pub(super) fn queue(
        &mut self,
        statement: &str,
        params: &[Option<&str>],
        rows: i32,
    ) -> Result<(), ClientError> {
        let bound = frontend::bind(
            "",
            statement,
            [],
            params,
            |param, buffer| match param {
                Some(text) => {
                    buffer.extend_from_slice(text.as_bytes());
                    Ok(IsNull::No)
                }
                None => Ok(IsNull::Yes),
            },
            [],
            &mut self.wire.outbox,
        );
        match bound {
            Ok(()) => Ok(frontend::execute("", rows, &mut self.wire.outbox)?),
            Err(BindError::Serialization(error)) => Err(error.into()),
            Err(BindError::Conversion(_)) => Err(ClientError::Protocol("a parameter cannot be sent")),
        }
    }

    /// Reads until the server is ready, in the given state.
    pub(super) async fn ready(&mut self, status: u8) -> Result<(), ClientError> {
        match self.wire.next().await? {
            Message::ReadyForQuery(ready) if ready.status() == status => Ok(()),
            _ => Err(ClientError::Protocol("it is not ready when it should be")),
        }
    }
}

/// Bytes to messages and back.
pub(super) struct Wire {
    stream: Box<dyn Duplex>,
    inbox: BytesMut,
    pub(super) outbox: BytesMut,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Duplex>) -> Wire {
        Wire { stream, inbox: BytesMut::with_capacity(16 << 10), outbox: BytesMut::with_capacity(1 << 10) }
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) -> Result<(), ClientError> {
        self.stream.write_all_buf(&mut self.outbox).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The next message; an error that the server reports is ours.
    pub(super) async fn next(&mut self) -> Result<Message, ClientError> {
        match self.next_within(MAX_MESSAGE).await? {
            Some(Message::ErrorResponse(body)) => Err(ServerError::read(&body).classify()),
            Some(message) => Ok(message),
            None => Err(ClientError::Protocol("a message is too long")),
        }
    }

    /// The next message that concerns a statement; none if it is longer than `limit` bytes: it is then neither awaited nor skipped.
    pub(super) async fn next_within(&mut self, limit: usize) -> Result<Option<Message>, ClientError> {
        loop {
            if let Some(header) = Header::parse(&self.inbox)? {
                // MUTATE(A9-pg-message): a message of any length is awaited
                if usize::try_from(header.len()).map_or(true, |length| length > limit.min(MAX_MESSAGE)) {
                    return Ok(None);
                }
            }
            match Message::parse(&mut self.inbox)? {
                Some(
                    Message::NoticeResponse(_)
                    | Message::ParameterStatus(_)
                    | Message::NotificationResponse(_),
                ) => {}
                Some(message) => return Ok(Some(message)),
                None => self.receive().await?,
            }
        }
    }

    async fn receive(&mut self) -> Result<(), ClientError> {
        if self.inbox.capacity() - self.inbox.len() < 8 << 10 {
            self.inbox.reserve(64 << 10);
        }
        match self.stream.read_buf(&mut self.inbox).await? {
            0 => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }
}
