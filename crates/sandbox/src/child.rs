//! A running process: killed through its pidfd, always reaped.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::ExitStatus,
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags},
    process::Signal,
    time::Timespec,
};

/// A process started by [`Spawn::start`](crate::Spawn::start). Dropping it kills and reaps the process.
#[derive(Debug)]
pub struct Child {
    pid: u32,
    pidfd: OwnedFd,
    stream: Option<UnixStream>,
    /// Until it is reaped.
    process: Option<std::process::Child>,
}

impl Child {
    pub(crate) fn new(process: std::process::Child, pidfd: OwnedFd, stream: UnixStream) -> Child {
        Child { pid: process.id(), pidfd, stream: Some(stream), process: Some(process) }
    }

    /// The process id, for records and tests. Signals go through [`Child::kill`].
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The process's pidfd: readable once the process has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Our end of the child's descriptor 0, once: a blocking stream. Call `set_nonblocking(true)` before an asynchronous runtime adopts it.
    pub fn take_stream(&mut self) -> Option<UnixStream> {
        self.stream.take()
    }

    /// Sends SIGKILL. A process that has already ended is not an error.
    ///
    /// # Errors
    /// If the operating system refuses the signal.
    pub fn kill(&self) -> io::Result<()> {
        match rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Blocks until the process ends, and reaps it.
    ///
    /// # Errors
    /// If the operating system cannot wait for it.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        match self.process.take() {
            Some(mut process) => process.wait(),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Child {
    /// Leaves a process that ends by itself as soon as its stream is closed; one that has not within `grace` is killed. Does not block.
    pub(crate) fn leave(mut self, grace: Duration) {
        drop(self.stream.take());
        if let Some(process) = self.process.take() {
            let deadline = Instant::now().checked_add(grace);
            let pidfd = self.pidfd.try_clone().ok();
            reap(Leaving { process, last: pidfd.zip(deadline) });
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            // MUTATE(E4-kill): a dropped child lives on
            let _ = self.kill();
            reap(Leaving { process, last: None });
        }
    }
}

/// A process that is about to end.
struct Leaving {
    process: std::process::Child,
    /// When it is killed unless it has ended; `None` if it has been killed.
    last: Option<(OwnedFd, Instant)>,
}

impl Leaving {
    fn wait(mut self) {
        if let Some((pidfd, deadline)) = self.last {
            let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
            let ended = rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], left.as_ref());
            if !matches!(ended, Ok(1)) {
                let _ = self.process.kill();
            }
        }
        let _ = self.process.wait();
    }
}

static REAPER: OnceLock<mpsc::Sender<Leaving>> = OnceLock::new();

/// Waits for a process on a thread of its own: the end of a large process takes a while, and a drop must not block its caller.
fn reap(process: Leaving) {
    let reaper = REAPER.get_or_init(|| {
        let (dead, queue) = mpsc::channel::<Leaving>();
        // If no thread can be had, the queue is dropped and `send` below returns the process to be waited for here.
        let _ = thread::Builder::new().name("reaper".into()).spawn(move || {
            while let Ok(process) = queue.recv() {
                process.wait();
            }
        });
        dead
    });
    if let Err(mpsc::SendError(process)) = reaper.send(process) {
        process.wait();
    }
}
