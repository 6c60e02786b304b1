//! `list_directory {root?, path?, skip?}`: what is in a directory, or which roots there are.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use countersign_core::{
    Access, Action, Arguments, CallIo, Effect, Label, Output, Part, Permit, Planned, Principal, Tool,
    ToolError, ToolSpec,
};
use serde_json::{Value, json};

use super::{
    folder::{Folder, Folders, Stop, Target, blocking, path_schema, readable, root_schema},
    kernel,
    path::RelPath,
    refusal::Refusal,
    root::Kind,
    spec::reading,
};

pub(super) struct ListDirectory {
    spec: Arc<ToolSpec>,
    folders: Folders,
}

/// What the plan found: shown at execution as far as it was granted.
#[derive(Clone)]
enum Found {
    Roots(Vec<Arc<Folder>>),
    Directory { target: Target, entries: Result<Entries, Refusal> },
}

/// The names of one page.
#[derive(Clone)]
struct Entries {
    paths: Vec<RelPath>,
    /// Where the next page begins, if there is one.
    next: Option<usize>,
    /// Names that are no text.
    unreadable: usize,
}

/// Names that are read of one directory; beyond them it is not listed as a whole.
const MAX_NAMES: usize = 100_000;

impl ListDirectory {
    pub(super) fn new(folders: Folders) -> ListDirectory {
        let spec = ToolSpec {
            name: "list_directory".into(),
            title: "List a directory".into(),
            description: "Lists a directory: names, kinds and sizes of what you may read. Without `root` and `path`, and with several roots, it \
                          lists the roots. What does not fit in one answer is left for the next call: give `next` as `skip`."
                .into(),
            purpose: "shows what there is in a folder",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "root": root_schema(),
                    "path": path_schema("the directory, by default the root itself"),
                    "skip": {"type": "integer", "minimum": 0, "maximum": MAX_NAMES, "description": "how many entries to pass over"}
                },
                "additionalProperties": false
            }),
            output_schema: Some(json!({
                "type": "object",
                "properties": {
                    "roots": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "name": {"type": "string"}, "write": {"type": "boolean"}, "scratch": {"type": "boolean"}
                            },
                            "required": ["name", "write"]
                        }
                    },
                    "root": {"type": "string"},
                    "path": {"type": "string"},
                    "entries": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "name": {"type": "string"},
                                "kind": {"enum": ["file", "directory", "link", "other"]},
                                "size": {"type": "integer"}
                            },
                            "required": ["name", "kind"]
                        }
                    },
                    "next": {"type": "integer", "description": "where the rest begins, if there is more"},
                    "unreadable": {"type": "integer", "description": "entries whose names are no text, or of forms that are not accepted"}
                }
            })),
            ..reading()
        };
        ListDirectory { spec: Arc::new(spec.pinned()), folders }
    }

    /// The roots, if it is these that are asked for.
    fn roots(&self, principal: &Principal, arguments: &Arguments) -> Option<Vec<Arc<Folder>>> {
        if arguments.str("root").is_some() || arguments.str("path").is_some() {
            return None;
        }
        let roots: Vec<_> = self.folders.of(principal).map(Arc::clone).collect();
        (roots.len() != 1).then_some(roots)
    }
}

