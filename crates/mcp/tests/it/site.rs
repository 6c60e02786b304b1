//! A server on a loopback port with two principals of two tenants, and a plain HTTP client that sends exactly what it is told.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use countersign_core::{
    Principal,
    registry::Resource,
    scopes::{ScopeRule, ScopeRules},
};
use countersign_mcp::{Authenticator, Changes, Config, Listener, Server, serve_http};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    tools::{Seen, tools},
    world::{MemoryLog, Names, pipeline, principal, scoped},
};

pub(crate) const MODERN: &str = "2026-07-28";
pub(crate) const LEGACY: &str = "2025-11-25";

/// A running server.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) changes: Changes,
    pub(crate) shutdown: CancellationToken,
    names: Arc<Names>,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
}

/// The parts of a server, before it serves.
pub(crate) fn server(config: Config) -> (Arc<Server>, Arc<Seen>, Arc<MemoryLog>, Changes, Arc<Names>) {
    let seen = Arc::new(Seen::default());
    let log = Arc::new(MemoryLog { keep: true, ..MemoryLog::default() });
    let hidden = HashMap::from([("globex".to_owned(), vec!["wipe".to_owned(), "region".to_owned()])]);
    let resources = vec![Resource {
        uri: "note://one".into(),
        name: "one".into(),
        description: "a note".into(),
        mime: "text/plain",
        tool: "note".into(),
        also: None,
        tenant: None,
        fixed: BTreeMap::new(),
        variable: None,
    }];
    let known = HashMap::from([
        ("alice".to_owned(), principal("alice", "acme")),
        ("bob".to_owned(), principal("bob", "globex")),
        ("carol".to_owned(), scoped("carol", "acme", &["tools:read", "tools:list"])),
        ("dave".to_owned(), scoped("dave", "globex", &["tools:read", "tools:list"])),
        ("erin".to_owned(), scoped("erin", "acme", &["tools:write", "tools:wipe"])),
    ]);
    let changes = Changes::default();
    let names = Arc::new(Names { known: known.into(), anonymous: None, revoked: Default::default() });
    let pipeline = pipeline(tools(&seen), resources, hidden, &log, Arc::clone(&names) as _);
    let rule = |scope: &str, tools: &[&str]| ScopeRule {
        scope: scope.into(),
        tools: tools.iter().map(|name| (*name).to_owned()).collect(),
        permissions: Vec::new(),
    };
    let rules = vec![rule("tools:write", &["wipe", "note"]), rule("tools:wipe", &["wipe"])];
    pipeline.replace_scopes(ScopeRules::new(rules));
    let server =
        Server::new(config, pipeline, Arc::clone(&names) as Arc<dyn Authenticator>, changes.clone()).unwrap();
    (Arc::new(server), seen, log, changes, names)
}

impl Site {
    pub(crate) async fn start() -> Site {
        Site::with(Config { resource_updates: true, ..Config::default() }).await
    }

    pub(crate) async fn with(config: Config) -> Site {
        Site::behind(config, Listener::Tcp).await
    }

    /// A server whose connections come through the listener that `wrap` makes of a bound port.
    pub(crate) async fn behind(config: Config, wrap: impl FnOnce(TcpListener) -> Listener) -> Site {
        let (server, seen, log, changes, names) = server(config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(serve_http(wrap(listener), server, shutdown.clone()));
        Site { address, seen, log, changes, shutdown, names, served }
    }

    /// Makes `Bearer NAME` the credential of this principal.
    pub(crate) fn admit(&self, name: &str, principal: Principal) {
        self.names.known.lock().unwrap().insert(name.to_owned(), Arc::new(principal));
    }

    /// Makes a credential invalid.
    pub(crate) fn revoke(&self, who: &str) {
        self.names.known.lock().unwrap().remove(who);
    }

    /// Has an operator revoke a principal, whose credential stays valid.
    pub(crate) fn revoke_principal(&self, who: &str) {
        self.names.revoked.lock().unwrap().push(who.to_owned());
    }

    /// The runs of the calls on record, in order.
    pub(crate) fn runs(&self) -> Vec<String> {
        let entries = self.log.entries.lock().unwrap();
        let entries = entries.iter().map(|entry| serde_json::from_str::<Value>(entry).unwrap());
        let calls = entries.filter(|entry| entry["kind"] == "intent");
        calls.map(|call| call["run"].as_str().unwrap().to_owned()).collect()
    }

    /// How many tools have run.
    pub(crate) fn ran(&self) -> u64 {
        self.seen.ran.load(Ordering::SeqCst)
    }

    /// Whether the log holds an entry with this text.
    pub(crate) fn logged(&self, text: &str) -> bool {
        self.log.entries.lock().unwrap().iter().any(|entry| entry.contains(text))
    }

    /// Opens a connection and sends raw bytes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// One request, one answer.
    pub(crate) async fn send(&self, request: &Http) -> Reply {
        self.send_bytes(&request.bytes()).await
    }

    /// As [`Site::send`], for bytes.
    pub(crate) async fn send_bytes(&self, bytes: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        Reply::read(stream).await
    }

    /// Opens a legacy session and returns its id.
    pub(crate) async fn session(&self, who: &str, capabilities: Value) -> String {
        let params = json!({"protocolVersion": LEGACY, "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"}});
        let reply = self.send(&Http::post(who).call(1, "initialize", params)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.headers["mcp-session-id"].clone()
    }
}

/// A request as it goes over the wire.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Http {
    fn new(method: &'static str, who: &str) -> Http {
        let mut http = Http { method, path: "/mcp".into(), headers: Vec::new(), body: String::new() }
            .header("Host", "127.0.0.1")
            .header("Accept", "application/json, text/event-stream")
            .header("Connection", "close");
        if !who.is_empty() {
            http = http.header("Authorization", &format!("Bearer {who}"));
        }
        http
    }

