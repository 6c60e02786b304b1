//! The scratch folder of a jail without namespaces: a folder of the host, watched while the program runs and removed afterwards.
//!
//! With namespaces the scratch folder is a file system in memory of its own, which vanishes with the jail.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags},
    io::Errno,
    process::{Gid, Uid},
};

use super::cgroup::{PREFIX, is_stale};
use crate::jail::NOBODY;

/// Where they are made.
const PARENT: &str = "/tmp";
/// More entries than this are an attempt to fill the disk by other means than bytes.
const ENTRIES: u64 = 4096;
/// Folders nested deeper than this, likewise.
const DEPTH: usize = 32;

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::RDONLY).union(OFlags::CLOEXEC);

/// A scratch folder. Dropping removes it, whatever is in it.
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
    pub(crate) folder: OwnedFd,
}

impl Scratch {
    /// Makes one that belongs to the user whom the jailed program will be.
    pub(crate) fn make(privileged: bool) -> io::Result<Scratch> {
        let pid = rustix::process::getpid().as_raw_nonzero();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
        // Nobody else can have made a folder of this name beforehand.
        let path = PathBuf::from(format!("{PARENT}/{PREFIX}{pid}-{now}"));
        rustix::fs::mkdir(&path, Mode::RWXU)?;
        let folder = rustix::fs::open(&path, FOLDER, Mode::empty())?;
        let scratch = Scratch { path, folder };
        if privileged {
            rustix::fs::fchown(&scratch.folder, Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY)))?;
        }
        Ok(scratch)
    }

    /// Whether it holds more than `limit` bytes, or far too many files. What cannot be looked into counts as too much.
    pub(crate) fn is_full(&self, limit: u64) -> bool {
        let mut entries = 0;
        match size(self.folder.as_fd(), DEPTH, &mut entries) {
            Ok(bytes) => bytes > limit || entries > ENTRIES,
            // It changes under our eyes: the next look tells.
            Err(Errno::NOENT) => false,
            Err(_) => true,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // MUTATE(E1-scratch): it stays
        let _ = empty(self.folder.as_fd());
        let _ = rustix::fs::rmdir(&self.path);
    }
}

/// Removes the folders of supervisors that no longer exist.
pub(crate) fn sweep() {
    let Ok(entries) = std::fs::read_dir(PARENT) else { return };
    for entry in entries.flatten().filter(|entry| is_stale(&entry.file_name().to_string_lossy())) {
        let Ok(folder) = rustix::fs::open(entry.path(), FOLDER, Mode::empty()) else { continue };
        let own = [NOBODY, rustix::process::geteuid().as_raw()];
        if rustix::fs::fstat(&folder).is_ok_and(|status| own.contains(&status.st_uid)) {
            drop(Scratch { path: entry.path(), folder });
        }
    }
}

fn size(folder: BorrowedFd<'_>, depth: usize, entries: &mut u64) -> Result<u64, Errno> {
    let mut bytes: u64 = 0;
    for (name, _) in list(folder)? {
        *entries = entries.saturating_add(1);
        let status = rustix::fs::statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        bytes = bytes.saturating_add(u64::try_from(status.st_size).unwrap_or(u64::MAX));
        if FileType::from_raw_mode(status.st_mode).is_dir() {
            let depth = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
            let inner = rustix::fs::openat(folder, &name, FOLDER, Mode::empty())?;
            bytes = bytes.saturating_add(size(inner.as_fd(), depth, entries)?);
        }
        if *entries > ENTRIES {
            break;
        }
    }
    Ok(bytes)
}

/// Empties a folder by bringing nested folders up to it, so that no depth exhausts our stack or descriptors.
fn empty(top: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut number: u64 = 0;
    loop {
        let entries = list(top)?;
        if entries.is_empty() {
            return Ok(());
        }
        for (name, _) in entries {
            if rustix::fs::unlinkat(top, &name, AtFlags::empty()).is_ok() {
                continue;
            }
            reopen(top, &name)?;
            let inner = rustix::fs::openat(top, &name, FOLDER, Mode::empty())?;
            for (child, _) in list(inner.as_fd())? {
                if rustix::fs::unlinkat(&inner, &child, AtFlags::empty()).is_err() {
                    number = number.saturating_add(1);
                    reopen(inner.as_fd(), &child)?;
                    rustix::fs::renameat(&inner, &child, top, format!("{PREFIX}nested-{number}"))?;
                }
            }
            rustix::fs::unlinkat(top, &name, AtFlags::REMOVEDIR)?;
        }
    }
}

/// Gives us the rights to a folder that a program may have taken away. Never follows a link: the folder is held while its mode changes.
fn reopen(folder: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let held = rustix::fs::openat(folder, name, FOLDER | OFlags::PATH, Mode::empty())?;
    rustix::fs::chmod(format!("/proc/self/fd/{}", held.as_raw_fd()), Mode::RWXU)
}

fn list(folder: BorrowedFd<'_>) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            found.push((name.to_owned(), entry.file_type()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn made() -> (tempfile::TempDir, Scratch) {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("scratch");
        fs::create_dir(&path).unwrap();
        let folder = rustix::fs::open(&path, FOLDER, Mode::empty()).unwrap();
        (parent, Scratch { path, folder })
    }

    #[test]
    fn any_content_is_removed() {
        let (parent, scratch) = made();
        let outside = parent.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, scratch.path.join("link")).unwrap();
        fs::create_dir_all(scratch.path.join(vec!["deep"; 200].join("/"))).unwrap();
        fs::write(scratch.path.join("deep/deep/file"), "x").unwrap();
        let closed = scratch.path.join("closed");
        fs::create_dir(&closed).unwrap();
        rustix::fs::chmod(&closed, Mode::empty()).unwrap();
        let path = scratch.path.clone();
        drop(scratch);
        assert!(!path.exists() && outside.join("kept").exists());
    }

    #[test]
    fn bytes_entries_and_depth_all_fill_it() {
        let (_parent, scratch) = made();
        let fill = |path: &str| fs::write(scratch.path.join(path), [0; 600]).unwrap();
        fill("a");
        assert!(!scratch.is_full(10_000));
        fs::create_dir(scratch.path.join("b")).unwrap();
        fill("b/c");
        assert!(scratch.is_full(1000));
        fs::create_dir_all(scratch.path.join(vec!["deep"; 40].join("/"))).unwrap();
        assert!(scratch.is_full(u64::MAX));
        fs::remove_dir_all(scratch.path.join("deep")).unwrap();
        for number in 0..5000 {
            fs::write(scratch.path.join(format!("n{number}")), "").unwrap();
        }
        assert!(scratch.is_full(u64::MAX) && Path::new(&scratch.path).exists());
    }
}
