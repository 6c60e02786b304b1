//! One worker process and the stream to it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use countersign_sandbox::{Child, Spawn};
use countersign_sql::{Open, Request, Response, wire};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use super::{Inner, READ_AHEAD};
use crate::engine::EngineError;

/// How long a worker may take to start and to open a file; a source may take its own time to connect besides.
const START: Duration = Duration::from_secs(5);

/// A worker process. Dropping it kills the process.
pub(super) struct Worker {
    child: Child,
    stream: UnixStream,
    /// Bytes received and not decoded.
    received: Vec<u8>,
    outgoing: Vec<u8>,
    state: State,
    /// What it has opened.
    open: Arc<Open>,
    pool: Weak<Inner>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// A request is partly written.
    Sending,
    /// An answer is awaited.
    Busy,
}

impl Worker {
    /// Starts a process and has it open the database.
    pub(super) async fn start(pool: &Arc<Inner>) -> Result<Worker, EngineError> {
        let config = &pool.config;
        let mut spawn = Spawn::new(&config.program);
        spawn.args.clone_from(&config.args);
        spawn.env.clone_from(&config.env);
        spawn.limits = config.limits.clone();
        let child = tokio::task::spawn_blocking(|| spawn.start()).await.map_err(broken)?;
        let mut child = child.map_err(|error| broken(with_source(&error)))?;
        let stream = child.take_stream().ok_or_else(|| broken("the child has no stream"))?;
        stream.set_nonblocking(true).map_err(broken)?;
        let stream = UnixStream::from_std(stream).map_err(broken)?;
        pool.pids().insert(child.pid());
        let mut worker = Worker {
            child,
            stream,
            received: Vec::new(),
            outgoing: Vec::new(),
            state: State::Idle,
            open: pool.opens(),
            pool: Arc::downgrade(pool),
        };
        let open = Request::Open(Open::clone(&worker.open));
        let connecting = match &*worker.open {
            Open::Sqlite { .. } | Open::SqliteWriter { .. } | Open::PostgresGuard(_) => Duration::ZERO,
            Open::Odbc(source) => source.connect,
        };
        let ready = timeout(START.saturating_add(connecting), async {
            worker.send(&open).await?;
            worker.receive().await
        });
        match ready.await {
            Ok(Ok(Response::Ready)) => Ok(worker),
            Ok(Ok(Response::Refused(refusal))) => Err(EngineError::Refused(refusal)),
            Ok(Ok(_)) => Err(super::unexpected()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(broken("a worker did not open the database in time")),
        }
    }

    /// Whether this is what it has opened.
    pub(super) fn holds(&self, open: &Arc<Open>) -> bool {
        Arc::ptr_eq(&self.open, open)
    }

    /// Whether it awaits a request.
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle && self.received.is_empty()
    }

    /// Whether the process still listens: an idle one has nothing to say, so bytes are as wrong as an end.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    pub(super) async fn send(&mut self, request: &Request) -> Result<(), EngineError> {
        self.outgoing.clear();
        wire::encode_request(request, &mut self.outgoing).map_err(|_| {
            let message = "the statement and its parameters are larger than a worker takes";
            EngineError::Refused(countersign_sql::Refusal::new(countersign_sql::Rule::TooLong, message))
        })?;
        self.state = State::Sending;
        self.stream.write_all(&self.outgoing).await.map_err(broken)?;
        self.state = State::Busy;
        Ok(())
    }

    /// The next answer. May be dropped and called again: what was received is kept.
    pub(super) async fn receive(&mut self) -> Result<Response, EngineError> {
        loop {
            if let Some(response) = self.decode()? {
                let more = matches!(&response, Response::Rows(rows) if rows.done.is_none());
                if !more {
                    self.state = State::Idle;
                }
                return Ok(response);
            }
            if self.received.len() >= READ_AHEAD {
                return Err(broken("a worker sent more than a frame"));
            }
            if self.stream.read_buf(&mut self.received).await.map_err(broken)? == 0 {
                return Err(broken("a worker ended"));
            }
        }
    }

    /// The first whole answer among what was received.
    fn decode(&mut self) -> Result<Option<Response>, EngineError> {
        let Some((header, rest)) = self.received.split_first_chunk::<{ wire::HEADER }>() else {
            return Ok(None);
        };
        let length = wire::payload_length(*header).map_err(broken)?;
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let response = wire::decode_response(payload).map_err(broken)?;
        self.received.drain(..wire::HEADER + length);
        Ok(Some(response))
    }

    /// Asks the running statement to stop.
    pub(super) async fn interrupt(&mut self) -> Result<(), EngineError> {
        match self.state {
            State::Idle => Ok(()),
            // Half a request cannot be taken back.
            State::Sending => Err(broken("the request was cut")),
            State::Busy => self.stream.write_all(&[wire::INTERRUPT]).await.map_err(broken),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.pids().remove(&self.child.pid());
        }
    }
}

fn broken(cause: impl ToString) -> EngineError {
    EngineError::Broken(cause.to_string())
}

fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
