//! Starts a process contained: the only place that spawns, the only unsafe; standalone.
//!
//! A [`Spawn`] says everything the new process gets: its program, arguments, environment and limits. What is not said, it does not
//! get: the environment is empty, every descriptor from 3 up is closed, its output goes to `/dev/null`, and its one way to the world is
//! descriptor 0, a socket whose other end is [`Child::take_stream`].
//!
//! Every process started here
//! - is the leader of a session of its own, so that no terminal and no signal to our group reaches it;
//! - cannot gain privileges by `execve` (`no_new_privs`) and writes no core file;
//! - dies with this process: the kernel sends it SIGKILL when the thread that started it ends. INVARIANT: that thread is the crate's own
//!   spawner, which lives as long as the process;
//! - is killed through its pidfd, never by number, and is always reaped: dropping a [`Child`] kills it and leaves no zombie.
//!
//! Linux only. Elsewhere everything compiles and [`Spawn::start`] answers [`SpawnError::Unsupported`].
#![deny(unsafe_code)]

use std::{ffi::OsString, io, os::unix::net::UnixStream, path::PathBuf, process::ExitCode};

mod engine;
mod jail;

#[cfg(target_os = "linux")]
mod capture;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod confine;
#[cfg(target_os = "linux")]
mod contain;
#[cfg(all(target_os = "linux", feature = "container"))]
mod container;
#[cfg(target_os = "linux")]
mod door;
#[cfg(target_os = "linux")]
mod inside;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod self_test;
#[cfg(target_os = "linux")]
mod spawner;
#[cfg(target_os = "linux")]
mod supervisor;
#[cfg(not(target_os = "linux"))]
mod unsupported;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(target_os = "linux")]
pub use child::Child;
pub use engine::{ContainerConfig, Grade, Launcher, Report, Sandbox, self_test, self_test_container};
pub use jail::{
    Bind, Captured, Collect, Finished, InputFile, Jail, JailError, JailLimits, NOBODY, ResultFile, SCRATCH,
    Status, Usage, View,
};
#[cfg(not(target_os = "linux"))]
pub use unsupported::Child;

/// What a new process is, and all that it gets.
#[derive(Clone, Debug)]
pub struct Spawn {
    /// The program, by absolute path; no search path is consulted.
    pub program: PathBuf,
    /// The name the process sees as its own (`argv[0]`); the program's path if none.
    pub arg0: Option<OsString>,
    /// The arguments after the name.
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// What it may use up.
    pub limits: Limits,
    /// Where its standard error goes.
    pub stderr: Stderr,
}

impl Spawn {
    /// `program` without arguments and environment, under the default limits, its standard error discarded.
    pub fn new(program: impl Into<PathBuf>) -> Spawn {
        Spawn {
            program: program.into(),
            arg0: None,
            args: Vec::new(),
            env: Vec::new(),
            limits: Limits::default(),
            stderr: Stderr::Discard,
        }
    }

    /// Starts the process and returns once `execve` has succeeded. Blocks for about a millisecond.
    ///
    /// # Errors
    /// [`SpawnError::Unsupported`] outside Linux, [`SpawnError::Start`] if any containment step or `execve` fails: a process is either
    /// contained as described or does not exist.
    pub fn start(self) -> Result<Child, SpawnError> {
        #[cfg(target_os = "linux")]
        return spawner::start(self);
        #[cfg(not(target_os = "linux"))]
        Err(SpawnError::Unsupported)
    }
}

/// Resource limits (`setrlimit`, soft and hard alike). `None` leaves the limit that this process has. Core files are always off.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Address space, bytes (`RLIMIT_AS`).
    pub address_space: Option<u64>,
    /// Processor time over the whole life, seconds (`RLIMIT_CPU`).
    pub cpu_seconds: Option<u64>,
    /// The largest file it may write, bytes (`RLIMIT_FSIZE`).
    pub file_size: Option<u64>,
    /// Open descriptors (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
}

impl Default for Limits {
    /// 512 MiB of address space, files up to 16 MiB, 64 descriptors, processor time unlimited.
    fn default() -> Limits {
        Limits {
            address_space: Some(512 << 20),
            cpu_seconds: None,
            file_size: Some(16 << 20),
            open_files: Some(64),
        }
    }
}

/// Where a process's standard error goes. Its standard output is always discarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stderr {
    /// To `/dev/null`.
    Discard,
    /// To this process's standard error.
    Inherit,
}

/// Why no process was started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// This platform offers no containment.
    #[error("processes cannot be contained on this platform")]
    Unsupported,
    /// The operating system refused a step.
    #[error("cannot start a contained process: {step}")]
    Start {
        /// Which step.
        step: &'static str,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
}

/// What a process needs; by default nothing. Files, or directories with all below them. What does not exist when the wall goes up is not reached.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Confinement {
    /// What it reads.
    pub read: Vec<PathBuf>,
    /// What it reads, writes, makes and removes.
    pub write: Vec<PathBuf>,
    /// Whether it listens and dials by TCP; refused otherwise, where the kernel can (Linux 6.7).
    pub network: bool,
}

impl Confinement {
    /// Keeps this thread, and all threads that it starts from now on, to these files, for good. What is open stays open. Programs that are
    /// started by [`Spawn`] are not kept to them. `false`: this system has no such wall, and nothing has changed.
    ///
    /// Call it while the process has one thread: others go on as they were.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn enter(&self) -> Result<bool, SpawnError> {
        #[cfg(target_os = "linux")]
        return confine::confine(self);
        #[cfg(not(target_os = "linux"))]
        Ok(false)
    }

    /// Whether this system has such a wall.
    pub fn is_possible() -> bool {
        #[cfg(target_os = "linux")]
        return confine::can_confine();
        #[cfg(not(target_os = "linux"))]
        false
    }
}

/// The stream a child was given as descriptor 0, taken by the child itself at the start of its `main`.
///
/// # Errors
/// If descriptor 0 is not open. That it is a socket shows at its first use.
pub fn stream_of_this_process() -> io::Result<UnixStream> {
    use std::os::fd::AsFd;
    Ok(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// The whole life of the process that supervises one jail: `main` of the program named by [`Launcher`], called while it has one thread.
/// It reads its order from descriptor 0, which [`Sandbox::run`] gave it.
pub fn supervisor_main() -> ExitCode {
    #[cfg(target_os = "linux")]
    return supervise(None);
    #[cfg(not(target_os = "linux"))]
    ExitCode::FAILURE
}

#[cfg(target_os = "linux")]
fn supervise(without: Option<inside::Wall>) -> ExitCode {
    match std::env::args_os().next_back() {
        Some(last) if last == probe::PROBE => probe::main(false),
        Some(last) if last == probe::IN_CONTAINER => probe::main(true),
        _ => supervisor::main(without),
    }
}

/// What must never be part of a product.
#[cfg(target_os = "linux")]
pub mod danger {
    use std::process::ExitCode;

    pub use crate::inside::Wall;

    /// A supervisor that leaves a wall away and tells nobody: the proof that the self-test notices.
    pub fn supervisor_main_without(wall: Wall) -> ExitCode {
        crate::supervise(Some(wall))
    }
}
