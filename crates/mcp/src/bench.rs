//! The tools of the benchmark: an echo, and a text from memory. Behind the feature `bench`, which no release has.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_core::{
    Arguments, CallIo, Digest, Label, Output, Part, Permit, Planned, PowerClass, Principal, Sensitivity,
    Tool, ToolError, ToolSpec,
};
use serde_json::json;

/// `bench_echo {text}` answers with the same text.
pub fn tools() -> Vec<Arc<dyn Tool>> {
    let spec = ToolSpec {
        name: "bench_echo".into(),
        server: "bench".into(),
        title: "Echo".into(),
        description: "Answers with the text that it was given.".into(),
        purpose: "to measure what the pipeline costs",
        input_schema: json!({
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
            "additionalProperties": false,
        }),
        output_schema: None,
        power: PowerClass::ReadLow,
        permissions: Vec::new(),
        sensitivity: Sensitivity::Public,
        deadline: Duration::from_secs(30),
        digest: Digest([0; 32]),
    };
    let text = ToolSpec {
        name: "bench_text".into(),
        title: "Text".into(),
        description: "Answers with a line, repeated to a number of bytes.".into(),
        input_schema: json!({
            "type": "object",
            "properties": {"line": {"type": "string", "minLength": 1}, "bytes": {"type": "integer", "minimum": 0, "maximum": 1 << 24}},
            "required": ["line", "bytes"],
            "additionalProperties": false,
        }),
        ..spec.clone()
    };
    vec![Arc::new(Echo { spec: Arc::new(spec.pinned()) }), Arc::new(Text { spec: Arc::new(text.pinned()) })]
}

struct Text {
    spec: Arc<ToolSpec>,
}

#[async_trait]
impl Tool for Text {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, _principal: &Principal, _arguments: &Arguments) -> Result<Planned, ToolError> {
        Ok(Planned::nothing())
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let arguments = permit.plan().arguments();
        let line = arguments.str("line").unwrap_or_default();
        let bytes = arguments.value().get("bytes").and_then(serde_json::Value::as_u64).unwrap_or(0);
        let bytes = usize::try_from(bytes).unwrap_or(0);
        let mut content = line.repeat(bytes.div_ceil(line.len().max(1)));
        content.truncate(content.floor_char_boundary(bytes));
        Ok(Output::new(Label::RETRIEVED, vec![Part::Json(json!({"content": content, "size": bytes}))]))
    }
}

struct Echo {
    spec: Arc<ToolSpec>,
}

#[async_trait]
impl Tool for Echo {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, _principal: &Principal, _arguments: &Arguments) -> Result<Planned, ToolError> {
        Ok(Planned::nothing())
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let text = permit.plan().arguments().str("text").unwrap_or_default().to_owned();
        Ok(Output::new(Label::default(), vec![Part::Text(text)]))
    }
}
