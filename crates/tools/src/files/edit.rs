//! `edit_file {root?, path, old, new, all?, if_match?}`: an exact replacement in one file, or several (`edits`); and what all tools that change
//! files share.
//!
//! Policy reads `old`, `new` and `all` like all plain arguments. It does not read a list of edits, so that one takes the approval of two
//! people where one replacement takes that of one.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use countersign_core::{
    Access, Action, Arguments, CallIo, Digest, Effect, Label, Output, Part, Permission, Permit, Plan,
    Planned, PowerClass, Preview, PreviewPermit, Principal, Tool, ToolError, ToolSpec, approval::Approved,
};
use serde_json::{Value, json};

use super::{
    change::{self, Before},
    diff::unified,
    folder::{Folders, Target, blocking, path_schema, root_schema},
    quota::Room,
    refusal::Refusal,
    spec::changing,
};

pub(super) struct EditFile {
    spec: Arc<ToolSpec>,
    folders: Folders,
}

/// The parsed call.
#[derive(Clone)]
struct Wanted {
    target: Target,
    edits: Edits,
    if_match: Option<String>,
}

/// The replacements of a call, in order.
#[derive(Clone)]
struct Edits {
    all: Arc<[Edit]>,
    /// Whether they came as a list, by which errors name them.
    listed: bool,
}

/// One replacement.
struct Edit {
    old: String,
    new: String,
    all: bool,
}

impl EditFile {
    pub(super) fn new(folders: Folders, power: PowerClass) -> EditFile {
        let old = json!({"type": "string", "minLength": 1, "maxLength": 1_000_000, "description": "what stands there now"});
        let new = json!({"type": "string", "maxLength": 1_000_000, "description": "what is to stand there"});
        let all = json!({"type": "boolean", "default": false, "description": "replaces every occurrence"});
        let spec = ToolSpec {
            name: "edit_file".into(),
            title: "Edit a file".into(),
            description: "Replaces an exact piece of text in a UTF-8 file: `old` by `new`. `old` must occur exactly once, unless `all` is set; give \
                          enough of its surroundings. Several replacements at once go into `edits` instead, one after the other, and take the \
                          approval of two people. A person is shown the change as a diff and approves it first: the first call is answered \
                          with the id of a request; once it is approved, repeat exactly the same call. It changes the file only if that still \
                          holds what was shown then."
                .into(),
            purpose: "changes parts of files of a folder, each change seen and approved by a person",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "root": root_schema(),
                    "path": path_schema("the file"),
                    "old": old, "new": new, "all": all,
                    "edits": {
                        "type": "array", "minItems": 1, "maxItems": 100,
                        "description": "several replacements at once, in place of `old` and `new`",
                        "items": {
                            "type": "object",
                            "properties": {"old": old, "new": new, "all": all},
                            "required": ["old", "new"],
                            "additionalProperties": false
                        }
                    },
                    "if_match": if_match_schema()
                },
                "required": ["path"],
                "additionalProperties": false
            }),
            output_schema: Some(json!({
                "type": "object",
                "properties": {
                    "root": {"type": "string"}, "path": {"type": "string"}, "size": {"type": "integer"},
                    "sha256": {"type": "string"}, "diff": {"type": "string", "description": "the change, as a unified diff"}
                },
                "required": ["root", "path", "size", "sha256"]
            })),
            permissions: vec![Permission::ReadFiles, Permission::WriteFiles],
            ..changing(power)
        };
        EditFile { spec: Arc::new(spec.pinned()), folders }
    }
}

#[async_trait]
impl Tool for EditFile {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let edits = edits(arguments)?;
        let target = Target::of(&self.folders, principal, arguments, "/path").await?;
        Ok(Planned {
            // Whether a piece of text occurs is an answer about the content: it takes the right to read as well.
            accesses: vec![target.access(Action::Read), target.access(Action::Write)],
            effect: Effect::Write,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", "edit".to_owned())]),
            detail: Box::new(Wanted {
                target,
                edits,
                if_match: arguments.str("if_match").map(str::to_owned),
            }),
        })
    }

    async fn preview(&self, plan: &Plan, _permit: PreviewPermit) -> Result<Preview, ToolError> {
        let wanted = wanted(plan)?;
        blocking(move |stop| {
            let (before, after) = edited(&wanted)?;
            let room = wanted.target.folder.room(before.content(), Some(after.as_bytes()), 0, stop);
            room.map_err(|refused| wanted.target.refuse(refused))?.into_iter().for_each(Room::left);
            let diff = unified(wanted.target.path.as_str(), before.content(), Some(after.as_bytes()));
            Ok(changed(&before, diff))
        })
        .await?
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let wanted = wanted(permit.plan())?;
        let expected = Expected::of(permit.approved());
        let answer = blocking(move |stop| {
            let (before, after) = edited(&wanted)?;
            let target = &wanted.target;
            let write = || {
                expected.check(before.digest())?;
                stop.check()?;
                let room = target.folder.room(before.content(), Some(after.as_bytes()), 0, stop)?;
                change::put(&target.folder, &target.path, &before, after.as_bytes())?;
                room.into_iter().for_each(Room::taken);
                Ok(())
            };
            write().map_err(|refused| target.refuse(refused))?;
            let diff = unified(target.path.as_str(), before.content(), Some(after.as_bytes()));
            let mut answer = json!({
                "root": &**target.folder.root().name(), "path": target.path.as_str(), "size": after.len(),
                "sha256": Digest::of(after.as_bytes()).to_string(),
            });
            if let (true, Some(members)) =
                (diff.len() as u64 <= target.folder.settings().max_read, answer.as_object_mut())
            {
                members.insert("diff".to_owned(), diff.into());
            }
            Ok::<Value, ToolError>(answer)
        })
        .await??;
        Ok(Output::new(Label::RETRIEVED, vec![Part::Json(answer)]))
    }
}

