//! Changes of files, each in one step: a reader sees the file as it was or as it will be, and nothing is overwritten unseen.
//!
//! What a change was worked out from ([`Before`]) is asserted at the moment of the change, by the kernel: new content takes the place of the
//! old by an exchange of names, and what came out is compared with what was approved. If it is something else, the exchange is undone.

use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use countersign_core::Digest;
use rustix::{
    fs::Stat,
    io::Errno,
    process::{Gid, Uid},
};

use super::{
    edit::ABSENT,
    folder::Folder,
    kernel::{self, Open},
    path::RelPath,
    read::up_to,
    refusal::Refusal,
    root::regular,
    unfinished::{Unfinished, aside, sweep_here},
};

#[cfg(test)]
pub(super) mod tests;

/// Who may do what with a file.
pub(super) struct Rights {
    owner: Uid,
    group: Gid,
    mode: u32,
    /// Its access list (POSIX.1e), as the kernel keeps it; none if it has none.
    list: Option<Vec<u8>>,
}

/// What was at a path before a change.
pub(super) enum Before {
    /// Nothing.
    Absent,
    /// A file with this content.
    Content(Vec<u8>, Box<Rights>),
}

impl Before {
    /// Reads what is there: nothing, or a file that is not too large.
    pub(super) fn read(folder: &Folder, path: &RelPath) -> Result<Before, Refusal> {
        let (file, stat) = match folder.root().file(path) {
            Err(Refusal::Missing) => return Ok(Before::Absent),
            found => found?,
        };
        let rights = Rights::of(&file, &stat)?;
        let content = whole(file, &stat, folder.settings().max_file)?;
        Ok(Before::Content(content, Box::new(rights)))
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
        self.content().map_or_else(|| ABSENT.to_owned(), |content| Digest::of(content).to_string())
    }
}

impl Rights {
    fn of(file: &File, stat: &Stat) -> Result<Rights, Refusal> {
        let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        Ok(Rights { owner, group, mode: stat.st_mode, list: kernel::access_list(file)? })
    }

    /// Gives a new file these rights, as far as this process may; never more.
    fn give(&self, file: &File) -> Result<(), Refusal> {
        let fresh = kernel::stat(file)?;
        if (fresh.st_uid, fresh.st_gid) != (self.owner.as_raw(), self.group.as_raw()) {
            // Only root gives files away; the owner of a file may give it to a group of his own.
            if kernel::give(file, Some(self.owner), self.group).is_err() {
                let _ = kernel::give(file, None, self.group);
            }
        }
        let same_group = kernel::stat(file)?.st_gid == self.group.as_raw();
        kernel::set_access_list(file, self.list.as_deref().filter(|_| same_group))?;
        let mode = match same_group {
            true => self.mode,
            // MUTATE(C3-group): what a group could read, another can
            false => common(self.mode, self.list.is_some()),
        };
        Ok(kernel::set_mode(file, mode)?)
    }
}

/// The permissions of a file whose group is lost: its members are others now, and others its members. Behind an access list the bits of the
/// group are those of everybody in the list, so that nobody in particular has them.
fn common(mode: u32, listed: bool) -> u32 {
    let both = if listed { 0 } else { (mode >> 3) & mode & 0o7 };
    (mode & 0o700) | (both << 3) | both
}

/// Puts `content` in the place of what was there.
pub(super) fn put(folder: &Folder, path: &RelPath, before: &Before, content: &[u8]) -> Result<(), Refusal> {
    let (directory, name) = place(folder, path)?;
    let directory = directory.as_fd();
    sweep_here(folder, directory);
    // INVARIANT: the new content is never readable to more people than the old.
    let (mode, loses) = match before {
        Before::Absent => (0o666, None),
        Before::Content(old, _) => (0o600, Some(Digest::of(old))),
    };
    let unfinished = Unfinished::create(directory, mode, loses)?;
    let mut file = &unfinished.file;
    file.write_all(content)?;
    if let Before::Content(_, rights) = before {
        rights.give(file)?;
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
    sweep_here(folder, directory);
    let aside = aside(Digest::of(expected));
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

/// How many directories above a path are missing.
pub(super) fn missing_parents(folder: &Folder, path: &RelPath) -> Result<u64, Refusal> {
    let Some((parent, _)) = path.split() else { return Ok(0) };
    match folder.root().directory(&parent) {
        Err(Refusal::Missing) => Ok(missing_parents(folder, &parent)?.saturating_add(1)),
        found => found.map(|_| 0),
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
