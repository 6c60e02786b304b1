//! The thread that starts every process.
//!
//! The kernel delivers the parent-death signal when the *thread* that forked ends, not the process. Threads of a pool come and go, so one
//! thread that never ends starts all children.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream, unix::process::CommandExt},
    process::Stdio,
    sync::{OnceLock, mpsc},
    thread,
};

use rustix::process::{Pid, PidfdFlags};

use crate::{Child, Spawn, SpawnError, Stderr, contain::contain};

type Answer = Result<Child, SpawnError>;
type Job = (Spawn, mpsc::SyncSender<Answer>);

static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();

/// Has the spawner thread start the process, and waits for its answer.
pub(crate) fn start(spawn: Spawn) -> Answer {
    let (answer, answered) = mpsc::sync_channel(1);
    let gone = || failed("the spawner thread is gone", io::ErrorKind::BrokenPipe.into());
    spawner()?.send((spawn, answer)).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

/// Has the spawner thread started, with the rights that this thread has now.
pub(crate) fn ready() -> Result<(), SpawnError> {
    spawner().map(drop)
}

fn spawner() -> Result<&'static mpsc::Sender<Job>, SpawnError> {
    if let Some(spawner) = SPAWNER.get() {
        return Ok(spawner);
    }
    let (jobs, queue) = mpsc::channel::<Job>();
    thread::Builder::new()
        .name("spawner".into())
        .spawn(move || {
            // INVARIANT: `SPAWNER` is never dropped, so the loop ends only if another thread won the race to set it, before any job.
            while let Ok((spawn, answer)) = queue.recv() {
                // A child whose starter is gone is dropped here, which kills it.
                let _ = answer.send(start_here(spawn));
            }
        })
        .map_err(|source| failed("the spawner thread", source))?;
    Ok(SPAWNER.get_or_init(|| jobs))
}

fn start_here(spawn: Spawn) -> Answer {
    let (ours, theirs) = UnixStream::pair().map_err(|source| failed("the socket pair", source))?;
    #[expect(clippy::disallowed_methods, reason = "this is the one place that starts processes")]
    let mut command = std::process::Command::new(&spawn.program);
    if let Some(arg0) = &spawn.arg0 {
        command.arg0(arg0);
    }
    command.args(&spawn.args).env_clear().envs(spawn.env).current_dir("/");
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null());
    command.stderr(match spawn.stderr {
        Stderr::Discard => Stdio::null(),
        Stderr::Inherit => Stdio::inherit(),
    });
    contain(&mut command, &spawn.limits);
    let mut process = command.spawn().map_err(|source| failed("fork, containment or execve", source))?;
    // The process is ours and not yet reaped, so its number cannot have been given to another.
    let pidfd = i32::try_from(process.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
    match pidfd {
        Ok(pidfd) => Ok(Child::new(process, pidfd, ours)),
        Err(errno) => {
            let _ = process.kill();
            let _ = process.wait();
            Err(failed("its pidfd", errno.into()))
        }
    }
}

fn failed(step: &'static str, source: io::Error) -> SpawnError {
    SpawnError::Start { step, source }
}
