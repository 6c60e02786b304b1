//! The files that a program left in its scratch folder. Everything in there is hostile: names, links, sizes.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

use crate::jail::{Collect, InputFile, ResultFile};

/// Folders nested deeper than this are not looked into.
const DEPTH: usize = 16;
/// More files than this are not even counted.
const ENTRIES: u64 = 4096;

/// An input file as it was laid in.
pub(crate) struct Known {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
}

impl Known {
    fn of(folder: &OwnedFd, name: &str) -> Result<Known, Errno> {
        Ok(Known::from(&rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    fn from(status: &Stat) -> Known {
        Known {
            device: status.st_dev,
            inode: status.st_ino,
            size: status.st_size,
            modified: (status.st_mtime, status.st_mtime_nsec),
        }
    }

    fn is(&self, other: &Known) -> bool {
        (self.device, self.inode, self.size, self.modified)
            == (other.device, other.inode, other.size, other.modified)
    }
}

/// Lays files into a scratch folder.
pub(crate) fn lay(folder: &OwnedFd, inputs: &[InputFile]) -> io::Result<Vec<Known>> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lay = |input: &InputFile| {
        let file = rustix::fs::openat(folder, &input.name, flags, Mode::from_raw_mode(0o644))?;
        File::from(file).write_all(&input.bytes)?;
        Ok(Known::of(folder, &input.name)?)
    };
    inputs.iter().map(lay).collect()
}

/// Hands over every new or changed regular file, in the order of their names, and returns how many were left out.
pub(crate) fn collect<E>(
    scratch: &OwnedFd,
    inputs: &[Known],
    limits: &Collect,
    mut take: impl FnMut(ResultFile) -> Result<(), E>,
) -> Result<u64, E> {
    let mut found = Vec::new();
    let mut walk = Walk { inputs, found: &mut found, entries: 0 };
    // A folder that cannot be listed holds nothing for us; the rest still counts.
    let _ = walk.folder(scratch.as_fd(), b"", DEPTH);
    found.sort_by(|one, other| one.name.cmp(&other.name));
    let left_out = found.len().saturating_sub(limits.files);
    let mut total: u64 = 0;
    for file in found.into_iter().take(limits.files) {
        let fits = file.size <= limits.file_size && total.saturating_add(file.size) <= limits.total;
        let bytes = if fits { file.read(scratch) } else { None };
        total = total.saturating_add(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64));
        let size = bytes.as_ref().map_or(file.size, |bytes| bytes.len() as u64);
        take(ResultFile { name: file.name, size, bytes })?;
    }
    Ok(left_out as u64)
}

struct Found {
    name: String,
    size: u64,
    path: Vec<u8>,
}

impl Found {
    /// Its content. Everything that could change it is dead.
    fn read(&self, scratch: &OwnedFd) -> Option<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let file = rustix::fs::openat2(scratch, self.path.as_slice(), flags, Mode::empty(), beneath).ok()?;
        let mut bytes = Vec::new();
        File::from(file).take(self.size).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

struct Walk<'a> {
    inputs: &'a [Known],
    found: &'a mut Vec<Found>,
    entries: u64,
}

impl Walk<'_> {
    fn folder(&mut self, folder: BorrowedFd<'_>, prefix: &[u8], depth: usize) -> Result<(), Errno> {
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.entries = self.entries.saturating_add(1);
            if self.entries > ENTRIES {
                return Err(Errno::TOOBIG);
            }
            let status = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let mut path = [prefix, name.to_bytes()].concat();
            match FileType::from_raw_mode(status.st_mode) {
                FileType::Directory => {
                    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let inner = rustix::fs::openat(folder, name, flags, Mode::empty());
                    if let (Ok(inner), Some(depth)) = (inner, depth.checked_sub(1)) {
                        path.push(b'/');
                        let _ = self.folder(inner.as_fd(), &path, depth);
                    }
                }
                FileType::RegularFile if !self.is_input(&status) => self.found.push(Found {
                    name: String::from_utf8_lossy(&path).into_owned(),
                    size: u64::try_from(status.st_size).unwrap_or(0),
                    path,
                }),
                _ => {}
            }
        }
        Ok(())
    }

    fn is_input(&self, status: &Stat) -> bool {
        let known = Known::from(status);
        self.inputs.iter().any(|input| input.is(&known))
    }
}
