//! Where a container's scratch folder lies, and the sign that somebody still watches over the container.
//!
//! The daemon decides which user of the host the program is, so its folder is open to all of them, inside a room that is open to us alone.
//! The supervisor holds a lock on the room for as long as it lives. Unlike a process number, a lock means the same in every container and
//! after every restart.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags},
    io::Errno,
};

use crate::supervisor::{PREFIX, Scratch};

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::RDONLY).union(OFlags::CLOEXEC);
const EVERYBODY: Mode = Mode::RWXU.union(Mode::RWXG).union(Mode::RWXO);
const INNER: &str = "scratch";

/// A room with a scratch folder in it. Dropping removes both.
pub(super) struct Room {
    /// Dropped first.
    scratch: Scratch,
    outer: Scratch,
    name: String,
}

impl Room {
    pub(super) fn make() -> io::Result<Room> {
        let outer = Scratch::make(false)?;
        rustix::fs::flock(&outer.folder, FlockOperation::NonBlockingLockExclusive)?;
        rustix::fs::mkdirat(&outer.folder, INNER, Mode::RWXU)?;
        let folder = rustix::fs::openat(&outer.folder, INNER, FOLDER, Mode::empty())?;
        rustix::fs::fchmod(&folder, EVERYBODY)?;
        let scratch = Scratch { path: outer.path.join(INNER), folder };
        let name = outer.path.file_name().map_or_else(|| PREFIX.into(), |name| name.to_string_lossy().into());
        Ok(Room { scratch, outer, name })
    }

    pub(super) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Also the container's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.outer.path
    }
}

/// Whether nobody holds a room any more. INVARIANT: a container is made after its room is locked and removed before the room is.
pub(super) fn is_deserted(room: &Path) -> bool {
    match rustix::fs::open(room, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) => true,
        // Somebody else's.
        Err(_) => false,
        Ok(folder) => rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_deserted_once_it_is_let_go() {
        let room = Room::make().unwrap();
        let (path, scratch) = (room.path().clone(), room.scratch().path.clone());
        assert!(!is_deserted(&path), "it is held");
        let file = scratch.join("folder/file");
        std::fs::create_dir(scratch.join("folder")).unwrap();
        std::fs::write(file, "x").unwrap();
        drop(room);
        assert!(!path.exists() && is_deserted(&path));
        let left = tempfile::tempdir().unwrap();
        assert!(is_deserted(left.path()), "nobody holds it");
    }
}
