//! The echo tool of the benchmark. Behind the feature `bench`, which no release has.

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
    vec![Arc::new(Echo { spec: Arc::new(spec.pinned()) })]
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
