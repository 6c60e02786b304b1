//! Tools for tests: each does one thing that a test looks at.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use countersign_core::{
    Arguments, CallIo, Cell, Column, Confidentiality, Digest, Integrity, Label, Output, Part, Permission,
    Permit, Planned, PowerClass, Principal, RowSet, Sensitivity, Tool, ToolError, ToolSpec,
    tool::{Ask, LogLevel},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// What tools have done so far.
#[derive(Default)]
pub(crate) struct Seen {
    /// Executions of any tool.
    pub(crate) ran: AtomicU64,
    /// `slow` is running.
    pub(crate) started: Notify,
    /// `slow` was stopped.
    pub(crate) stopped: Notify,
    /// Calls of `slow` that ran to their end.
    pub(crate) finished: AtomicU64,
}

struct TestTool {
    spec: Arc<ToolSpec>,
    seen: Arc<Seen>,
}

pub(crate) fn tools(seen: &Arc<Seen>) -> Vec<Arc<dyn Tool>> {
    let text = json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": false});
    let none = json!({"type": "object", "additionalProperties": false});
    let region = json!({
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "count": {"type": "integer", "x-mcp-header": "Count"},
        },
        "additionalProperties": false,
    });
    [
        ("echo", text, PowerClass::ReadLow),
        ("slow", none.clone(), PowerClass::ReadLow),
        ("talk", none.clone(), PowerClass::ReadLow),
        ("ask", none.clone(), PowerClass::ReadLow),
        ("rows", none.clone(), PowerClass::ReadHigh),
        ("wipe", none.clone(), PowerClass::WriteHigh),
        ("region", region, PowerClass::ReadLow),
        ("fails", none.clone(), PowerClass::ReadLow),
        ("note", none, PowerClass::ReadLow),
    ]
    .into_iter()
    .map(|(name, schema, power)| {
        let output_schema =
            (name == "rows").then(|| json!({"type": "object", "required": ["columns", "rows"]}));
        let spec = ToolSpec {
            name: name.into(),
            server: "test".into(),
            title: name.to_owned(),
            description: format!("Test tool {name}."),
            purpose: "test",
            input_schema: schema,
            output_schema,
            power,
            permissions: (name == "talk").then_some(Permission::Network).into_iter().collect(),
            sensitivity: Sensitivity::Public,
            deadline: Duration::from_secs(20),
            digest: Digest([0; 32]),
        };
        Arc::new(TestTool { spec: Arc::new(spec.pinned()), seen: Arc::clone(seen) }) as Arc<dyn Tool>
    })
    .collect()
}

struct Stopped<'s>(&'s Seen);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.stopped.notify_one();
    }
}

#[async_trait]
impl Tool for TestTool {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, _principal: &Principal, _arguments: &Arguments) -> Result<Planned, ToolError> {
        Ok(Planned::nothing())
    }

    async fn execute(&self, permit: Permit, io: &CallIo) -> Result<Output, ToolError> {
        self.seen.ran.fetch_add(1, Ordering::SeqCst);
        let arguments = permit.plan().arguments().value().clone();
        let part = match &*self.spec.name {
            "echo" => Part::Text(arguments["text"].as_str().unwrap().to_owned()),
            "slow" => {
                let _stopped = Stopped(&self.seen);
                self.seen.started.notify_one();
                tokio::time::sleep(Duration::from_secs(2)).await;
                self.seen.finished.fetch_add(1, Ordering::SeqCst);
                Part::Text("slept".into())
            }
            "talk" => {
                for done in [1.0, 2.0, 3.0] {
                    io.progress(done, Some(3.0), "on it");
                    io.log(LogLevel::Info, "a line");
                    io.log(LogLevel::Error, "a bad line");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Part::Text("said it all".into())
            }
            "ask" => {
                let params = json!({"mode": "form", "message": "Who?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}});
                let ask = Ask { key: "who".into(), method: "elicitation/create", params };
                let answer = io.ask(ask).await.map_err(|e| ToolError::failed(format!("no answer: {e:?}")))?;
                Part::Text(format!(
                    "answered {}",
                    answer.pointer("/content/name").and_then(Value::as_str).unwrap_or("nobody")
                ))
            }
            "rows" => {
                let columns = vec![Column { name: "n".into(), kind: "integer".into(), masked: false }];
                let cells = vec![Cell::Integer(1), Cell::Integer(9_007_199_254_740_993)];
                Part::Rows(RowSet { columns, cells, truncated: None, next: None })
            }
            "fails" => return Err(ToolError::failed("the disk is round")),
            // A line break inside a message would break the framing of stdio and of event streams.
            "note" => Part::Text("two\nlines\r\u{2028}and \"quotes\"".into()),
            _ => Part::Text("gone".into()),
        };
        let untrusted = Label { integrity: Integrity::Untrusted, confidentiality: Confidentiality::Private };
        let label = if &*self.spec.name == "rows" { untrusted } else { Label::default() };
        Ok(Output::new(label, vec![part]))
    }
}
