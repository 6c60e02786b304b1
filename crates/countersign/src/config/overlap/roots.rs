//! Roots of files, against everything that must not be reached through one: our own files, databases, and roots of other tenants.
//!
//! INVARIANT: it is the open directory that is compared, the one that is served; what its path names by now does not matter.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use countersign_tools::files::Folder;

use super::{Config, MAX_ENTRIES, Problem, Raw, Source};

/// A file as the kernel knows it.
type Inode = (u64, u64);

pub(super) fn problems(config: &Config, raw: &Raw, ours: &[(&'static str, PathBuf)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, folder) in &config.folders {
        let key = format!("files.{name}.root");
        let place = raw.values.get(&key).and_then(|read| read.place);
        let mut problem = |message: String, help: &str| {
            problems.push(Problem { place, message, help: Some(help.to_owned()) });
        };
        let Some(root) = inode(folder) else {
            problem(format!("`{key}` cannot be examined"), "the directory must be readable");
            continue;
        };
        for (what, path) in ours {
            // MUTATE(P3-root-overlap): a root may hold Countersign's own files
            if meets(root, path) {
                problem(
                    format!("`{key}` holds, or lies in, Countersign's own {what}"),
                    "callers could read or change it; give a directory that is theirs alone",
                );
            }
        }
        for (what, anchor) in super::anchors(config).iter().filter(|_| folder.settings().write) {
            // MUTATE(P3-root-anchor): callers may write what decides whom Countersign believes
            if meets(root, anchor) {
                problem(
                    format!("`{key}` is written to and holds the {what}"),
                    "callers could change whom Countersign believes; keep certificates elsewhere",
                );
            }
        }
        for (database, settings) in &config.databases {
            let Source::Sqlite { file, .. } = &settings.source else { continue };
            // MUTATE(P3-root-database): a database can be read as a file, past the policies for its tables
            if meets(root, file) {
                problem(
                    format!("`{key}` holds the database `{database}`"),
                    "callers could read or change it past the policies for its tables; keep databases elsewhere",
                );
            }
        }
        for (other_name, other) in &config.folders {
            let apart = folder.settings().tenant != other.settings().tenant;
            // MUTATE(H7-root-overlap): a tenant's root may lie in a root of others
            if apart && other_name != name && other.root().location().is_none_or(|path| meets(root, &path)) {
                problem(
                    format!("`{key}` holds, or lies in, `files.{other_name}.root`, which is for others"),
                    "roots of different tenants must lie apart",
                );
            }
        }
    }
    problems.extend(shown(config, raw, ours));
    problems
}

/// What contained programs are shown of the machine, besides roots and the system's own folders.
fn shown(config: &Config, raw: &Raw, ours: &[(&'static str, PathBuf)]) -> Vec<Problem> {
    let packages = config
        .python
        .iter()
        .filter_map(|python| Some(("python.packages".to_owned(), python.packages.as_ref()?)));
    let read = config.commands.iter().flat_map(|(name, command)| {
        command.read.iter().map(move |path| (format!("commands.{name}.read"), path))
    });
    let mut problems = Vec::new();
    for (key, path) in packages.chain(read) {
        let place = raw.values.get(&key).and_then(|read| read.place);
        let meta = fs::metadata(path).ok();
        for (what, our) in ours {
            // MUTATE(P3-shown-overlap): a program may be shown Countersign's own files
            if meta.as_ref().is_none_or(|meta| meets((meta.dev(), meta.ino()), our)) {
                let message = format!("`{key}` holds, or lies in, Countersign's own {what}");
                let help = Some("programs of callers could read it; name only what they need".to_owned());
                problems.push(Problem { place, message, help });
            }
        }
    }
    problems
}

fn inode(folder: &Arc<Folder>) -> Option<Inode> {
    let meta = fs::File::from(folder.root().fd().try_clone_to_owned().ok()?).metadata().ok()?;
    Some((meta.dev(), meta.ino()))
}

/// Whether a directory holds a path, is it, or lies below it. Fails closed: what cannot be examined meets.
fn meets(root: Inode, path: &Path) -> bool {
    let mut path = path.to_owned();
    let mut exists = true;
    let real = loop {
        match path.canonicalize() {
            Ok(real) => break real,
            // What does not exist yet will lie in the nearest directory that does.
            Err(e) if e.kind() == io::ErrorKind::NotFound && path.pop() => exists = false,
            Err(_) => return true,
        }
    };
    let above = real.ancestors().any(|ancestor| same(root, ancestor));
    above || (exists && real.is_dir() && below(root, &real))
}

fn same(root: Inode, path: &Path) -> bool {
    fs::metadata(path).map_or(true, |meta| (meta.dev(), meta.ino()) == root)
}

/// Whether a directory is somewhere below another.
fn below(root: Inode, base: &Path) -> bool {
    let (mut pending, mut seen) = (vec![base.to_owned()], 0_usize);
    while let Some(dir) = pending.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { return true };
        for entry in entries {
            seen += 1;
            let Ok(entry) = entry else { return true };
            let Ok(kind) = entry.file_type() else { return true };
            if seen > MAX_ENTRIES {
                return true;
            }
            if kind.is_dir() {
                if same(root, &entry.path()) {
                    return true;
                }
                pending.push(entry.path());
            }
        }
    }
    false
}
