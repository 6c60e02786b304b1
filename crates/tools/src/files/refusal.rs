//! Why something below a root is not touched, in words for the caller: rules and the caller's own path, nothing of the host.

use countersign_core::{Denied, ToolError};
use rustix::io::Errno;

/// Why something below a root is not touched.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Nothing is there.
    #[error("there is no such file or directory")]
    Missing,
    /// A symbolic link, or a mount, leads out of the root.
    #[error("leads out of the root, through a symbolic link or onto another mount")]
    Outside,
    /// Too many symbolic links, or links that lead in a circle.
    #[error("leads through too many symbolic links")]
    Links,
    /// What is there is neither a regular file nor a directory, or not the one that is asked for.
    #[error("is {found}, not {wanted}")]
    Kind {
        /// What is there, with its article.
        found: &'static str,
        /// What was asked for, with its article.
        wanted: &'static str,
    },
    /// The file has another name somewhere, perhaps outside.
    #[error("has more than one hard link, so that it may lie outside the root as well")]
    Linked,
    /// The configuration of the root denies it.
    #[error("is denied by the configuration of its root")]
    Denied,
    /// The root is for reading.
    #[error("lies in a root that is for reading only")]
    ReadOnly,
    /// Something is there already.
    #[error("exists already")]
    Exists,
    /// What is there is not what the caller or an approver saw.
    #[error("has changed since it was read or approved; read it again")]
    Changed,
    /// The file system cannot exchange names, so that a change could overwrite what nobody saw.
    #[error("lies on a file system that cannot replace a file in one step")]
    NoExchange,
    /// Too large for what was asked.
    #[error("is larger than the {limit} bytes that this root allows")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The root would hold more than it may.
    #[error(
        "does not fit: this root may hold {limit} bytes, {free} of them are free, and this takes {needed} more (every file and directory takes whole blocks of 4096)"
    )]
    Full {
        /// What the root may hold, in bytes.
        limit: u64,
        /// What is free.
        free: u64,
        /// What the change takes beyond what it frees.
        needed: u64,
    },
    /// Too much lies in the root for its quota to be kept.
    #[error("lies in a root with more than {limit} entries, or too deep ones: nothing can be added to it")]
    Uncounted {
        /// The limit.
        limit: usize,
    },
    /// Its content is not text of the encoding that was asked for.
    #[error("{0}")]
    Encoding(&'static str),
    /// One line is longer than an answer may be.
    #[error("has a line that is longer than this root allows an answer to be; ask for a range in bytes")]
    LongLine,
    /// A directory with too many entries.
    #[error("has more than {limit} entries, which is too many to list")]
    Crowded {
        /// The limit.
        limit: usize,
    },
    /// Nobody waits for the answer any more.
    #[error("the call was stopped")]
    Stopped,
    /// The operating system does not let the server do it.
    #[error("cannot be accessed: {0}")]
    System(Errno),
}

impl Refusal {
    /// What a caller is told of the argument `field`.
    pub(super) fn of(self, field: &str) -> ToolError {
        let cause = match self {
            Refusal::System(errno) => Some(errno.to_string()),
            _ => None,
        };
        let denied = Denied::Invalid { field: field.to_owned(), rule: self.to_string() };
        ToolError { denied, cause, detail: None }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        match errno {
            Errno::NOENT => Refusal::Missing,
            Errno::XDEV => Refusal::Outside,
            Errno::LOOP => Refusal::Links,
            Errno::NOTDIR => Refusal::Kind { found: "a file", wanted: "a directory" },
            Errno::ISDIR => Refusal::Kind { found: "a directory", wanted: "a file" },
            Errno::EXIST => Refusal::Exists,
            other => Refusal::System(other),
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Refusal {
        Errno::from_io_error(&error).unwrap_or(Errno::IO).into()
    }
}
