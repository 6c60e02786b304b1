//! `[answer.NAME]`: a tool whose answer is written in the catalog. It reaches no database.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_core::{
    Arguments, CallIo, Confidentiality, Digest, Integrity, Label, Output, Part, Permission, Permit, Planned,
    PowerClass, Principal, Sensitivity, Tool, ToolError, ToolSpec,
};
use serde_json::{Value as Json, json};

use super::{
    entry::Answer,
    keys::{Keys, title_of},
    problem::Problem,
    read::DESCRIPTION,
};

/// Reads one entry.
pub(super) fn read(name: &str, keys: &Keys<'_>, problems: &mut Vec<Problem>) -> Option<Answer> {
    let description = keys.required("description", DESCRIPTION, problems);
    let title = keys.text("title", 100, problems).unwrap_or_else(|| title_of(name));
    let value = keys.json("value", problems);
    if !value.as_ref().is_some_and(|value| value.is_object() || value.is_string()) {
        problems.push(keys.wrong("value", "must be a table or a text: the answer", None));
        return None;
    }
    Some(Answer { name: name.into(), title, description: description?, value: value? })
}

pub(super) struct FixedAnswer {
    spec: Arc<ToolSpec>,
    value: Json,
}

impl FixedAnswer {
    pub(super) fn new(answer: Answer) -> FixedAnswer {
        let spec = ToolSpec {
            name: answer.name,
            server: "countersign".into(),
            title: answer.title,
            description: answer.description,
            purpose: "gives an answer that the operator wrote down",
            input_schema: json!({"type": "object", "properties": {}, "additionalProperties": false}),
            output_schema: answer.value.is_object().then(|| json!({"type": "object"})),
            power: PowerClass::ReadLow,
            permissions: vec![Permission::ReadDatabase],
            sensitivity: Sensitivity::Internal,
            deadline: Duration::from_secs(5),
            digest: Digest([0; 32]),
        };
        FixedAnswer { spec: Arc::new(spec.pinned()), value: answer.value }
    }
}

#[async_trait]
impl Tool for FixedAnswer {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, _principal: &Principal, _arguments: &Arguments) -> Result<Planned, ToolError> {
        Ok(Planned::nothing())
    }

    async fn execute(&self, _permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let label = Label { integrity: Integrity::Trusted, confidentiality: Confidentiality::Internal };
        let part = match &self.value {
            Json::String(text) => Part::Text(text.clone()),
            value => Part::Json(value.clone()),
        };
        Ok(Output::new(label, vec![part]))
    }
}
