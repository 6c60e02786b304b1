//! `stat_file {root?, path, hash?}`: what a path names, how large it is and when it changed.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use countersign_core::{
    Action, Arguments, CallIo, Digest, Effect, Label, Output, Part, Permit, Planned, Principal, Tool,
    ToolError, ToolSpec,
};
use serde_json::{Value, json};

use super::{
    folder::{Folders, Target, blocking, path_schema, root_schema},
    read::up_to,
    refusal::Refusal,
    root::Kind,
    spec::reading,
};

pub(super) struct StatFile {
    spec: Arc<ToolSpec>,
    folders: Folders,
}

/// The parsed call.
#[derive(Clone)]
struct Wanted {
    target: Target,
    hash: bool,
}

impl StatFile {
    pub(super) fn new(folders: Folders) -> StatFile {
        let spec = ToolSpec {
            name: "stat_file".into(),
            title: "Look at a file".into(),
            description: "Says whether a path names a file or a directory, its size in bytes, and when it changed. With `hash`, the SHA-256 of \
                          the file as well, for `if_match`."
                .into(),
            purpose: "shows what there is in a folder",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "root": root_schema(),
                    "path": path_schema("the file or directory"),
                    "hash": {"type": "boolean", "default": false, "description": "whether to compute the SHA-256 of the content"}
                },
                "required": ["path"],
                "additionalProperties": false
            }),
            output_schema: Some(json!({
                "type": "object",
                "properties": {
                    "root": {"type": "string"},
                    "path": {"type": "string", "description": "the true path, symbolic links followed"},
                    "kind": {"enum": ["file", "directory"]},
                    "size": {"type": "integer"},
                    "modified": {"type": "integer", "description": "seconds since 1970 UTC"},
                    "mode": {"type": "string", "description": "permissions, octal"},
                    "sha256": {"type": "string"}
                },
                "required": ["root", "path", "kind", "modified", "mode"]
            })),
            ..reading()
        };
        StatFile { spec: Arc::new(spec.pinned()), folders }
    }
}

#[async_trait]
impl Tool for StatFile {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let hash = arguments.value().get("hash").and_then(Value::as_bool).unwrap_or(false);
        let target = Target::of(&self.folders, principal, arguments, "/path").await?;
        Ok(Planned {
            accesses: vec![target.access(Action::Read)],
            effect: Effect::Read,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", "stat".to_owned())]),
            detail: Box::new(Wanted { target, hash }),
        })
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let wanted = permit.plan().detail::<Wanted>().cloned();
        let Wanted { target, hash } =
            wanted.ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
        target.kind()?;
        let answer =
            blocking(move |_| answer(&target, hash).map_err(|refused| target.refuse(refused))).await??;
        Ok(Output::new(Label::RETRIEVED, vec![Part::Json(answer)]))
    }
}

fn answer(target: &Target, hash: bool) -> Result<Value, Refusal> {
    let root = target.folder.root();
    let stat = root.status(&target.path)?;
    let kind = match Kind::from(&stat) {
        Kind::File => "file",
        Kind::Directory => "directory",
        other => return Err(Refusal::Kind { found: other.name(), wanted: "a file or directory" }),
    };
    let mut answer = json!({
        "root": &**root.name(), "path": target.path.to_string(), "kind": kind, "modified": stat.st_mtime,
        "mode": format!("{:03o}", stat.st_mode & 0o777),
    });
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let mut say = |name: &str, value: Value| {
        if let Some(members) = answer.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    if kind == "file" {
        say("size", size.into());
    }
    if kind == "file" && hash {
        let limit = target.folder.settings().max_file;
        if size > limit {
            return Err(Refusal::TooLarge { limit });
        }
        let (file, _) = root.file(&target.path)?;
        say("sha256", Digest::of(&up_to(&file, limit, size)?).to_string().into());
    }
    Ok(answer)
}
