//! `move_file {root?, from, to}`: gives a file another name in the same root.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use countersign_core::{
    Action, Arguments, CallIo, Digest, Effect, Output, Part, Permission, Permit, Plan, Planned, PowerClass,
    Preview, PreviewPermit, Principal, Tool, ToolError, ToolSpec,
};
use serde_json::json;

use super::{
    change,
    edit::{Expected, writable},
    folder::{Folders, Target, blocking, path_schema, root_schema},
    root::{Kind, regular},
    spec::changing,
};
use crate::write::COUNTED;

pub(super) struct MoveFile {
    spec: Arc<ToolSpec>,
    folders: Folders,
}

/// The parsed call.
#[derive(Clone)]
struct Wanted {
    from: Target,
    to: Target,
}

impl MoveFile {
    pub(super) fn new(folders: Folders, power: PowerClass) -> MoveFile {
        let spec = ToolSpec {
            name: "move_file".into(),
            title: "Move a file".into(),
            description: "Gives one file another name, in the same directory or another of the same root. The new name must be free. A person \
                          approves it first: the first call is answered with the id of a request; once it is approved, repeat exactly the \
                          same call."
                .into(),
            purpose: "renames files of a folder, each change seen and approved by a person",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "root": root_schema(),
                    "from": path_schema("the file as it is called now"),
                    "to": path_schema("the file as it is to be called")
                },
                "required": ["from", "to"],
                "additionalProperties": false
            }),
            output_schema: Some(json!({
                "type": "object",
                "properties": {"root": {"type": "string"}, "from": {"type": "string"}, "to": {"type": "string"}},
                "required": ["root", "from", "to"]
            })),
            permissions: vec![Permission::ReadFiles, Permission::WriteFiles],
            ..changing(power)
        };
        MoveFile { spec: Arc::new(spec.pinned()), folders }
    }
}

#[async_trait]
impl Tool for MoveFile {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let from = Target::of(&self.folders, principal, arguments, "/from").await?;
        let to = Target::of(&self.folders, principal, arguments, "/to").await?;
        Ok(Planned {
            // Under its new name the file may be open to people to whom it was closed: it takes the right to read it.
            // MUTATE(C1-move-read): a file that must not be read can be moved to where it may
            accesses: vec![from.access(Action::Read), from.access(Action::Write), to.access(Action::Write)],
            effect: Effect::Write,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", "move".to_owned())]),
            detail: Box::new(Wanted { from, to }),
        })
    }

    async fn preview(&self, plan: &Plan, _permit: PreviewPermit) -> Result<Preview, ToolError> {
        let wanted = wanted(plan)?;
        blocking(move |_| {
            let basis = basis(&wanted)?;
            let diff = format!("rename from {}\nrename to {}\n", wanted.from.path, wanted.to.path);
            Ok(Preview { affected: Some(1), diff: Some(diff), basis: Some(basis), ..Preview::default() })
        })
        .await?
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let wanted = wanted(permit.plan())?;
        let expected = Expected::of(permit.approved());
        let answer = blocking(move |stop| {
            let Wanted { from, to } = &wanted;
            let basis = basis(&wanted)?;
            let rename = || {
                expected.check(basis)?;
                stop.check()?;
                change::rename(&from.folder, &from.path, &to.path, basis)
            };
            rename().map_err(|refused| from.refuse(refused))?;
            let root = &**from.folder.root().name();
            Ok::<_, ToolError>(json!({"root": root, "from": from.path.as_str(), "to": to.path.as_str()}))
        })
        .await??;
        Ok(Output::new(COUNTED, vec![Part::Json(answer)]))
    }
}

fn wanted(plan: &Plan) -> Result<Wanted, ToolError> {
    plan.detail::<Wanted>().cloned().ok_or_else(|| ToolError::internal("the plan is not of this tool"))
}

/// Which file it is that moves, if it may, and nothing is in its way.
fn basis(wanted: &Wanted) -> Result<Digest, ToolError> {
    let Wanted { from, to } = wanted;
    let looked = || {
        writable(from)?;
        let stat = from.folder.root().status(&from.path)?;
        regular(&stat)?;
        Ok(change::identity(&stat))
    };
    let identity = looked().map_err(|refused| from.refuse(refused))?;
    writable(to).map_err(|refused| to.refuse(refused))?;
    match to.kind()? {
        Kind::Missing => Ok(identity),
        _ => Err(to.refuse(super::refusal::Refusal::Exists)),
    }
}