#[async_trait]
impl Tool for ListDirectory {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let (accesses, found) = match self.roots(principal, arguments) {
            Some(roots) => (
                roots.iter().map(|folder| filter(folder, &RelPath::default())).collect(),
                Found::Roots(roots),
            ),
            None => {
                let target = Target::of(&self.folders, principal, arguments, "/path").await?;
                let skip = arguments
                    .value()
                    .get("skip")
                    .and_then(Value::as_u64)
                    .and_then(|skip| usize::try_from(skip).ok());
                let (target, entries) = blocking(move |stop| {
                    let entries = match &target.kind {
                        Ok(_) => entries(&target, skip.unwrap_or(0), stop),
                        Err(refused) => Err(refused.clone()),
                    };
                    (target, entries)
                })
                .await?;
                let shown = entries.iter().flat_map(|entries| &entries.paths);
                let shown = shown.map(|path| filter(&target.folder, path));
                let accesses = std::iter::once(target.access(Action::Read)).chain(shown).collect();
                (accesses, Found::Directory { target, entries })
            }
        };
        Ok(Planned {
            accesses,
            effect: Effect::Read,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", "list".to_owned())]),
            detail: Box::new(found),
        })
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let found = permit.plan().detail::<Found>().cloned();
        let answer = match found.ok_or_else(|| ToolError::internal("the plan is not of this tool"))? {
            Found::Roots(roots) => {
                let granted =
                    roots.iter().filter(|folder| permit.grants(&filter(folder, &RelPath::default())));
                let one = |folder: &Arc<Folder>| {
                    let settings = folder.settings();
                    json!({"name": &**folder.root().name(), "write": settings.write, "scratch": settings.scratch})
                };
                json!({"roots": granted.map(one).collect::<Vec<_>>()})
            }
            Found::Directory { target, entries } => {
                let mut entries = entries.map_err(|refused| target.refuse(refused))?;
                let readable = readable(&permit);
                // MUTATE(C1-list-filter): a listing shows what policy hides
                entries.paths.retain(|path| readable.contains(path.as_str()));
                blocking(move |stop| shown(&target, &entries, stop).map_err(|refused| target.refuse(refused)))
                    .await??
            }
        };
        Ok(Output::new(Label::RETRIEVED, vec![Part::Json(answer)]))
    }
}

/// The access by which an entry is shown.
fn filter(folder: &Folder, path: &RelPath) -> Access {
    Access::filter(Action::Read, folder.object(path))
}

/// One page of the names in a directory, sorted.
fn entries(target: &Target, skip: usize, stop: &Stop) -> Result<Entries, Refusal> {
    let folder = &target.folder;
    let directory = folder.root().directory(&target.path)?;
    let (names, over) = kernel::list(std::os::fd::AsFd::as_fd(&directory), MAX_NAMES)?;
    if over {
        return Err(Refusal::Crowded { limit: MAX_NAMES });
    }
    stop.check()?;
    let mut names: Vec<Option<String>> =
        names.into_iter().map(|(name, _)| String::from_utf8(name).ok()).collect();
    names.sort();
    let all = names.len();
    let mut paths: Vec<RelPath> =
        names.into_iter().flatten().filter_map(|name| target.path.child(&name).ok()).collect();
    let unreadable = all - paths.len();
    paths.retain(|path| !folder.denies(path));
    let (end, all) = (skip.saturating_add(folder.settings().max_entries), paths.len());
    let paths = paths.into_iter().take(end).skip(skip).collect();
    Ok(Entries { paths, next: (end < all).then_some(end), unreadable })
}

fn shown(target: &Target, entries: &Entries, stop: &Stop) -> Result<Value, Refusal> {
    let root = target.folder.root();
    let mut listed = Vec::with_capacity(entries.paths.len());
    for path in &entries.paths {
        stop.check()?;
        let Some((_, name)) = path.split() else { continue };
        // What has gone in the meantime is not there.
        let Ok(stat) = root.status(path) else { continue };
        let mut entry = json!({"name": name});
        let (kind, size) = match Kind::from(&stat) {
            Kind::File => ("file", u64::try_from(stat.st_size).ok()),
            Kind::Directory => ("directory", None),
            Kind::Link => ("link", None),
            Kind::Missing | Kind::Other(_) => ("other", None),
        };
        if let Some(members) = entry.as_object_mut() {
            members.insert("kind".to_owned(), kind.into());
            members.extend(size.map(|size| ("size".to_owned(), size.into())));
        }
        listed.push(entry);
    }
    let mut answer = json!({"root": &**root.name(), "path": target.path.to_string(), "entries": listed});
    if let Some(members) = answer.as_object_mut() {
        members.extend(entries.next.map(|next| ("next".to_owned(), next.into())));
        if entries.unreadable > 0 {
            members.insert("unreadable".to_owned(), entries.unreadable.into());
        }
    }
    Ok(answer)
}
