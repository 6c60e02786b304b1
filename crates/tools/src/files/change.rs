//! Changes of files, each in one step: a reader sees the file as it was or as it will be, and nothing is overwritten unseen.
//!
//! What a change was worked out from ([`Before`]) is asserted at the moment of the change, by the kernel: new content takes the place of the
//! old by an exchange of names, and what came out is compared with what was approved. If it is something else, the exchange is undone.

use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use countersign_core::Digest;
use rustix::{fs::Stat, io::Errno};

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

/// What was at a path before a change.
pub(super) enum Before {
    /// Nothing.
    Absent,
    /// A file with this content.
    Content(Vec<u8>, Box<Stat>),
}

impl Before {
    /// Reads what is there: nothing, or a file that is not too large.
    pub(super) fn read(folder: &Folder, path: &RelPath) -> Result<Before, Refusal> {
        let (file, stat) = match folder.root().file(path) {
            Err(Refusal::Missing) => return Ok(Before::Absent),
            found => found?,
        };
        let content = whole(file, &stat, folder.settings().max_file)?;
        Ok(Before::Content(content, Box::new(stat)))
    }

    /// The content; none if nothing was there.
    pub(super) fn content(&self) -> Option<&[u8]> {
        match self {
            Before::Absent => None,
            Before::Content(content, _) => Some(content),
        }
    }

    /// What an approval is bound to: whether there was something, and every byte of it.
    pub(super) fn digest(&self) -> Digest {
        let fields = self.content().map_or([&b"absent"[..], &[]], |content| [&b"content"[..], content]);
        Digest::of_fields("countersign file v1", fields)
    }

    /// The SHA-256 that callers know it by; `absent` if nothing was there.
    pub(super) fn name(&self) -> String {
        self.content().map_or_else(|| "absent".to_owned(), |content| Digest::of(content).to_string())
    }
}

/// Puts `content` in the place of what was there.
pub(super) fn put(folder: &Folder, path: &RelPath, before: &Before, content: &[u8]) -> Result<(), Refusal> {
    let (directory, name) = place(folder, path)?;
    let directory = directory.as_fd();
    // The new content is never readable to more people than the old.
    let mode = match before {
        Before::Absent => 0o666,
        Before::Content(..) => 0o600,
    };
    let unfinished = Unfinished::create(directory, mode)?;
    let mut file = &unfinished.file;
    file.write_all(content)?;
    if let Before::Content(_, stat) = before {
        kernel::set_mode(file, stat.st_mode)?;
    }
    file.sync_all()?;
    match before {
        Before::Absent => {
            kernel::rename_new((directory, &unfinished.name), (directory, name)).map_err(new_refused)?;
            unfinished.keep();
        }
        Before::Content(expected, _) => {
            kernel::exchange(directory, &unfinished.name, name).map_err(exchange_refused)?;
            // From here on the unfinished name holds what was there: it goes with the guard.
            // MUTATE(C3-assert): a write replaces whatever is there by now
            if !holds(folder, directory, &unfinished.name, expected) {
                let undone = kernel::exchange(directory, &unfinished.name, name);
                if undone.is_err() {
                    // INVARIANT: what nobody approved the loss of is not removed.
                    unfinished.keep();
                }
                return undone.map_or_else(|errno| Err(errno.into()), |()| Err(Refusal::Changed));
            }
        }
    }
    sync(directory)
}

/// Removes a file that holds what it held.
pub(super) fn remove(folder: &Folder, path: &RelPath, expected: &[u8]) -> Result<(), Refusal> {
    let (directory, name) = place(folder, path)?;
    let directory = directory.as_fd();
    let aside = unfinished_name();
    kernel::rename_new((directory, name), (directory, &aside)).map_err(exchange_refused)?;
    // MUTATE(C3-assert-delete): a deletion removes whatever is there by now
    if !holds(folder, directory, &aside, expected) {
        kernel::rename_new((directory, &aside), (directory, name))?;
        return Err(Refusal::Changed);
    }
    kernel::remove(directory, &aside)?;
    sync(directory)
}

