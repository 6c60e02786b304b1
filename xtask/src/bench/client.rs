//! The load client: many callers on one thread, each with one connection kept open, each with one call under way.
//!
//! HTTP is written by hand over the socket, so that the client's own cost is small and known. Every answer is checked: its status, that
//! it carries this call's id, and that it carries this call's text; a server that mixes answers up does not pass.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::e2e::http::Era;

/// Failures that are kept to be shown; all are counted.
const SHOWN: usize = 5;
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// What every call asks: the same but for its id and the marks that must come back.
#[derive(Clone)]
pub(super) struct Question {
    era: Era,
    key: Option<String>,
    tool: String,
    arguments: Arguments,
}

#[derive(Clone)]
enum Arguments {
    /// `{"text": "m-ID"}`; the text must come back.
    Echo,
    /// One of a list of arguments, with what its answer must hold.
    Listed(Vec<(Value, String)>),
}

impl Question {
    pub(super) fn echo(era: Era, key: Option<&str>) -> Self {
        Self { era, key: key.map(str::to_owned), tool: "bench_echo".to_owned(), arguments: Arguments::Echo }
    }

    pub(super) fn listed(era: Era, key: Option<&str>, tool: &str, list: Vec<(Value, String)>) -> Self {
        Self { era, key: key.map(str::to_owned), tool: tool.to_owned(), arguments: Arguments::Listed(list) }
    }

    /// The arguments of a call, and what its answer must hold.
    fn call(&self, id: u64) -> (Value, String) {
        match &self.arguments {
            Arguments::Echo => (json!({"text": mark(id)}), mark(id)),
            Arguments::Listed(list) => {
                let index = usize::try_from(id).unwrap_or_default() % list.len().max(1);
                list.get(index).cloned().unwrap_or_else(|| (json!({}), String::new()))
            }
        }
    }

    fn message(&self, id: u64) -> (String, String) {
        let (arguments, expected) = self.call(id);
        let mut params = json!({"name": self.tool, "arguments": arguments});
        if let (Era::Stateless, Some(params)) = (self.era, params.as_object_mut()) {
            params.insert("_meta".to_owned(), meta());
        }
        (json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string(), expected)
    }

    fn head(&self, address: &str, session: Option<&str>) -> String {
        let mut head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        );
        if let Some(key) = &self.key {
            head.push_str(&format!("Authorization: Bearer {key}\r\n"));
        }
        match self.era {
            Era::Stateless => head.push_str(&format!(
                "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {}\r\n",
                self.tool
            )),
            Era::Session => head.push_str("MCP-Protocol-Version: 2025-11-25\r\n"),
        }
        if let Some(session) = session {
            head.push_str(&format!("Mcp-Session-Id: {session}\r\n"));
        }
        head
    }
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    })
}

/// A text that no other call has.
fn mark(id: u64) -> String {
    format!("mark-{id:09}-end")
}

/// Which server is asked what, by how many callers at once.
pub(super) struct Load<'a> {
    pub(super) address: &'a str,
    pub(super) question: &'a Question,
    pub(super) callers: usize,
}

/// What a run gave.
#[derive(Default)]
pub(super) struct Outcome {
    /// The latency of every right answer.
    pub(super) nanoseconds: Vec<u64>,
    pub(super) elapsed: Duration,
    pub(super) errors: u64,
    /// Some of the failures, in words.
    pub(super) failures: Vec<String>,
}

/// Runs the load for the given time.
pub(super) fn run(load: &Load<'_>, time: Duration) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut connections = Vec::new();
        for _ in 0..load.callers {
            connections.push(Connection::open(load.address, load.question).await?);
        }
        let start = Instant::now();
        let callers: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(caller, connection)| {
                tokio::task::spawn_local(call_until(connection, load.question.clone(), caller, start + time))
            })
            .collect();
        let mut total = Outcome::default();
        for caller in callers {
            let outcome = caller.await?;
            total.nanoseconds.extend(outcome.nanoseconds);
            total.errors += outcome.errors;
            total.failures.extend(outcome.failures);
        }
        total.failures.truncate(SHOWN);
        total.elapsed = start.elapsed();
        Ok(total)
    })
}

async fn call_until(mut connection: Connection, question: Question, caller: usize, end: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    // Callers count in ranges of their own, so that ids never meet.
    let mut id = (caller as u64 + 1) * 1_000_000;
    while Instant::now() < end {
        id += 1;
        let (body, expected) = question.message(id);
        let start = Instant::now();
        let answer = tokio::time::timeout(CALL_LIMIT, connection.exchange(&body)).await;
        let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let checked = match answer {
            Ok(Ok(answer)) => check(&answer, id, &expected),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(anyhow::anyhow!("no answer within {} s", CALL_LIMIT.as_secs())),
        };
        match checked {
            Ok(()) => outcome.nanoseconds.push(took),
            Err(error) => {
                outcome.errors += 1;
                if outcome.failures.len() < SHOWN {
                    outcome.failures.push(format!("{error:#}"));
                }
                // The connection may be in the middle of something: this caller is done.
                break;
            }
        }
    }
    outcome
}

/// An answer's status, the part of its head after the status line, and its body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

