//! What the callers ask: one message with its changing places left open, so that a call costs the client next to nothing.

use serde_json::{Value, json};

use crate::e2e::http::Era;

/// Where the id goes in a template.
pub(super) const ID: &str = "\u{1}ID\u{1}";
/// Where the echoed text goes in a template.
pub(super) const TEXT: &str = "\u{1}TEXT\u{1}";

/// What every call asks: the same but for its id and the marks that must come back.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) era: Era,
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

    /// The messages of this question, written out but for what changes from call to call.
    pub(super) fn forms(&self) -> Vec<Form> {
        match &self.arguments {
            Arguments::Echo => vec![self.form(&json!({"text": TEXT}), None)],
            Arguments::Listed(list) => list
                .iter()
                .map(|(arguments, expected)| self.form(arguments, Some(expected.clone())))
                .collect(),
        }
    }

    fn form(&self, arguments: &Value, expected: Option<String>) -> Form {
        let mut params = json!({"name": self.tool, "arguments": arguments});
        if let (Era::Stateless, Some(params)) = (self.era, params.as_object_mut()) {
            params.insert("_meta".to_owned(), meta());
        }
        let message =
            json!({"jsonrpc": "2.0", "id": ID, "method": "tools/call", "params": params}).to_string();
        // Both marks stand in the message as JSON strings: the id loses its quotes, the text keeps them.
        let (id, text) = (json!(ID).to_string(), json!(TEXT).to_string());
        let (before, rest) = message.split_once(&id).unwrap_or((&message, ""));
        let (middle, after) = match rest.split_once(&text) {
            Some((middle, after)) => (format!("{middle}\""), format!("\"{after}")),
            None => (rest.to_owned(), String::new()),
        };
        Form { before: before.to_owned(), middle, after, expected }
    }

    pub(super) fn head(&self, address: &str, session: Option<&str>) -> String {
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

/// A message with a place for the id and, when nothing is `expected` by itself, one for a text that no other call has.
pub(super) struct Form {
    before: String,
    middle: String,
    after: String,
    expected: Option<String>,
}

impl Form {
    /// The message of a call, and what its answer must hold.
    pub(super) fn fill(&self, id: u64) -> (String, String) {
        match &self.expected {
            Some(expected) => (format!("{}{id}{}{}", self.before, self.middle, self.after), expected.clone()),
            None => {
                let mark = format!("mark-{id:09}-end");
                (format!("{}{id}{}{mark}{}", self.before, self.middle, self.after), mark)
            }
        }
    }
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    })
}
