//! `run_NAME`: a command as a tool of its own, with its slots as typed arguments and its own power class.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::{
    Arguments, CallIo, Digest, Output, Permit, Planned, Principal, Sensitivity, Tool, ToolError, ToolSpec,
};
use serde_json::Map;

use super::{Command, call};
use crate::contained;

pub(super) struct OwnTool {
    spec: Arc<ToolSpec>,
    command: Arc<Command>,
}

impl OwnTool {
    pub(super) fn new(command: Arc<Command>) -> OwnTool {
        let writes = match &command.root {
            Some(root) if root.write => "; it may change the files of its root",
            _ => "",
        };
        let spec = ToolSpec {
            name: tool_name(&command.name).into(),
            server: "countersign".into(),
            title: format!("Run {}", command.name),
            description: format!(
                "{} Runs contained (sandbox grade: {}): without network, with a fixed environment, paths relative to its root{writes}.",
                command.description,
                command.runner.grade()
            ),
            purpose: "runs a program that the operator listed, contained and without network",
            input_schema: command.template.schema(),
            output_schema: Some(contained::output_schema()),
            power: command.power(),
            permissions: super::permissions([&*command]),
            sensitivity: Sensitivity::Private,
            deadline: command.deadline(),
            digest: Digest([0; 32]),
        };
        OwnTool { spec: Arc::new(spec.pinned()), command }
    }
}

/// `run_` and the command's name, with `_` for what a tool's name cannot hold.
pub(super) fn tool_name(command: &str) -> String {
    let plain = command.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    format!("run_{}", plain.collect::<String>())
}

#[async_trait]
impl Tool for OwnTool {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, _principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let none = Map::new();
        let filled = self.command.template.of_names(arguments.value().as_object().unwrap_or(&none));
        call::plan(&self.command, filled, "")
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        call::execute(permit).await
    }
}
