//! Clients of a served world: HTTP of the modern era, stdio of the legacy one, and what their answers say.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::world::{BINARY, LEGACY, MODERN};

/// A modern-era HTTP client on one connection.
pub struct Client {
    port: u16,
    key: String,
    stream: Option<BufReader<TcpStream>>,
    next: u64,
    /// What it says it can do.
    pub capabilities: Value,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn json(&self) -> Value {
        let text = match self.header("content-type") {
            Some(kind) if kind.starts_with("text/event-stream") => {
                self.body.lines().filter_map(|l| l.strip_prefix("data: ")).next_back().unwrap_or_default()
            }
            _ => &self.body,
        };
        serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Client {
    pub fn new(port: u16, key: &str) -> Client {
        Client { port, key: key.into(), stream: None, next: 1, capabilities: json!({}) }
    }

    /// The result of a tool call; panics on a protocol error.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.modern("tools/call", json!({"name": tool, "arguments": arguments}));
        let message = answer.json();
        assert!(message["result"].is_object(), "{message}");
        message["result"].clone()
    }

    pub fn query(&mut self, sql: &str) -> Value {
        self.call("query_shop", json!({"query": sql}))
    }

    pub fn modern(&mut self, method: &str, params: Value) -> Answer {
        self.try_modern(method, params).unwrap()
    }

    pub fn try_modern(&mut self, method: &str, params: Value) -> std::io::Result<Answer> {
        let id = self.next;
        self.next += 1;
        self.send_modern(id, method, params)?;
        self.receive()
    }

    pub fn send_modern(&mut self, id: u64, method: &str, mut params: Value) -> std::io::Result<()> {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": self.capabilities,
            "io.modelcontextprotocol/clientInfo": {"name": "system-test", "version": "1"}
        });
        let name = params.get("name").or(params.get("uri")).and_then(Value::as_str).map(str::to_owned);
        let mut headers = vec![
            ("MCP-Protocol-Version".to_owned(), MODERN.to_owned()),
            ("Mcp-Method".into(), method.into()),
        ];
        headers.extend(name.map(|name| ("Mcp-Name".to_owned(), name)));
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(&headers, &body.to_string())
    }

    pub fn send(&mut self, headers: &[(String, String)], body: &str) -> std::io::Result<()> {
        let mut text = format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
            self.port,
            self.key,
            body.len()
        );
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(body);
        if self.stream.is_none() {
            let stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(60)))?;
            self.stream = Some(BufReader::new(stream));
        }
        self.stream.as_mut().unwrap().get_mut().write_all(text.as_bytes())
    }

    /// The connection itself, after a request, for whoever reads an open stream.
    pub fn into_stream(self) -> TcpStream {
        self.stream.unwrap().into_inner()
    }

    /// Closes the connection: to a modern server that cancels what runs on it.
    pub fn close(&mut self) {
        self.stream = None;
    }

    pub fn receive(&mut self) -> std::io::Result<Answer> {
        let reader = self.stream.as_mut().unwrap();
        let answer = read_answer(reader);
        if answer.is_err() {
            self.stream = None;
        }
        answer
    }
}

/// Sends the text of a request on a connection of its own.
pub fn exchange(port: u16, text: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    read_answer(&mut BufReader::new(stream)).unwrap()
}

/// A whole request of the modern era, whose connection closes after it.
pub fn request(host: &str, authorization: &str, method: &str, mut params: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "system-test", "version": "1"}
    });
    let name = params.get("name").and_then(Value::as_str);
    let name = name.map_or(String::new(), |name| format!("Mcp-Name: {name}\r\n"));
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let credential = match authorization {
        "" => String::new(),
        some => format!("Authorization: {some}\r\n"),
    };
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\n{credential}Content-Type: application/json\r\nConnection: close\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: {MODERN}\r\nMcp-Method: {method}\r\n{name}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub fn read_answer(reader: &mut impl BufRead) -> std::io::Result<Answer> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let find = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let mut body = Vec::new();
    if let Some(length) = find("content-length") {
        body.resize(length.parse().unwrap(), 0);
        reader.read_exact(&mut body)?;
    } else if find("transfer-encoding").as_deref() == Some("chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk)?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// A legacy-era stdio client.
pub struct StdioClient {
    pub child: Child,
    pub stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    next: u64,
}

impl StdioClient {
    pub fn start(config: &Path) -> StdioClient {
        StdioClient::start_with(config, json!({}))
    }

    /// With the capabilities that it declares.
    pub fn start_with(config: &Path, capabilities: Value) -> StdioClient {
        let mut command = Command::new(BINARY);
        command.args(["stdio", "--config"]).arg(config).stderr(Stdio::null());
        StdioClient::spawn(command, capabilities)
    }

    /// Of a command that is ready but for its pipes.
    pub fn spawn(mut command: Command, capabilities: Value) -> StdioClient {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut client = StdioClient { child, stdin, stdout, next: 1 };
        let hello = json!({"protocolVersion": LEGACY, "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"}});
        client.request("initialize", hello).expect("initialize");
        client.write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).unwrap();
        client
    }

    pub fn request(&mut self, method: &str, params: Value) -> std::io::Result<Value> {
        let id = self.send(method, params)?;
        loop {
            let message = self.read()?;
            if message["id"] == json!(id) {
                return Ok(message);
            }
        }
    }

    pub fn send(&mut self, method: &str, params: Value) -> std::io::Result<u64> {
        let id = self.next;
        self.next += 1;
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        Ok(id)
    }

    pub fn write(&mut self, message: &Value) -> std::io::Result<()> {
        writeln!(self.stdin, "{message}")?;
        self.stdin.flush()
    }

    pub fn read(&mut self) -> std::io::Result<Value> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_str(&line).map_err(std::io::Error::other)
    }

    pub fn query(&mut self, sql: &str) -> std::io::Result<Value> {
        let answer =
            self.request("tools/call", json!({"name": "query_shop", "arguments": {"query": sql}}))?;
        Ok(answer["result"].clone())
    }
}

impl Drop for StdioClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The id of the request that a held call was answered with.
pub fn held(result: &Value) -> String {
    let text = text_of(result);
    assert_eq!(result["isError"], true, "{text}");
    assert!(text.contains("not approved yet") && text.contains("nothing was executed"), "{text}");
    let at = text.find("ap-").unwrap();
    text[at..at + 11].to_owned()
}

/// How many rows a write changed.
pub fn affected(result: &Value) -> u64 {
    assert_ne!(result["isError"], true, "{}", text_of(result));
    result["structuredContent"]["affected"].as_u64().unwrap()
}

/// The text of all content blocks.
pub fn text_of(result: &Value) -> String {
    let blocks = result["content"].as_array().cloned().unwrap_or_default();
    blocks.iter().filter_map(|b| b["text"].as_str()).collect::<Vec<_>>().join("\n")
}

/// The JSON in a text that is marked as retrieved.
pub fn undelimited(text: &str) -> Value {
    let (start, end) =
        (text.find('{').unwrap_or_default(), text.rfind('}').map_or(text.len(), |end| end + 1));
    serde_json::from_str(&text[start..end]).unwrap_or_else(|e| panic!("{e}: {text}"))
}