fn wanted(plan: &Plan) -> Result<Wanted, ToolError> {
    plan.detail::<Wanted>().cloned().ok_or_else(|| ToolError::internal("the plan is not of this tool"))
}

/// The replacements: the one that the arguments are themselves, or those of a list.
fn edits(arguments: &Arguments) -> Result<Edits, ToolError> {
    let one = |edit: &Value| {
        let text = |name: &str| edit.get(name).and_then(Value::as_str).map(str::to_owned);
        let all = edit.get("all").and_then(Value::as_bool).unwrap_or(false);
        Some(Edit { old: text("old").filter(|old| !old.is_empty())?, new: text("new")?, all })
    };
    let value = arguments.value();
    let plain = ["old", "new", "all"].into_iter().find(|name| value.get(name).is_some());
    match (plain, value.get("edits").and_then(Value::as_array)) {
        (Some(name), Some(_)) => {
            Err(ToolError::invalid(format!("/{name}"), "must not stand beside `edits`: give one of the two"))
        }
        (_, None) => {
            let edit = one(value).ok_or_else(|| ToolError::invalid("/old", "is required, with `new`"))?;
            Ok(Edits { all: [edit].into(), listed: false })
        }
        (None, Some(list)) => {
            let edits: Option<Vec<Edit>> = list.iter().map(one).collect();
            let rule = || ToolError::invalid("/edits", "each must have `old`, not empty, and `new`");
            Ok(Edits { all: edits.ok_or_else(rule)?.into(), listed: true })
        }
    }
}

/// The file as it is, and as it would be.
fn edited(wanted: &Wanted) -> Result<(Before, String), ToolError> {
    let Wanted { target, edits, if_match } = wanted;
    let read = || {
        writable(target)?;
        Before::read(&target.folder, &target.path)
    };
    let before = read().map_err(|refused| target.refuse(refused))?;
    let content = before.content().ok_or_else(|| target.refuse(Refusal::Missing))?;
    if if_match.as_ref().is_some_and(|expected| *expected != before.name()) {
        return Err(target.refuse(Refusal::Changed));
    }
    let text =
        std::str::from_utf8(content).map_err(|_| target.refuse(Refusal::Encoding("is not UTF-8 text")))?;
    let limit = target.folder.settings().max_file;
    let mut after = text.to_owned();
    for (position, edit) in edits.all.iter().enumerate() {
        let occurs = after.matches(&edit.old).count();
        let field = if edits.listed { format!("/edits/{position}/old") } else { "/old".to_owned() };
        let refuse = |rule: String| Err(ToolError::invalid(field, rule));
        match occurs {
            0 => return refuse("does not occur in the file at this point".into()),
            2.. if !edit.all => {
                return refuse(format!("occurs {occurs} times; give more of its surroundings, or set `all`"));
            }
            _ => {}
        }
        let grown = (edit.new.len() as u64).saturating_mul(occurs as u64).saturating_add(after.len() as u64);
        // What is replaced goes; that it may count twice here only refuses what is close to the limit.
        if grown > limit.saturating_add((edit.old.len() as u64).saturating_mul(occurs as u64)) {
            return Err(target.refuse(Refusal::TooLarge { limit }));
        }
        after = after.replace(&edit.old, &edit.new);
    }
    Ok((before, after))
}

/// What a change of a whole file takes: the right to write it and, where the caller says what it must hold, to read it. Whether a guess is
/// right is an answer about the content.
pub(super) fn changes(target: &Target, if_match: Option<&str>) -> Vec<Access> {
    // MUTATE(C1-if-match-read): who may not read a file finds out what it holds, guess by guess
    let guessed = if_match.is_some_and(|digest| digest != ABSENT);
    let read = guessed.then(|| target.access(Action::Read));
    read.into_iter().chain([target.access(Action::Write)]).collect()
}

/// Whether a target may be changed at all.
pub(super) fn writable(target: &Target) -> Result<(), Refusal> {
    target.kind.clone()?;
    // MUTATE(C1-read-only): a root that is for reading is written
    if !target.folder.settings().write {
        return Err(Refusal::ReadOnly);
    }
    Ok(())
}

/// What people are shown of a change: one file, and the difference.
pub(super) fn changed(before: &Before, diff: String) -> Preview {
    Preview { affected: Some(1), diff: Some(diff), basis: Some(before.digest()), ..Preview::default() }
}

/// What people approved the change of; none where nobody had to.
pub(super) struct Expected(Option<Option<String>>);

impl Expected {
    pub(super) fn of(approved: Option<&Approved>) -> Expected {
        Expected(approved.map(|approved| approved.request.preview.basis.clone()))
    }

    /// Whether what is there is what they saw. INVARIANT: an approval without a basis approves no change of a file.
    pub(super) fn check(&self, now: Digest) -> Result<(), Refusal> {
        match &self.0 {
            None => Ok(()),
            // MUTATE(C3-approved-basis): an approved change is made of whatever the file holds by now
            Some(Some(basis)) if *basis == now.to_string() => Ok(()),
            Some(_) => Err(Refusal::Changed),
        }
    }
}

/// What `if_match` says where there must be no file.
pub(super) const ABSENT: &str = "absent";

/// The JSON Schema of `if_match`.
pub(super) fn if_match_schema() -> Value {
    json!({
        "type": "string", "pattern": format!("^([0-9a-f]{{64}}|{ABSENT})$"),
        "description": "the `sha256` that the file must have, or `absent` if there must be none"
    })
}