fn check(answer: &Answer, id: u64, expected: &str) -> Result<()> {
    let body = std::str::from_utf8(&answer.body).context("not UTF-8")?;
    let shown = || body.chars().take(300).collect::<String>();
    ensure!(answer.status == 200, "HTTP {}: {}", answer.status, shown());
    let marker = format!("\"id\":{id}");
    let own = body
        .match_indices(&marker)
        .any(|(at, _)| body.as_bytes().get(at + marker.len()).is_none_or(|next| !next.is_ascii_digit()));
    ensure!(own, "not the answer to call {id}: {}", shown());
    ensure!(body.contains(expected), "`{expected}` is missing: {}", shown());
    ensure!(!body.contains("\"isError\":true") && !body.contains("\"error\":"), "an error: {}", shown());
    Ok(())
}

/// One connection, kept open.
struct Connection {
    stream: TcpStream,
    /// Everything of a request but its length and body.
    head: String,
    buffer: Vec<u8>,
    request: Vec<u8>,
}

impl Connection {
    async fn open(address: &str, question: &Question) -> Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let mut connection = Self {
            stream,
            head: question.head(address, None),
            buffer: Vec::with_capacity(8192),
            request: Vec::new(),
        };
        if question.era == Era::Session {
            connection.start_session(address, question).await?;
        }
        Ok(connection)
    }

    async fn start_session(&mut self, address: &str, question: &Question) -> Result<()> {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}});
        let message =
            json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).to_string();
        let answer = self.exchange(&message).await?;
        ensure!(
            answer.status == 200,
            "initialize: HTTP {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        let session = header(&answer.head, "mcp-session-id").map(str::to_owned);
        self.head = question.head(address, session.as_deref());
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
        let answer = self.exchange(&note).await?;
        ensure!(answer.status < 300, "notifications/initialized: HTTP {}", answer.status);
        Ok(())
    }

    async fn exchange(&mut self, body: &str) -> Result<Answer> {
        self.request.clear();
        self.request.extend_from_slice(self.head.as_bytes());
        self.request.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        self.request.extend_from_slice(body.as_bytes());
        self.stream.write_all(&self.request).await?;
        self.buffer.clear();
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(self.buffer.get(..end).unwrap_or_default()).into_owned();
        let (status_line, head) = head.split_once("\r\n").unwrap_or((&head, ""));
        let status =
            status_line.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no HTTP status")?;
        let start = end + 4;
        let body = match header(head, "content-length").and_then(|length| length.parse::<usize>().ok()) {
            Some(length) => {
                while self.buffer.len() < start + length {
                    self.more().await?;
                }
                self.buffer.get(start..start + length).unwrap_or_default().to_vec()
            }
            None if header(head, "transfer-encoding") == Some("chunked") => self.chunked(start).await?,
            None => Vec::new(),
        };
        Ok(Answer { status, head: head.to_owned(), body })
    }

    async fn chunked(&mut self, mut at: usize) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(length) = find(self.buffer.get(at..).unwrap_or_default(), b"\r\n") {
                    break length;
                }
                self.more().await?;
            };
            let size = std::str::from_utf8(self.buffer.get(at..at + line).unwrap_or_default())?;
            let size = usize::from_str_radix(size.trim(), 16).context("bad chunk size")?;
            at += line + 2;
            while self.buffer.len() < at + size + 2 {
                self.more().await?;
            }
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(self.buffer.get(at..at + size).unwrap_or_default());
            at += size + 2;
        }
    }

    async fn more(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// A real answer, with the places of id and text left open, for the bare server to fill in.
pub(super) struct Template {
    /// Header lines that tell what the body is.
    pub(super) head: Vec<(String, String)>,
    /// The body in three kinds of parts: text, `{ID}` and `{TEXT}`.
    pub(super) body: String,
}

impl Template {
    /// As the bare server reads it.
    pub(super) fn to_json(&self) -> String {
        json!({"head": self.head, "body": self.body}).to_string()
    }
}

/// Where the id goes in a template.
pub(super) const ID: &str = "\u{1}ID\u{1}";
/// Where the echoed text goes in a template.
pub(super) const TEXT: &str = "\u{1}TEXT\u{1}";

/// Asks once and makes a template of the answer.
pub(super) fn capture(address: &str, question: &Question) -> Result<Template> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let id = 987_654_321;
    let (message, expected) = question.message(id);
    let answer =
        runtime.block_on(async { Connection::open(address, question).await?.exchange(&message).await })?;
    check(&answer, id, &expected)?;
    let body = String::from_utf8(answer.body)?
        .replace(&expected, TEXT)
        .replace(&format!("\"id\":{id}"), &format!("\"id\":{ID}"));
    let kept = ["content-type", "cache-control"];
    let head = kept
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), header(&answer.head, name)?.to_owned())))
        .collect();
    Ok(Template { head, body })
}

/// Opens sessions of the older era, calls once in each, and leaves them without a word.
pub(super) fn abandon(address: &str, key: Option<&str>, count: usize) -> Result<()> {
    let question = Question::listed(
        Era::Session,
        key,
        "list_tables",
        vec![(json!({"database": "shop"}), "customers".to_owned())],
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for id in 0..count as u64 {
            let mut connection = Connection::open(address, &question).await?;
            let (message, expected) = question.message(id);
            check(&connection.exchange(&message).await?, id, &expected)?;
        }
        Ok(())
    })
}
