//! A root: a directory that is opened once, when the configuration is read, and below which the kernel finds everything.
//!
//! A path is resolved in two steps. [`Root::resolve`] follows symbolic links that stay inside and yields the *true* path, on which policy
//! decides and which people approve. What is then done is done to exactly that path, and no symbolic link in it is followed: whoever
//! swaps a directory for a link in between gets a refusal.
//!
//! INVARIANT: nothing is decided by comparing paths as text. Text is cut (an absolute path loses what it shares with its root's own) and
//! every cut is resolved below the open directory.

use std::{
    collections::VecDeque,
    fs::File,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{FileType, Stat},
    io::Errno,
};

use super::{
    kernel::{self, Open},
    path::{PathRule, RelPath, below, names},
    refusal::Refusal,
};

#[cfg(test)]
mod tests;

/// How many symbolic links one path may lead through: the kernel's own limit.
const MAX_LINKS: usize = 40;

/// A directory that is open.
#[derive(Debug)]
pub struct Root {
    name: Arc<str>,
    dir: OwnedFd,
    /// How absolute paths below it begin, as names: as it is configured, and as the system spells it.
    spellings: Vec<Vec<String>>,
    /// Where it was when it was opened.
    location: Option<PathBuf>,
}

/// Why a root cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// It cannot be opened.
    #[error("cannot be opened as a directory: {0}")]
    Open(Errno),
    /// It belongs to the kernel.
    #[error("lies in a file system of the kernel (such as /proc or /sys), which holds no files")]
    Kernel,
    /// The system cannot keep lookups below a directory.
    #[error("needs a system that keeps lookups below a directory: Linux 5.6 or newer (openat2)")]
    Unsupported,
}

/// Where a path leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// The true path: no symbolic link in it, when it was looked at.
    pub path: RelPath,
    /// What is there.
    pub kind: Kind,
}

/// What is at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing.
    Missing,
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; what a path is resolved to is none.
    Link,
    /// Anything else: a device, a FIFO, a socket.
    Other(FileType),
}

impl From<&Stat> for Kind {
    fn from(stat: &Stat) -> Kind {
        match kernel::kind(stat) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Link,
            other => Kind::Other(other),
        }
    }
}

impl Kind {
    /// For people, with its article.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Missing => "missing",
            Kind::File => "a file",
            Kind::Directory => "a directory",
            Kind::Link => "a symbolic link",
            Kind::Other(FileType::Fifo) => "a FIFO",
            Kind::Other(FileType::Socket) => "a socket",
            Kind::Other(FileType::CharacterDevice | FileType::BlockDevice) => "a device",
            Kind::Other(_) => "something special",
        }
    }
}

impl Root {
    /// Opens a directory as a root.
    ///
    /// # Errors
    /// If it is no directory, belongs to the kernel, or the system cannot keep lookups below it.
    pub fn open(name: &str, path: &Path) -> Result<Root, RootError> {
        let unsupported = |errno| match errno {
            Errno::NOSYS => RootError::Unsupported,
            other => RootError::Open(other),
        };
        let dir = kernel::open_root(path).map_err(unsupported)?;
        // MUTATE(C2-kernel-state): a root may be /proc
        if kernel::is_kernel_state(dir.as_fd()).map_err(unsupported)? {
            return Err(RootError::Kernel);
        }
        kernel::open(dir.as_fd(), "", Open::Look).map_err(unsupported)?;
        let spelled = |path: &Path| path.to_str().map(|text| names(text).map(str::to_owned).collect());
        let real = path.canonicalize().ok();
        let mut spellings: Vec<Vec<String>> = [Some(path).filter(|path| path.is_absolute()), real.as_deref()]
            .into_iter()
            .flatten()
            .filter_map(spelled)
            .collect();
        spellings.dedup();
        Ok(Root { name: name.into(), dir, spellings, location: real })
    }

    /// Its configured name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The open directory.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Where it was when it was opened, if the system could say so. For comparisons at start; nothing is opened by it.
    pub fn location(&self) -> Option<PathBuf> {
        self.location.clone()
    }

