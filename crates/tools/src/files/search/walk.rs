//! Which files a search is about: names only, nothing is read. Each directory is opened below the root by its true path.

use std::os::fd::AsFd as _;

use rustix::fs::FileType;

use crate::files::{
    folder::{Folder, Stop},
    globs::Globs,
    kernel,
    path::RelPath,
    refusal::Refusal,
    root::Kind,
};

/// Which files are wanted.
pub(super) struct Scope {
    pub(super) glob: Option<Globs>,
    pub(super) exclude: Option<Globs>,
}

/// The files that were found.
#[derive(Clone)]
pub(super) struct Candidates {
    pub(super) files: Vec<RelPath>,
    /// There are more than a search may look at.
    pub(super) truncated: bool,
}

/// Entries that one search looks at, directories included, for each file that it may read.
const ENTRIES_PER_FILE: usize = 20;
/// How deep it goes below where it starts.
const MAX_DEPTH: usize = 64;

pub(super) fn walk(
    folder: &Folder,
    start: &RelPath,
    kind: Kind,
    scope: &Scope,
    stop: &Stop,
) -> Result<Candidates, Refusal> {
    match kind {
        Kind::File => return Ok(Candidates { files: vec![start.clone()], truncated: false }),
        Kind::Directory => {}
        Kind::Missing => return Err(Refusal::Missing),
        other => return Err(Refusal::Kind { found: other.name(), wanted: "a file or directory" }),
    }
    let limit = folder.settings().max_search;
    let mut budget = limit.saturating_mul(ENTRIES_PER_FILE);
    let mut found = Candidates { files: Vec::new(), truncated: false };
    let mut pending = vec![(start.clone(), 0)];
    while let Some((path, depth)) = pending.pop() {
        stop.check()?;
        let directory = match folder.root().directory(&path) {
            Ok(directory) => directory,
            Err(refused) if depth == 0 => return Err(refused),
            // It went, is another mount, or is not ours to read: there is nothing to search in it.
            Err(_) => continue,
        };
        let (mut names, over) = kernel::list(directory.as_fd(), budget)?;
        found.truncated |= over;
        budget -= names.len();
        names.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut below = Vec::new();
        for (name, kind) in names {
            let child = String::from_utf8(name).ok().and_then(|name| path.child(&name).ok());
            let Some(child) = child.filter(|child| !folder.denies(child)) else { continue };
            if scope.exclude.as_ref().is_some_and(|globs| globs.matches(&child)) {
                continue;
            }
            // Some file systems do not say in a listing what an entry is.
            let kind = match kind {
                FileType::Unknown => folder.root().status(&child).map_or(kind, |stat| kernel::kind(&stat)),
                known => known,
            };
            match kind {
                FileType::Directory if depth == MAX_DEPTH => found.truncated = true,
                FileType::Directory => below.push((child, depth + 1)),
                FileType::RegularFile if scope.glob.as_ref().is_none_or(|globs| globs.matches(&child)) => {
                    if found.files.len() == limit {
                        return Ok(Candidates { truncated: true, ..found });
                    }
                    found.files.push(child);
                }
                _ => {}
            }
        }
        pending.extend(below.into_iter().rev());
    }
    Ok(found)
}
