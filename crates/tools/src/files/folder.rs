//! A root with what the operator says of it, and how a call's arguments become something below it.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use countersign_core::{Access, Action, Arguments, Object, Permit, Principal, ToolError};
use serde_json::{Value, json};

use super::{
    globs::Globs,
    path::RelPath,
    quota::{Quota, Room, taken},
    refusal::Refusal,
    root::{Kind, Root},
};

/// A root and its settings.
#[derive(Debug)]
pub struct Folder {
    root: Root,
    settings: FolderSettings,
    quota: Option<Quota>,
}

/// What the operator says of a root.
#[derive(Clone, Debug)]
pub struct FolderSettings {
    /// The only tenant that it exists for; without one, policy alone decides.
    pub tenant: Option<Arc<str>>,
    /// Whether there are tools that change it.
    pub write: bool,
    /// Whether it holds nothing but what may be lost.
    pub scratch: bool,
    /// What is never touched in it.
    pub deny: Globs,
    /// The most bytes of a file that one call returns.
    pub max_read: u64,
    /// The largest file that is searched, edited or written, in bytes.
    pub max_file: u64,
    /// The most entries of a directory that one call lists.
    pub max_entries: usize,
    /// The most files that one search looks at.
    pub max_search: usize,
    /// What the root may hold, in bytes; without it, what the disk does.
    pub quota: Option<u64>,
}

impl Folder {
    /// A root with its settings.
    pub fn new(root: Root, settings: FolderSettings) -> Folder {
        let quota = settings.quota.map(Quota::new);
        Folder { root, settings, quota }
    }

    /// The root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The settings.
    pub fn settings(&self) -> &FolderSettings {
        &self.settings
    }

    /// Room for a change from one content to another (none: no file), with so many new directories. It is held until it is dropped.
    pub(super) fn room(
        &self,
        before: Option<&[u8]>,
        after: Option<&[u8]>,
        directories: u64,
        stop: &Stop,
    ) -> Result<Option<Room<'_>>, Refusal> {
        let size = |content: Option<&[u8]>| content.map_or(0, |content| taken(content.len() as u64));
        let after = size(after).saturating_add(directories.saturating_mul(taken(0)));
        self.quota.as_ref().map(|quota| quota.room(self, size(before), after, stop)).transpose()
    }

    /// The object of policies that a path is.
    pub(super) fn object(&self, path: &RelPath) -> Object {
        Object::File { root: Arc::clone(self.root.name()), path: path.as_str().to_owned() }
    }

    /// Whether the configuration denies a path.
    pub(super) fn denies(&self, path: &RelPath) -> bool {
        self.settings.deny.matches(path)
    }
}

/// All roots, in the order of their names.
#[derive(Clone, Debug)]
pub(super) struct Folders(Arc<[Arc<Folder>]>);

impl Folders {
    pub(super) fn new(folders: &[Arc<Folder>]) -> Folders {
        let mut folders = folders.to_vec();
        folders.sort_by(|a, b| a.root.name().cmp(b.root.name()));
        Folders(folders.into())
    }

    /// The roots that exist for a caller.
    pub(super) fn of(&self, principal: &Principal) -> impl Iterator<Item = &Arc<Folder>> {
        // MUTATE(H7-root): a tenant's root exists for other tenants
        self.0.iter().filter(|folder| {
            folder.settings.tenant.as_deref().is_none_or(|tenant| tenant == principal.tenant())
        })
    }

    /// The root that the argument `root` names, or the only one.
    pub(super) fn find(&self, principal: &Principal, name: Option<&str>) -> Result<&Arc<Folder>, ToolError> {
        let mut visible = self.of(principal);
        let found = match name {
            Some(name) => visible.find(|folder| **folder.root.name() == *name),
            None => visible.next().filter(|_| visible.next().is_none()),
        };
        // INVARIANT: another tenant's root and one that does not exist give the same answer.
        found.ok_or_else(|| {
            ToolError::invalid("/root", "must name a root; list_directory without arguments lists them")
        })
    }
}

/// What a call's arguments name, as the plan found it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) folder: Arc<Folder>,
    /// The true path; where resolution was refused, the path as it was given.
    pub(super) path: RelPath,
    /// What is there, or why that is nobody's business. Told after policy has decided, so that a caller without rights learns nothing.
    pub(super) kind: Result<Kind, Refusal>,
    /// The argument that named it, as a JSON pointer.
    pub(super) field: &'static str,
}

impl Target {
    /// From the arguments `root` and, at `field`, a path.
    pub(super) async fn of(
        folders: &Folders,
        principal: &Principal,
        arguments: &Arguments,
        field: &'static str,
    ) -> Result<Target, ToolError> {
        let folder = Arc::clone(folders.find(principal, arguments.str("root"))?);
        let text = arguments.str(field.trim_start_matches('/')).unwrap_or(".");
        let path = folder.root.path(text).map_err(|rule| ToolError::invalid(field, rule.to_string()))?;
        blocking(move |_| {
            let (path, kind) = match folder.root.resolve(&path) {
                Ok(found) => (found.path, Ok(found.kind)),
                Err(refused) => (path, Err(refused)),
            };
            // MUTATE(C2-deny): the deny list of a root is not asked
            let kind = if folder.denies(&path) { Err(Refusal::Denied) } else { kind };
            Target { folder, path, kind, field }
        })
        .await
    }

    /// An access to it, without which the call is refused.
    pub(super) fn access(&self, action: Action) -> Access {
        Access::required(action, self.folder.object(&self.path))
    }

    /// What is there, or the refusal that resolution ended in.
    pub(super) fn kind(&self) -> Result<Kind, ToolError> {
        self.kind.clone().map_err(|refusal| self.refuse(refusal))
    }

    /// What the caller is told of a refusal.
    pub(super) fn refuse(&self, refusal: Refusal) -> ToolError {
        refusal.of(self.field)
    }
}

/// The paths that policy lets a call read; all of them lie in its one root.
pub(super) fn readable(permit: &Permit) -> HashSet<&str> {
    let read = |access: &Access| access.action == Action::Read;
    let granted = permit.granted().iter().filter(|access| read(access));
    let paths = granted.filter_map(|access| match &access.object {
        Object::File { path, .. } => Some(path.as_str()),
        _ => None,
    });
    paths.collect()
}

/// The JSON Schema of the argument `root`.
pub(super) fn root_schema() -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9_-]+$",
        "description": "the root, by its name; may be left out if there is only one"
    })
}

/// The JSON Schema of a path.
pub(super) fn path_schema(what: &str) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 4096, "description": format!("{what}, relative to the root")})
}

/// Tells work that nobody waits for its result any more.
#[derive(Clone, Default, Debug)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether to go on.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.0.load(Ordering::Relaxed) { Err(Refusal::Stopped) } else { Ok(()) }
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs work that waits for disks where nobody else is kept waiting. Dropping the future stops the work at its next check.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> T + Send + 'static,
) -> Result<T, ToolError> {
    let stop = Stop::default();
    let _guard = StopOnDrop(stop.clone());
    let done = tokio::task::spawn_blocking(move || work(&stop)).await;
    done.map_err(|_| ToolError::internal("work on a file ended abnormally"))
}
