//! `run_command {command, arguments}`: runs one of the operator's commands that only read. Policy decides on the command.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_core::{
    Arguments, CallIo, Digest, Output, Permit, Planned, PowerClass, Principal, Sensitivity, Tool, ToolError,
    ToolSpec,
};
use serde_json::{Value as Json, json};

use super::{Command, call};
use crate::contained;

/// Arguments of one call.
const WORDS: u32 = 64;

pub(super) struct RunCommand {
    spec: Arc<ToolSpec>,
    commands: Vec<Arc<Command>>,
}

impl RunCommand {
    /// `commands` are those that only read.
    pub(super) fn new(commands: Vec<Arc<Command>>) -> RunCommand {
        let names: Vec<&str> = commands.iter().map(|command| &*command.name).collect();
        let spec = ToolSpec {
            name: "run_command".into(),
            server: "countersign".into(),
            title: "Run a command".into(),
            description: describe(&commands),
            purpose: "runs programs that the operator listed, contained and without network",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "command": {"type": "string", "enum": names, "description": "which command"},
                    "arguments": {
                        "type": "array", "maxItems": WORDS,
                        "items": {"type": "string", "maxLength": 4096},
                        "description": "its arguments, one word each, an option and its value apart: [\"--maxfail\", \"3\"]"
                    }
                },
                "required": ["command"],
                "additionalProperties": false
            }),
            output_schema: Some(contained::output_schema()),
            power: PowerClass::ReadHigh,
            permissions: super::permissions(commands.iter().map(|command| &**command)),
            sensitivity: Sensitivity::Private,
            deadline: commands
                .iter()
                .map(|command| command.deadline())
                .max()
                .unwrap_or(Duration::from_secs(5)),
            digest: Digest([0; 32]),
        };
        RunCommand { spec: Arc::new(spec.pinned()), commands }
    }
}

fn describe(commands: &[Arc<Command>]) -> String {
    let grade = commands.first().map(|command| command.runner.grade()).unwrap_or_default();
    let mut text = format!(
        "Runs one of the commands below and returns its output. There is no shell: give arguments one by one. Commands run contained \
         (sandbox grade: {grade}): without network, with a fixed environment, and paths are relative to the command's root, which they \
         cannot change."
    );
    for command in commands {
        text.push_str(&format!("\n- {}: {}", command.usage(), command.description));
    }
    text
}

#[async_trait]
impl Tool for RunCommand {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, _principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let name = arguments.str("command").unwrap_or_default();
        let command = self.commands.iter().find(|command| *command.name == *name);
        let command =
            command.ok_or_else(|| ToolError::invalid("/command", "must name a command of this tool"))?;
        let words: Vec<&str> = match arguments.value().get("arguments") {
            Some(Json::Array(words)) => words.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        let filled = command.template.of_words(&words);
        call::plan(command, filled, "/arguments")
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        call::execute(permit).await
    }
}
