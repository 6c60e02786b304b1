//! `delete_file {root?, path, if_match?}`: removes one file.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use countersign_core::{
    Arguments, CallIo, Effect, Output, Part, Permit, Plan, Planned, PowerClass, Preview, PreviewPermit,
    Principal, Tool, ToolError, ToolSpec,
};
use serde_json::json;

use super::{
    change::{self, Before},
    diff::unified,
    edit::{Expected, changed, changes, if_match_schema, writable},
    folder::{Folders, Target, blocking, path_schema, root_schema},
    quota::Room,
    refusal::Refusal,
    spec::changing,
};
use crate::write::COUNTED;

pub(super) struct DeleteFile {
    spec: Arc<ToolSpec>,
    folders: Folders,
}

/// The parsed call.
#[derive(Clone)]
struct Wanted {
    target: Target,
    if_match: Option<String>,
}

impl DeleteFile {
    pub(super) fn new(folders: Folders, power: PowerClass) -> DeleteFile {
        let spec = ToolSpec {
            name: "delete_file".into(),
            title: "Delete a file".into(),
            description: "Removes one file; directories stay. A person is shown what goes and approves it first: the first call is answered \
                          with the id of a request; once it is approved, repeat exactly the same call. It removes the file only if that \
                          still holds what was shown then."
                .into(),
            purpose: "removes files of a folder, each seen and approved by a person",
            input_schema: json!({
                "type": "object",
                "properties": {"root": root_schema(), "path": path_schema("the file"), "if_match": if_match_schema()},
                "required": ["path"],
                "additionalProperties": false
            }),
            output_schema: Some(json!({
                "type": "object",
                "properties": {"root": {"type": "string"}, "path": {"type": "string"}, "deleted": {"const": true}},
                "required": ["root", "path", "deleted"]
            })),
            ..changing(power)
        };
        DeleteFile { spec: Arc::new(spec.pinned()), folders }
    }
}

#[async_trait]
impl Tool for DeleteFile {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let target = Target::of(&self.folders, principal, arguments, "/path").await?;
        Ok(Planned {
            accesses: changes(&target, arguments.str("if_match")),
            effect: Effect::Write,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", "delete".to_owned())]),
            detail: Box::new(Wanted { target, if_match: arguments.str("if_match").map(str::to_owned) }),
        })
    }

    async fn preview(&self, plan: &Plan, _permit: PreviewPermit) -> Result<Preview, ToolError> {
        let wanted = wanted(plan)?;
        blocking(move |_| {
            let before = before(&wanted).map_err(|refused| wanted.target.refuse(refused))?;
            let diff = unified(wanted.target.path.as_str(), before.content(), None);
            Ok(changed(&before, diff))
        })
        .await?
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let wanted = wanted(permit.plan())?;
        let expected = Expected::of(permit.approved());
        let answer = blocking(move |stop| {
            let target = &wanted.target;
            let delete = || {
                let before = before(&wanted)?;
                expected.check(before.digest())?;
                stop.check()?;
                let room = target.folder.room(before.content(), None, 0, stop)?;
                change::remove(&target.folder, &target.path, before.content().unwrap_or_default())?;
                room.into_iter().for_each(Room::taken);
                Ok(())
            };
            delete().map_err(|refused| target.refuse(refused))?;
            Ok::<_, ToolError>(json!({
                "root": &**target.folder.root().name(), "path": target.path.as_str(), "deleted": true
            }))
        })
        .await??;
        Ok(Output::new(COUNTED, vec![Part::Json(answer)]))
    }
}

fn wanted(plan: &Plan) -> Result<Wanted, ToolError> {
    plan.detail::<Wanted>().cloned().ok_or_else(|| ToolError::internal("the plan is not of this tool"))
}

/// The file that goes.
fn before(wanted: &Wanted) -> Result<Before, Refusal> {
    let Wanted { target, if_match } = wanted;
    writable(target)?;
    let before = Before::read(&target.folder, &target.path)?;
    if before.content().is_none() {
        return Err(Refusal::Missing);
    }
    match if_match {
        Some(expected) if *expected != before.name() => Err(Refusal::Changed),
        _ => Ok(before),
    }
}
