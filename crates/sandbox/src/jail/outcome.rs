//! What comes back from a contained program: the output of every engine.

use std::{io, path::PathBuf, time::Duration};

/// A run that took place, however it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finished {
    /// How it ended.
    pub status: Status,
    /// What it wrote to its standard output.
    pub stdout: Captured,
    /// What it wrote to its standard error.
    pub stderr: Captured,
    /// The files it left. Empty unless it ended by itself.
    pub files: Vec<ResultFile>,
    /// How many further files there were, beyond those listed.
    pub files_left_out: u64,
    /// What it used.
    pub usage: Usage,
}

impl Finished {
    /// The end of what had nothing to say.
    #[cfg(target_os = "linux")]
    pub(crate) fn nothing() -> Finished {
        let (stdout, stderr, usage) = Default::default();
        Finished { status: Status::Exit(0), stdout, stderr, files: Vec::new(), files_left_out: 0, usage }
    }
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// By itself, with this code.
    Exit(i32),
    /// Killed by this signal, which came neither from us nor from the limit of memory.
    Signal(i32),
    /// Killed at the end of its time.
    TimedOut,
    /// Killed because all its memory was used.
    OutOfMemory,
    /// Killed because it wrote far more output than is kept.
    TooMuchOutput,
    /// Killed because its scratch folder held more than it may. Only where there are no namespaces; elsewhere writing fails.
    ScratchFull,
}

/// The start and the end of a stream.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Captured {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes, if something between them and `head` was dropped; otherwise empty.
    pub tail: Vec<u8>,
    /// How many bytes were written.
    pub total: u64,
}

impl Captured {
    /// Whether bytes between `head` and `tail` were dropped.
    pub fn truncated(&self) -> bool {
        self.total > (self.head.len() as u64).saturating_add(self.tail.len() as u64)
    }
}

/// A file that the program left in its scratch folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResultFile {
    /// Its path in the scratch folder, separated by `/`; what is not UTF-8 is replaced.
    pub name: String,
    /// Its size, bytes.
    pub size: u64,
    /// Its content, unless larger than [`Collect`](crate::Collect) allows.
    pub bytes: Option<Vec<u8>>,
}

/// What a run used.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// From its start to its end.
    pub wall: Duration,
    /// Processor time of all its processes.
    pub cpu: Duration,
    /// The most memory it had at a time, bytes; 0 if unknown.
    pub memory: u64,
}

/// Why a program was not run.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// A field of the [`Jail`](crate::Jail) breaks a rule.
    #[error("{field} {rule}")]
    Invalid {
        /// Which field, and which entry of it.
        field: String,
        /// What it must be.
        rule: &'static str,
    },
    /// Part of the host that the jail shall show cannot be shown.
    #[error("`{}` cannot be shown to a jailed program", path.display())]
    View {
        /// The path on the host.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The program is not there or cannot be started.
    #[error("`{}` cannot be started in the jail", program.display())]
    Program {
        /// Its path in the jail.
        program: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A containment step failed: nothing ran.
    #[error("the jail could not be set up: {step}")]
    Setup {
        /// Which step.
        step: String,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The process that supervises the jail failed or gave no answer; it and the program were killed.
    #[error("the jail's supervisor failed: {0}")]
    Supervisor(String),
    /// The container engine refused or failed.
    #[error("the container engine failed: {0}")]
    Container(String),
    /// This platform offers no containment.
    #[error("programs cannot be contained on this platform")]
    Unsupported,
}