    /// A path as a caller gives it: relative to the root, or absolute and below it.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn path(&self, text: &str) -> Result<RelPath, PathRule> {
        if !text.starts_with('/') {
            return RelPath::parse(text);
        }
        for spelling in &self.spellings {
            if let Some(path) = below(text, spelling)? {
                return Ok(path);
            }
        }
        Err(PathRule("must be relative to its root, or lie below it"))
    }

    /// Where a path leads, symbolic links inside the root followed. Opens nothing but to look at it.
    ///
    /// # Errors
    /// If it leads out of the root, onto another mount, or through too many links.
    pub fn resolve(&self, path: &RelPath) -> Result<Resolved, Refusal> {
        match self.kind(path) {
            Ok(kind) => Ok(Resolved { path: path.clone(), kind }),
            Err(Errno::NOENT) => Ok(Resolved { path: path.clone(), kind: Kind::Missing }),
            Err(Errno::LOOP) => self.follow(path),
            Err(other) => Err(other.into()),
        }
    }

    /// Walks down name by name and follows links as the kernel would, to learn the true path.
    fn follow(&self, path: &RelPath) -> Result<Resolved, Refusal> {
        let mut walked: Vec<String> = Vec::new();
        let mut pending: VecDeque<String> = path.names().map(str::to_owned).collect();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                // INVARIANT: what was walked holds no links, so that its last name is left by going up.
                // MUTATE(C1-link-up): a link climbs as high as it likes
                if walked.pop().is_none() {
                    return Err(Refusal::Outside);
                }
                continue;
            }
            walked.push(name);
            let here = true_path(&walked)?;
            let found = match kernel::open(self.fd(), here.as_str(), Open::Look) {
                Ok(found) => found,
                Err(Errno::NOENT) if !pending.iter().any(|name| name == "..") => {
                    walked.extend(pending);
                    return Ok(Resolved { path: true_path(&walked)?, kind: Kind::Missing });
                }
                Err(other) => return Err(other.into()),
            };
            if kernel::kind(&kernel::stat(&found)?) != FileType::Symlink {
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(Refusal::Links);
            }
            let target =
                String::from_utf8(kernel::read_link(found.as_fd())?).map_err(|_| Refusal::Outside)?;
            // MUTATE(C1-link-absolute): a link with an absolute target is taken for one below the root
            if target.starts_with('/') {
                return Err(Refusal::Outside);
            }
            walked.pop();
            for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                pending.push_front(name.to_owned());
            }
        }
        let path = true_path(&walked)?;
        let kind = self.kind(&path)?;
        Ok(Resolved { path, kind })
    }

    fn kind(&self, path: &RelPath) -> Result<Kind, Errno> {
        let found = kernel::open(self.fd(), path.as_str(), Open::Look)?;
        match Kind::from(&kernel::stat(found)?) {
            Kind::Link => Err(Errno::LOOP),
            kind => Ok(kind),
        }
    }

    /// Opens a file by its true path: regular, with one name.
    ///
    /// # Errors
    /// If it is anything else, or the path leads through a symbolic link by now.
    pub fn file(&self, path: &RelPath) -> Result<(File, Stat), Refusal> {
        // What is no file is not opened: opening a device can have effects.
        regular(&kernel::stat(kernel::open(self.fd(), path.as_str(), Open::Look)?)?)?;
        let file = kernel::open(self.fd(), path.as_str(), Open::Read)?;
        let stat = kernel::stat(&file)?;
        regular(&stat)?;
        Ok((File::from(file), stat))
    }

    /// Opens a directory by its true path.
    ///
    /// # Errors
    /// If it is anything else, or the path leads through a symbolic link by now.
    pub fn directory(&self, path: &RelPath) -> Result<OwnedFd, Refusal> {
        Ok(kernel::open(self.fd(), path.as_str(), Open::List)?)
    }

    /// The status of what a true path names, whatever it is.
    ///
    /// # Errors
    /// If nothing is there, or the path leads through a symbolic link by now.
    pub fn status(&self, path: &RelPath) -> Result<Stat, Refusal> {
        Ok(kernel::stat(kernel::open(self.fd(), path.as_str(), Open::Look)?)?)
    }
}

/// Refuses what is not a regular file with one name.
pub(super) fn regular(stat: &Stat) -> Result<(), Refusal> {
    let kind = Kind::from(stat);
    // MUTATE(C2-kind): devices, FIFOs and sockets are read like files
    if kind != Kind::File {
        return Err(Refusal::Kind { found: kind.name(), wanted: "a file" });
    }
    // MUTATE(C1-hard-link): a file that lies outside too is read by its name inside
    if stat.st_nlink != 1 {
        return Err(Refusal::Linked);
    }
    Ok(())
}

/// The walked names as a path. A link may lead to a name that callers could not give: it leads nowhere then.
fn true_path(walked: &[String]) -> Result<RelPath, Refusal> {
    RelPath::from_names(walked.iter().map(String::as_str)).map_err(|_| Refusal::Outside)
}
