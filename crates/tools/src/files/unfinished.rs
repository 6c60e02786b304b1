//! Names of our own beside the files of a root: content that is being written, and what a change has put aside. They last for the moment of
//! a change. A server that is killed in that moment leaves one behind; [`sweep`] clears it up, as does the next change in that directory.
//!
//! INVARIANT: what nobody approved the loss of is not removed. So a name says what may go: the number of the file that we made, which has
//! not taken anybody's place as long as it is still there, and the digest of the content that people let go. Anything else stays.

use std::{
    fs::File,
    os::fd::{AsFd as _, BorrowedFd},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use countersign_core::Digest;
use rustix::fs::{FileType, Stat};

use super::{
    folder::Folder,
    kernel::{self, Open},
    path::{RelPath, UNFINISHED},
    read::up_to,
    refusal::Refusal,
    root::regular,
};

#[cfg(test)]
mod tests;

/// How long a name of ours is left alone after its last change: any change is over by then.
const MOMENT: i64 = 600;
/// Entries that one sweep of a root looks at, and one sweep of a directory beside a change.
const ENTRIES: usize = 1_000_000;
const ENTRIES_HERE: usize = 1_000;
/// How deep a sweep goes.
const DEPTH: usize = 64;

/// A file that is being written; its name goes with this value.
pub(super) struct Unfinished<'d> {
    directory: BorrowedFd<'d>,
    pub(super) name: String,
    pub(super) file: File,
    kept: bool,
}

impl<'d> Unfinished<'d> {
    /// Makes an empty file, which will take the place of content with the digest `loses`; none if it takes nobody's place.
    pub(super) fn create(
        directory: BorrowedFd<'d>,
        mode: u32,
        loses: Option<Digest>,
    ) -> Result<Unfinished<'d>, Refusal> {
        let name = name(Made::Now, loses);
        let file = File::from(kernel::open(directory, &name, Open::Create { mode })?);
        // A file system without locks has the age of the file to go by.
        let _ = kernel::lock(&file);
        let mut made = Unfinished { directory, name, file, kept: false };
        let numbered = self::name(Made::Number(kernel::stat(&made.file)?.st_ino), loses);
        kernel::rename_new((directory, &made.name), (directory, &numbered))?;
        made.name = numbered;
        Ok(made)
    }

    /// The file has its own name by now.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody can be told; what stays behind is invisible to callers, and swept later.
            let _ = kernel::remove(self.directory, &self.name);
        }
    }
}

/// A name for a file that is put aside to be removed, with content of this digest.
pub(super) fn aside(loses: Digest) -> String {
    name(Made::Never, Some(loses))
}

/// Which file of ours a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Made {
    /// One that is being made, and empty.
    Now,
    /// The one with this number.
    Number(u64),
    /// None: it was somebody's before.
    Never,
}

/// A name that nothing has: its file is made exclusively, so that one which exists is never opened.
fn name(made: Made, loses: Option<Digest>) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let made = match made {
        Made::Now => "new".to_owned(),
        Made::Number(number) => number.to_string(),
        Made::Never => "old".to_owned(),
    };
    let loses = loses.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{UNFINISHED}{made}-{loses}-{}-{now}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What a name says; none if we did not make it.
fn read_name(name: &str) -> Option<(Made, &str)> {
    let mut parts = name.strip_prefix(UNFINISHED)?.split('-');
    let made = match parts.next()? {
        "new" => Made::Now,
        "old" => Made::Never,
        number => Made::Number(number.parse().ok()?),
    };
    let loses = parts.next()?;
    (parts.count() == 3).then_some((made, loses))
}

/// What a sweep found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Swept {
    /// How many files were removed.
    pub removed: usize,
    /// Files that hold what nobody approved the loss of, by their true paths: somebody must look at them.
    pub kept: Vec<String>,
}

/// Clears up what was left behind below a whole root. Waits for the disk.
pub fn sweep(folder: &Folder) -> Swept {
    sweep_after(folder, MOMENT)
}

fn sweep_after(folder: &Folder, moment: i64) -> Swept {
    let mut swept = Swept::default();
    let mut budget = ENTRIES;
    let mut pending = vec![(RelPath::default(), 0)];
    while let Some((path, depth)) = pending.pop() {
        // What went, is another mount, or is not ours to read has nothing of ours in it.
        let Ok(directory) = folder.root().directory(&path) else { continue };
        let Ok((names, _)) = kernel::list(directory.as_fd(), budget) else { continue };
        budget -= names.len();
        for (name, kind) in names {
            let Ok(name) = String::from_utf8(name) else { continue };
            if name.starts_with(UNFINISHED) {
                swept.note(&path, &name, clear(folder, directory.as_fd(), &name, moment));
            } else if matches!(kind, FileType::Directory | FileType::Unknown)
                && depth < DEPTH
                && let Ok(below) = path.child(&name)
            {
                pending.push((below, depth + 1));
            }
        }
    }
    swept
}

/// The same for one directory, in which something is about to be changed; a large one is left to the sweep of the whole root.
pub(super) fn sweep_here(folder: &Folder, directory: BorrowedFd<'_>) {
    let Ok((names, false)) = kernel::list(directory, ENTRIES_HERE) else { return };
    for name in names.into_iter().filter_map(|(name, _)| String::from_utf8(name).ok()) {
        if name.starts_with(UNFINISHED) {
            clear(folder, directory, &name, MOMENT);
        }
    }
}

/// What becomes of one name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Removed,
    /// A change is under way, or it went by itself.
    Busy,
    Kept,
}

impl Swept {
    fn note(&mut self, directory: &RelPath, name: &str, fate: Fate) {
        match fate {
            Fate::Removed => self.removed += 1,
            Fate::Busy => {}
            Fate::Kept if directory.is_root() => self.kept.push(name.to_owned()),
            Fate::Kept => self.kept.push(format!("{directory}/{name}")),
        }
    }
}

fn clear(folder: &Folder, directory: BorrowedFd<'_>, name: &str, moment: i64) -> Fate {
    let look = || -> Result<(File, Stat), Refusal> {
        let seen = kernel::stat(kernel::open(directory, name, Open::Look)?)?;
        regular(&seen)?;
        let file = kernel::open(directory, name, Open::Read)?;
        let stat = kernel::stat(&file)?;
        regular(&stat)?;
        Ok((File::from(file), stat))
    };
    let (file, stat) = match look() {
        Ok(found) => found,
        Err(Refusal::Missing) => return Fate::Busy,
        Err(_) => return Fate::Kept,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let age = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(stat.st_ctime);
    // MUTATE(C3-sweep-busy): a file that somebody is writing is swept away
    if age < moment || kernel::lock(&file).is_err() {
        return Fate::Busy;
    }
    let may_go = match read_name(name) {
        Some((Made::Now, _)) => stat.st_size == 0,
        Some((made, loses)) => {
            made == Made::Number(stat.st_ino) || holds(&file, &stat, folder.settings().max_file, loses)
        }
        None => false,
    };
    // MUTATE(C3-sweep-kept): a sweep removes what nobody approved the loss of
    match may_go && kernel::remove(directory, name).is_ok() {
        true => Fate::Removed,
        false => Fate::Kept,
    }
}

/// Whether a file holds content of this digest; one that is too large to have been changed does not.
fn holds(file: &File, stat: &Stat, limit: u64, digest: &str) -> bool {
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    size <= limit && up_to(file, limit, size).is_ok_and(|content| Digest::of(&content).to_string() == digest)
}
