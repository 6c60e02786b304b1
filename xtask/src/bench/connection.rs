//! One connection of the load client: HTTP/1.1 by hand, kept open from call to call.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::question::Question;
use crate::e2e::http::Era;

/// An answer's status, the part of its head after the status line, and its body.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// One connection, kept open.
pub(super) struct Connection {
    stream: TcpStream,
    /// Everything of a request but its length and body.
    head: String,
    buffer: Vec<u8>,
    request: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(address: &str, question: &Question) -> Result<Self> {
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

    pub(super) async fn exchange(&mut self, body: &str) -> Result<Answer> {
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

/// The value of a header, without white space.
pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}
