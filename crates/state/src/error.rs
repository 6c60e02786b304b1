//! Why the state cannot answer. Every variant closes the gate.

use std::{io, path::PathBuf};

/// The state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system said no.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than the owner can reach it.
    #[error("the state file `{path}` is open to others (mode {mode:03o}); run `chmod 600 {path}`")]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file under the path is no longer the one that was opened.
    #[error("the state file `{path}` was removed or replaced; restart to use what is there now")]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// The database said no.
    #[error("the state database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// There is no connection to the server.
    #[error("the state's server cannot be reached: {0}")]
    Unreachable(String),
    /// The server said no.
    #[error("the state's server refused: {0}")]
    Server(String),
    /// The server took too long; whether the step was done is not known.
    #[error("the state's server did not answer in time")]
    Late,
    /// A newer program wrote it.
    #[error("the state has version {found}; this program reads up to version {known}")]
    Version {
        /// The version found.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// A row is not what this program writes.
    #[error("the state is damaged or was tampered with: {0}")]
    Damaged(String),
    /// The work was lost inside this process.
    #[error("the state did not answer")]
    Lost,
    /// The operating system has no entropy to give.
    #[error("the operating system gives no random bytes: {0}")]
    Entropy(String),
    /// A person may not do this.
    #[error("{0}")]
    Refused(String),
}