/// Gives a file another name, which nothing has yet.
pub(super) fn rename(folder: &Folder, from: &RelPath, to: &RelPath, expected: Digest) -> Result<(), Refusal> {
    let (old, old_name) = place(folder, from)?;
    let (new, new_name) = place(folder, to)?;
    let (old, new) = (old.as_fd(), new.as_fd());
    kernel::rename_new((old, old_name), (new, new_name)).map_err(exchange_refused)?;
    let moved = kernel::open(new, new_name, Open::Look).and_then(kernel::stat);
    // MUTATE(C3-assert-move): a move takes whatever is there by now
    if !moved.is_ok_and(|stat| regular(&stat).is_ok() && identity(&stat) == expected) {
        kernel::rename_new((new, new_name), (old, old_name))?;
        return Err(Refusal::Changed);
    }
    sync(old)?;
    sync(new)
}

/// By what a file is known that is not read: which it is, its size, and when it was last written.
pub(super) fn identity(stat: &Stat) -> Digest {
    let numbers = [
        stat.st_dev.to_string(),
        stat.st_ino.to_string(),
        stat.st_size.to_string(),
        stat.st_mtime.to_string(),
        stat.st_mtime_nsec.to_string(),
    ];
    Digest::of_fields("countersign file identity v1", numbers.iter().map(String::as_bytes))
}

/// Makes the directories above a path that are missing.
pub(super) fn make_parents(folder: &Folder, path: &RelPath) -> Result<(), Refusal> {
    let Some((parent, _)) = path.split() else { return Ok(()) };
    match folder.root().directory(&parent) {
        Err(Refusal::Missing) => {
            make_parents(folder, &parent)?;
            let (directory, name) = place(folder, &parent)?;
            match kernel::make_dir(directory.as_fd(), name) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(other) => Err(other.into()),
            }
        }
        found => found.map(drop),
    }
}

/// The open directory that holds a path, and the name there.
fn place<'p>(folder: &Folder, path: &'p RelPath) -> Result<(OwnedFd, &'p str), Refusal> {
    let (parent, name) = path.split().ok_or(Refusal::Kind { found: "the root", wanted: "a file" })?;
    Ok((folder.root().directory(&parent)?, name))
}

/// Whether a name holds exactly this content, in a file that is regular and has no other name.
fn holds(folder: &Folder, directory: BorrowedFd<'_>, name: &str, expected: &[u8]) -> bool {
    let held = || {
        regular(&kernel::stat(kernel::open(directory, name, Open::Look)?)?)?;
        let file = kernel::open(directory, name, Open::Read)?;
        let stat = kernel::stat(&file)?;
        regular(&stat)?;
        whole(File::from(file), &stat, folder.settings().max_file)
    };
    held().is_ok_and(|content| content == expected)
}

fn whole(file: File, stat: &Stat, limit: u64) -> Result<Vec<u8>, Refusal> {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let content = up_to(&file, limit.saturating_add(1), size)?;
    // MUTATE(C3-file-limit): files of any size are read whole
    if content.len() as u64 > limit {
        return Err(Refusal::TooLarge { limit });
    }
    Ok(content)
}

/// A file that is being written; its name goes with this value.
struct Unfinished<'d> {
    directory: BorrowedFd<'d>,
    name: String,
    file: File,
    kept: bool,
}

impl<'d> Unfinished<'d> {
    fn create(directory: BorrowedFd<'d>, mode: u32) -> Result<Unfinished<'d>, Refusal> {
        let name = unfinished_name();
        let file = File::from(kernel::open(directory, &name, Open::Create { mode })?);
        Ok(Unfinished { directory, name, file, kept: false })
    }

    /// The file has its own name by now.
    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody can be told; what stays behind is invisible to callers.
            let _ = kernel::remove(self.directory, &self.name);
        }
    }
}

/// A name that nothing has: its file is made exclusively, so that one which exists is never opened.
fn unfinished_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{UNFINISHED}{}-{}-{}", process::id(), now.as_nanos(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn sync(directory: BorrowedFd<'_>) -> Result<(), Refusal> {
    Ok(kernel::sync(directory)?)
}

fn new_refused(errno: Errno) -> Refusal {
    match errno {
        Errno::EXIST => Refusal::Changed,
        other => exchange_refused(other),
    }
}

fn exchange_refused(errno: Errno) -> Refusal {
    match errno {
        Errno::NOENT => Refusal::Changed,
        Errno::INVAL | Errno::NOSYS => Refusal::NoExchange,
        other => other.into(),
    }
}
