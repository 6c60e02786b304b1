//! `write_file {root?, path, content, encoding?, if_match?, create_directories?}`: a whole file, new or in place of another.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use countersign_core::{
    Arguments, CallIo, Digest, Effect, Output, Part, Permit, Plan, Planned, PowerClass, Preview,
    PreviewPermit, Principal, Tool, ToolError, ToolSpec,
};
use serde_json::{Value, json};

use super::{
    change::{self, Before},
    diff::unified,
    edit::{Expected, changed, changes, if_match_schema, writable},
    encoding::Encoding,
    folder::{Folders, Stop, Target, blocking, path_schema, root_schema},
    quota::Room,
    refusal::Refusal,
    spec::changing,
};
use crate::write::COUNTED;

pub(super) struct WriteFile {
    spec: Arc<ToolSpec>,
    folders: Folders,
}

/// The parsed call.
#[derive(Clone)]
struct Wanted {
    target: Target,
    content: Arc<[u8]>,
    if_match: Option<String>,
    create_directories: bool,
}

impl WriteFile {
    pub(super) fn new(folders: Folders, power: PowerClass) -> WriteFile {
        let spec = ToolSpec {
            name: "write_file".into(),
            title: "Write a file".into(),
            description: "Writes a whole file: a new one, or in place of the old in one step. A person is shown the change as a diff and \
                          approves it first: the first call is answered with the id of a request; once it is approved, repeat exactly the \
                          same call. It writes only if the file still holds what was shown then. To change part of a file, use edit_file."
                .into(),
            purpose: "makes and replaces files of a folder, each change seen and approved by a person",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "root": root_schema(),
                    "path": path_schema("the file"),
                    "content": {"type": "string", "description": "the whole content"},
                    "encoding": Encoding::schema(),
                    "if_match": if_match_schema(),
                    "create_directories": {
                        "type": "boolean", "default": false, "description": "makes the directories above it that are missing"
                    }
                },
                "required": ["path", "content"],
                "additionalProperties": false
            }),
            output_schema: Some(json!({
                "type": "object",
                "properties": {
                    "root": {"type": "string"}, "path": {"type": "string"}, "created": {"type": "boolean"},
                    "size": {"type": "integer"}, "sha256": {"type": "string"}
                },
                "required": ["root", "path", "created", "size", "sha256"]
            })),
            ..changing(power)
        };
        WriteFile { spec: Arc::new(spec.pinned()), folders }
    }
}

#[async_trait]
impl Tool for WriteFile {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let text = arguments.str("content").ok_or_else(|| ToolError::invalid("/content", "is required"))?;
        let content =
            Encoding::of(arguments)?.encode(text).map_err(|rule| ToolError::invalid("/content", rule))?;
        let create_directories =
            arguments.value().get("create_directories").and_then(Value::as_bool).unwrap_or(false);
        let target = Target::of(&self.folders, principal, arguments, "/path").await?;
        Ok(Planned {
            accesses: changes(&target, arguments.str("if_match")),
            effect: Effect::Write,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", "write".to_owned())]),
            detail: Box::new(Wanted {
                target,
                content: content.into(),
                if_match: arguments.str("if_match").map(str::to_owned),
                create_directories,
            }),
        })
    }

    async fn preview(&self, plan: &Plan, _permit: PreviewPermit) -> Result<Preview, ToolError> {
        let wanted = wanted(plan)?;
        blocking(move |stop| {
            let preview = || {
                let before = before(&wanted)?;
                // What cannot be written is told before anybody is asked.
                room(&wanted, &before, stop)?.into_iter().for_each(Room::left);
                let path = wanted.target.path.as_str();
                let diff = unified(path, before.content(), Some(&wanted.content));
                Ok(changed(&before, diff))
            };
            preview().map_err(|refused| wanted.target.refuse(refused))
        })
        .await?
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let wanted = wanted(permit.plan())?;
        let expected = Expected::of(permit.approved());
        let answer = blocking(move |stop| {
            let write = || {
                let before = before(&wanted)?;
                expected.check(before.digest())?;
                stop.check()?;
                let Wanted { target, content, create_directories, .. } = &wanted;
                let room = room(&wanted, &before, stop)?;
                if *create_directories {
                    change::make_parents(&target.folder, &target.path)?;
                }
                change::put(&target.folder, &target.path, &before, content)?;
                room.into_iter().for_each(Room::taken);
                Ok(json!({
                    "root": &**target.folder.root().name(), "path": target.path.as_str(),
                    "created": before.content().is_none(), "size": content.len(),
                    "sha256": Digest::of(content).to_string(),
                }))
            };
            write().map_err(|refused| wanted.target.refuse(refused))
        })
        .await??;
        Ok(Output::new(COUNTED, vec![Part::Json(answer)]))
    }
}

fn wanted(plan: &Plan) -> Result<Wanted, ToolError> {
    plan.detail::<Wanted>().cloned().ok_or_else(|| ToolError::internal("the plan is not of this tool"))
}

/// Room for what is written, and for the directories above it that are made.
fn room<'w>(wanted: &'w Wanted, before: &Before, stop: &Stop) -> Result<Option<Room<'w>>, Refusal> {
    let Wanted { target, content, create_directories, .. } = wanted;
    let made = if *create_directories { change::missing_parents(&target.folder, &target.path)? } else { 0 };
    target.folder.room(before.content(), Some(content), made, stop)
}

/// What is there now, if the call may take its place.
fn before(wanted: &Wanted) -> Result<Before, Refusal> {
    let Wanted { target, content, if_match, create_directories } = wanted;
    writable(target)?;
    let limit = target.folder.settings().max_file;
    if content.len() as u64 > limit {
        return Err(Refusal::TooLarge { limit });
    }
    let before = Before::read(&target.folder, &target.path)?;
    // A missing directory is told before anybody is asked.
    if let (false, Some((parent, _))) = (create_directories, target.path.split()) {
        target.folder.root().directory(&parent)?;
    }
    match if_match {
        Some(expected) if *expected != before.name() => Err(Refusal::Changed),
        _ => Ok(before),
    }
}
