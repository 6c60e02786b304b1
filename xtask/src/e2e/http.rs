//! A small HTTP/1.1 client for the checks: one request, one connection, the whole answer. Written by hand so that a check shows exactly
//! what goes over the wire and shares no code with the server.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

/// Which revision of the protocol a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2026-07-28: every request stands alone.
    Stateless,
    /// 2025-11-25: `initialize` first, then a session.
    Session,
}

/// An answer: its status, its session header if any, its body as text.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) session: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    /// The JSON-RPC message in the body, plain or as the last event of a stream.
    pub(crate) fn message(&self) -> Result<Value> {
        let event = self.body.lines().rev().find_map(|line| line.strip_prefix("data:"));
        let text = event.unwrap_or(&self.body);
        serde_json::from_str(text.trim())
            .with_context(|| format!("HTTP {}: no JSON: {}", self.status, self.body))
    }

    /// The `result` of the message.
    pub(crate) fn result(&self) -> Result<Value> {
        let message = self.message()?;
        match message.get("result") {
            Some(result) => Ok(result.clone()),
            None => bail!("HTTP {}: no result: {message}", self.status),
        }
    }
}

/// A client of one server with one credential.
pub(crate) struct Client {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// An API key, if the server asks for one.
    pub(crate) key: Option<String>,
    pub(crate) era: Era,
    session: Option<String>,
    id: u64,
}

impl Client {
    pub(crate) fn new(address: &str, key: Option<&str>, era: Era) -> Self {
        Self { address: address.to_owned(), key: key.map(str::to_owned), era, session: None, id: 0 }
    }

    /// Opens the session of the older era; nothing in the newer one.
    pub(crate) fn open(&mut self) -> Result<()> {
        if self.era == Era::Stateless {
            return Ok(());
        }
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "xtask", "version": "1"}});
        let answer = self.request("initialize", params)?;
        answer.result()?;
        self.session = answer.session;
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let answer = self.post(&note, &[])?;
        if answer.status != 202 {
            bail!("notifications/initialized: HTTP {}, expected 202", answer.status);
        }
        Ok(())
    }

    /// Calls a tool and returns its result, which may be an error result.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Result<Value> {
        self.request("tools/call", json!({"name": tool, "arguments": arguments}))?.result()
    }

    /// Sends one request of the client's era.
    pub(crate) fn request(&mut self, method: &str, mut params: Value) -> Result<Answer> {
        self.id += 1;
        let mut headers = Vec::new();
        if self.era == Era::Stateless {
            headers.push(("Mcp-Method", method.to_owned()));
            if let Some(name) = params.get("name").or_else(|| params.get("uri")).and_then(Value::as_str) {
                headers.push(("Mcp-Name", name.to_owned()));
            }
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "xtask", "version": "1"},
            });
            if let Some(params) = params.as_object_mut() {
                params.insert("_meta".to_owned(), meta);
            }
        }
        let message = json!({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params});
        self.post(&message, &headers)
    }

    fn post(&self, message: &Value, headers: &[(&str, String)]) -> Result<Answer> {
        let body = message.to_string();
        let mut head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        let version = if self.era == Era::Stateless { "2026-07-28" } else { "2025-11-25" };
        let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        if self.era == Era::Stateless || self.session.is_some() {
            line("MCP-Protocol-Version", version);
        }
        if let Some(session) = &self.session {
            line("Mcp-Session-Id", session);
        }
        if let Some(key) = &self.key {
            line("Authorization", &format!("Bearer {key}"));
        }
        for (name, value) in headers {
            line(name, value);
        }
        head.push_str("\r\n");
        send(&self.address, &(head + &body))
    }
}

/// Sends the bytes of a request that asks for the connection to be closed, and reads to the end.
pub(crate) fn send(address: &str, request: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).context("no complete answer")?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no HTTP answer: {text}"))?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .with_context(|| format!("no status: {head}"))?;
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    };
    let chunked = header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let body = if chunked { unchunk(body)? } else { body.to_owned() };
    Ok(Answer { status, session: header("mcp-session-id"), body })
}

fn unchunk(mut rest: &str) -> Result<String> {
    let mut body = String::new();
    while let Some((size, data)) = rest.split_once("\r\n") {
        let size =
            usize::from_str_radix(size.trim(), 16).with_context(|| format!("bad chunk size `{size}`"))?;
        if size == 0 {
            break;
        }
        body.push_str(data.get(..size).context("a chunk ends early")?);
        rest =
            data.get(size..).and_then(|rest| rest.strip_prefix("\r\n")).context("a chunk without its end")?;
    }
    Ok(body)
}
