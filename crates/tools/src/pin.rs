//! A program pinned when the server starts: the same file, with the same bytes, at every run.

#[cfg(test)]
mod tests;

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use countersign_core::Digest;

/// A program that a tool runs.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// One of this machine.
    Pinned(Pin),
    /// One of the container's image, by its path there. INVARIANT: the engine holds the image by its id, so its programs are pinned with it.
    OfImage(PathBuf),
}

impl Program {
    /// Finds and pins a program of this machine; one of an image shows when it is run.
    ///
    /// # Errors
    /// Why it is no program that may be run.
    pub(crate) fn of(program: &Path, of_image: bool) -> Result<Program, String> {
        match of_image {
            false => Pin::of(program).map(Program::Pinned),
            true if program.is_absolute() => Ok(Program::OfImage(program.to_owned())),
            true => Err(format!("`{}` must be an absolute path in the image", program.display())),
        }
    }

    /// Where it is, for whoever runs it.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Program::Pinned(pin) => pin.path(),
            Program::OfImage(path) => path,
        }
    }

    /// Refuses a program that is not what it was at the start.
    ///
    /// # Errors
    /// What happened to it.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Program::Pinned(pin) => pin.check(),
            Program::OfImage(_) => Ok(()),
        }
    }
}

/// A program that was found and hashed.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    path: PathBuf,
    stamp: Stamp,
    digest: Digest,
}

/// What the kernel changes whenever somebody replaces or writes a file.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Pin {
    /// Follows links to the program itself and hashes it.
    ///
    /// # Errors
    /// Why it is no program that may be run.
    pub(crate) fn of(program: &Path) -> Result<Pin, String> {
        let shown = program.display();
        if !program.is_absolute() {
            return Err(format!("`{shown}` must be an absolute path"));
        }
        let failed = |e: io::Error| format!("`{shown}` cannot be used: {e}");
        let path = program.canonicalize().map_err(failed)?;
        let meta = fs::metadata(&path).map_err(failed)?;
        if !meta.is_file() || meta.mode() & 0o111 == 0 {
            return Err(format!("`{shown}` is no program"));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(format!(
                "`{}` can be changed by others (mode {:03o})",
                path.display(),
                meta.mode() & 0o777
            ));
        }
        let digest = Digest::of(&fs::read(&path).map_err(failed)?);
        Ok(Pin { path, stamp: Stamp::of(&meta), digest })
    }

    /// The program, all links followed.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the program is a script, which another program reads.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn is_script(&self) -> io::Result<bool> {
        use io::Read as _;
        let mut head = [0; 2];
        let read = fs::File::open(&self.path)?.read(&mut head)?;
        Ok(read == 2 && head == *b"#!")
    }

    /// Refuses a program that is not what it was at the start: its bytes are compared again when anything about the file changed.
    ///
    /// # Errors
    /// What happened to it.
    pub(crate) fn check(&self) -> Result<(), String> {
        let meta = fs::metadata(&self.path).map_err(|e| format!("the program is gone: {e}"))?;
        // MUTATE(D1-pin): a program that was replaced runs
        if Stamp::of(&meta) == self.stamp {
            return Ok(());
        }
        match fs::read(&self.path) {
            Ok(bytes) if Digest::of(&bytes) == self.digest => Ok(()),
            Ok(_) => Err("the program is not the one that was there when the server started".into()),
            Err(e) => Err(format!("the program cannot be read: {e}")),
        }
    }
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Stamp {
        Stamp {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}