    pub(crate) fn post(who: &str) -> Http {
        Http::new("POST", who).header("Content-Type", "application/json")
    }

    pub(crate) fn get(who: &str) -> Http {
        Http::new("GET", who)
    }

    pub(crate) fn delete(who: &str) -> Http {
        Http::new("DELETE", who)
    }

    /// Sets a header, in place of one that is there.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Http {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Http {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn path(mut self, path: &str) -> Http {
        self.path = path.into();
        self
    }

    pub(crate) fn body(mut self, body: impl Into<String>) -> Http {
        self.body = body.into();
        self
    }

    pub(crate) fn call(self, id: i64, method: &str, params: Value) -> Http {
        self.body(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string())
    }

    /// Within a legacy session.
    pub(crate) fn session(self, id: &str) -> Http {
        self.header("Mcp-Session-Id", id).header("MCP-Protocol-Version", LEGACY)
    }

    /// A stateless request with everything that the revision asks for.
    pub(crate) fn modern(who: &str, id: i64, method: &str, params: Value) -> Http {
        Http::modern_with(who, id, method, params, json!({}))
    }

    pub(crate) fn modern_with(
        who: &str,
        id: i64,
        method: &str,
        mut params: Value,
        capabilities: Value,
    ) -> Http {
        let name =
            params.get("name").or_else(|| params.get("uri")).and_then(Value::as_str).map(str::to_owned);
        let meta = params.as_object_mut().unwrap().entry("_meta").or_insert_with(|| json!({}));
        meta["io.modelcontextprotocol/protocolVersion"] = MODERN.into();
        meta["io.modelcontextprotocol/clientCapabilities"] = capabilities;
        meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "t", "version": "1"});
        let mut http = Http::post(who).header("MCP-Protocol-Version", MODERN).header("Mcp-Method", method);
        if let Some(name) = name {
            http = http.header("Mcp-Name", &name);
        }
        http.call(id, method, params)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let announced = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        if self.method == "POST" && !announced {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        text.into_bytes()
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) async fn read(mut stream: impl AsyncReadExt + Unpin) -> Reply {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        Reply::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Reply {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
        Reply { status, headers, body: if chunked { unchunk(body) } else { body.to_owned() } }
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    /// The messages of an event stream.
    pub(crate) fn events(&self) -> Vec<Value> {
        assert_eq!(self.headers["content-type"], "text/event-stream", "{}", self.body);
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// HTTP status and JSON-RPC code.
    pub(crate) fn refusal(&self) -> (u16, i64) {
        (
            self.status,
            self.json()["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {}", self.body)),
        )
    }

    /// The text of the first content block.
    pub(crate) fn text(&self) -> String {
        self.json()["result"]["content"][0]["text"]
            .as_str()
            .unwrap_or_else(|| panic!("no text: {}", self.body))
            .to_owned()
    }
}

fn unchunk(mut rest: &str) -> String {
    let mut out = String::new();
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 || tail.len() < size {
            break;
        }
        out.push_str(&tail[..size]);
        rest = tail[size..].trim_start_matches("\r\n");
    }
    out
}
