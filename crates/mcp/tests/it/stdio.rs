//! The stdio transport, over pipes.

use std::{sync::Arc, time::Duration};

use countersign_mcp::{Config, serve_stdio};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines},
    task::JoinHandle,
};

use crate::{
    site::{LEGACY, MODERN, server},
    tools::Seen,
    world::{MemoryLog, principal},
};

struct Process {
    input: DuplexStream,
    output: Lines<BufReader<DuplexStream>>,
    seen: Arc<Seen>,
    log: Arc<MemoryLog>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Process {
    fn start(config: Config) -> Process {
        let (server, seen, log, ..) = server(config);
        let (input, reader) = tokio::io::duplex(1 << 16);
        let (writer, output) = tokio::io::duplex(1 << 16);
        let served = tokio::spawn(serve_stdio(reader, writer, server, principal("alice", "acme")));
        Process { input, output: BufReader::new(output).lines(), seen, log, served }
    }

    async fn initialized() -> Process {
        let mut process = Process::start(Config::default());
        let params = json!({"protocolVersion": LEGACY, "capabilities": {"elicitation": {}}, "clientInfo": {"name": "t", "version": "1"}});
        process.request(0, "initialize", params).await;
        assert_eq!(process.message().await["result"]["protocolVersion"], LEGACY);
        process.line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        process
    }

    async fn line(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn request(&mut self, id: i64, method: &str, params: Value) {
        self.line(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()).await;
    }

    async fn modern(&mut self, id: i64, method: &str, mut params: Value) {
        params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}});
        self.request(id, method, params).await;
    }

    /// The next line; every line is one JSON-RPC message and nothing else.
    async fn message(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(5), self.output.next_line())
            .await
            .expect("silence")
            .unwrap()
            .expect("end");
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(message["jsonrpc"], "2.0");
        message
    }
}

#[tokio::test]
async fn item_12_output_is_one_message_a_line_and_the_process_ends_with_its_input() {
    let mut process = Process::initialized().await;
    process.request(1, "tools/call", json!({"name": "note"})).await;
    assert_eq!(process.message().await["result"]["content"][0]["text"].as_str().unwrap().lines().count(), 2);
    process.line("").await;
    process.line("nonsense").await;
    assert_eq!(process.message().await["error"]["code"], -32700);
    process.line(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#).await;
    assert_eq!(process.message().await["error"]["code"], -32600);
    // What runs may finish.
    process.request(2, "tools/call", json!({"name": "slow"})).await;
    process.seen.started.notified().await;
    drop(process.input);
    let last = process.output.next_line().await.unwrap().unwrap();
    assert!(last.contains("slept"), "{last}");
    assert_eq!(process.output.next_line().await.unwrap(), None);
    process.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn calls_run_at_the_same_time_and_are_cancelled_by_id() {
    let mut process = Process::initialized().await;
    process.request(1, "tools/call", json!({"name": "slow"})).await;
    process.seen.started.notified().await;
    process.request(2, "tools/call", json!({"name": "echo", "arguments": {"text": "first"}})).await;
    assert_eq!(process.message().await["id"], 2);
    process.request(1, "ping", json!({})).await;
    assert_eq!(process.message().await["id"], 1);
    process.line(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
    tokio::time::timeout(Duration::from_millis(200), process.seen.stopped.notified())
        .await
        .expect("it went on");
    process.modern(3, "tools/call", json!({"name": "slow"})).await;
    process.seen.started.notified().await;
    process.line(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#).await;
    tokio::time::timeout(Duration::from_millis(200), process.seen.stopped.notified())
        .await
        .expect("it went on");
    // Nothing more is sent for a request that was cancelled.
    process.request(4, "ping", json!({})).await;
    assert_eq!(process.message().await["id"], 4);
}

#[tokio::test]
async fn both_eras_share_a_process_and_neither_leaks_into_the_other() {
    let mut process = Process::start(Config::default());
    process.request(1, "tools/list", json!({})).await;
    assert_eq!(process.message().await["error"]["code"], -32600, "nothing without a handshake");
    process.request(2, "server/discover", json!({})).await;
    assert_eq!(process.message().await["error"]["code"], -32602);
    process.modern(3, "server/discover", json!({})).await;
    assert_eq!(process.message().await["result"]["supportedVersions"][0], MODERN);
    process.modern(4, "ping", json!({})).await;
    assert_eq!(process.message().await["error"]["code"], -32601);
    process.request(5, "tools/call", json!({"name": "echo", "_meta": {"io.modelcontextprotocol/protocolVersion": "v9", "io.modelcontextprotocol/clientCapabilities": {}}})).await;
    assert_eq!(process.message().await["error"]["code"], -32022);
    process.modern(6, "tools/call", json!({"name": "ask"})).await;
    assert_eq!(process.message().await["result"]["resultType"], "input_required");
    let params =
        json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    process.request(7, "initialize", params.clone()).await;
    assert!(process.message().await["result"].get("resultType").is_none());
    process.request(8, "initialize", params).await;
    assert_eq!(process.message().await["error"]["code"], -32600, "initialized twice");
}

#[tokio::test]
async fn a_question_travels_both_ways_over_the_pipe() {
    let mut process = Process::initialized().await;
    process.request(1, "tools/call", json!({"name": "ask"})).await;
    let question = process.message().await;
    assert_eq!(question["method"], "elicitation/create");
    let result = json!({"action": "accept", "content": {"name": "Ada"}});
    process.line(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result}).to_string()).await;
    assert_eq!(process.message().await["result"]["content"][0]["text"], "answered Ada");
}

#[tokio::test]
async fn a_line_over_the_limit_is_refused_and_the_next_one_is_read() {
    let mut process = Process::start(Config { body_bytes: 1000, ..Config::default() });
    let long = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#, "x".repeat(100_000));
    process.line(&long).await;
    assert_eq!(process.message().await["error"]["code"], -32600);
    process.request(2, "ping", json!({})).await;
    assert_eq!(process.message().await["id"], 2);
}

#[tokio::test]
async fn each_process_is_a_run_of_its_own() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let mut process = Process::initialized().await;
        process.request(1, "tools/call", json!({"name": "echo", "arguments": {"text": "x"}})).await;
        process.message().await;
        let entries = process.log.entries.lock().unwrap();
        let entry: Value = serde_json::from_str(&entries[0]).unwrap();
        assert!(entry["from"]["peer"].as_str().unwrap().starts_with("pid "));
        runs.push(entry["run"].as_str().unwrap().to_owned());
    }
    assert_ne!(runs[0], runs[1]);
}
