//! One jail from its start to its end: output, clock, death, answer.

use std::{
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags},
    io::Errno,
    process::{Signal, WaitOptions},
    time::Timespec,
};

use super::{Outside, setup};
use crate::{
    capture::Capture,
    door,
    inside::report,
    jail::{Finished, JailError, ResultFile, Status, Usage},
    wire::{Answer, Malformed, Reader, decode_error, read_file},
};

/// How often a scratch folder of the host is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long the jail's first process may take to hand files back once the program has ended.
const COLLECTING: Duration = Duration::from_secs(2);
/// Room for names and frames in the reports, beside the content of files.
const FRAMES: u64 = 8 << 20;

/// Watches until the jail is no more. `None` if our starter is gone, who would read the answer.
pub(super) fn watch(outside: Outside, stream: &UnixStream) -> Option<Answer> {
    let started = Instant::now();
    let limits = &outside.order.jail.limits;
    let mut watch = Watch {
        outside: &outside,
        deadline: started.checked_add(limits.wall).unwrap_or(started),
        stdout: Capture::new(limits.output),
        stderr: Capture::new(limits.output),
        reports: Reports::default(),
        open: [true; 3],
        late: false,
    };
    let verdict = watch.until_the_end(stream);
    kill(&outside);
    watch.drain();
    let usage = Usage { wall: started.elapsed(), cpu: door::cpu_of_children(), memory: outside.group.peak() };
    let Watch { stdout, stderr, reports, .. } = watch;
    let status = match verdict {
        Ok(End::Abandoned) => return None,
        Ok(End::Killed(status)) => Ok(status),
        Ok(End::Itself) => reports.status(&outside, &usage),
        Err(errno) => Err(setup("watching it")(errno)),
    };
    let status = match (reports.failure, status) {
        (Some(error), _) | (None, Err(error)) => return Some(Err(error)),
        (None, Ok(status)) => status,
    };
    Some(Ok(Finished {
        status,
        stdout: stdout.finish(),
        stderr: stderr.finish(),
        files: reports.files,
        files_left_out: reports.left_out,
        usage,
    }))
}

/// Kills the jail and buries everything that was in it.
pub(super) fn kill(outside: &Outside) {
    outside.group.hurry();
    let _ = rustix::process::pidfd_send_signal(&outside.pidfd, Signal::KILL);
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            // Nobody is left.
            Err(_) => return,
        }
    }
}

/// Why watching ended.
enum End {
    /// The jail's first process is gone.
    Itself,
    /// It must be killed.
    Killed(Status),
    /// Nobody waits for the answer.
    Abandoned,
}

struct Watch<'a> {
    outside: &'a Outside,
    deadline: Instant,
    stdout: Capture,
    stderr: Capture,
    reports: Reports,
    /// Which of output, error and reports have not ended.
    open: [bool; 3],
    /// Whether the deadline has passed while files were being handed back.
    late: bool,
}

impl Watch<'_> {
    fn until_the_end(&mut self, stream: &UnixStream) -> Result<End, Errno> {
        let outside = self.outside;
        for fd in [&outside.stdout, &outside.stderr, &outside.report] {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            // MUTATE(E4-timeout): the time never ends
            if left.is_zero()
                && let Some(end) = self.out_of_time()
            {
                return Ok(end);
            }
            let mut poll =
                vec![PollFd::new(&outside.pidfd, PollFlags::IN), PollFd::new(stream, PollFlags::IN)];
            for (fd, open) in self.streams().into_iter().zip(self.open) {
                if open {
                    poll.push(PollFd::new(fd, PollFlags::IN));
                }
            }
            let pause = if outside.scratch.is_some() { left.min(LOOK) } else { left };
            match rustix::event::poll(&mut poll, Timespec::try_from(pause).ok().as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            let (ended, abandoned) = match poll.as_slice() {
                [jail, starter, ..] => (!jail.revents().is_empty(), !starter.revents().is_empty()),
                _ => (false, false),
            };
            drop(poll);
            self.take_what_is_there();
            if abandoned {
                return Ok(End::Abandoned);
            }
            if ended {
                return Ok(End::Itself);
            }
            if let Some(status) = self.excess() {
                return Ok(End::Killed(status));
            }
        }
    }

    /// What the deadline means. A program that ended in time keeps its status, and its files get a moment.
    fn out_of_time(&mut self) -> Option<End> {
        if self.reports.ended.is_none() {
            return Some(End::Killed(Status::TimedOut));
        }
        if self.late {
            return Some(End::Itself);
        }
        self.late = true;
        self.deadline = Instant::now().checked_add(COLLECTING).unwrap_or(self.deadline);
        None
    }

    fn excess(&self) -> Option<Status> {
        let outside = self.outside;
        let limits = &outside.order.jail.limits;
        let allowed = outside.order.jail.collect.total.saturating_add(FRAMES);
        // MUTATE(E4-flood): it may write for ever
        if self.stdout.is_flood() || self.stderr.is_flood() || self.reports.pending.len() as u64 > allowed {
            return Some(Status::TooMuchOutput);
        }
        let full = outside.scratch.as_ref().is_some_and(|scratch| scratch.is_full(limits.scratch));
        full.then_some(Status::ScratchFull)
    }

    fn streams(&self) -> [&OwnedFd; 3] {
        [&self.outside.stdout, &self.outside.stderr, &self.outside.report]
    }

    fn take_what_is_there(&mut self) {
        let mut buffer = [0; 16 << 10];
        for index in 0..3 {
            self.take(index, &mut buffer);
        }
    }

    /// Reads once from a stream; tells whether there may be more.
    fn take(&mut self, index: usize, buffer: &mut [u8]) -> bool {
        let [stdout, stderr, report] = self.streams();
        let fd = match index {
            0 => stdout,
            1 => stderr,
            _ => report,
        };
        let read = match rustix::io::read(fd.as_fd(), &mut *buffer) {
            Ok(read) => read,
            Err(Errno::INTR) => return true,
            Err(Errno::AGAIN) => return false,
            Err(_) => 0,
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        match index {
            0 => self.stdout.take(bytes),
            1 => self.stderr.take(bytes),
            _ => self.reports.take(bytes),
        }
        if let Some(open) = self.open.get_mut(index) {
            *open = read > 0;
        }
        read > 0
    }

    /// What was written before the end. Every writer is dead, so this ends.
    fn drain(&mut self) {
        let mut buffer = [0; 16 << 10];
        for index in 0..3 {
            while self.take(index, &mut buffer) && self.excess().is_none() {}
        }
    }
}

/// What the jail's first process reported.
#[derive(Default)]
struct Reports {
    pending: Vec<u8>,
    failure: Option<JailError>,
    ended: Option<i32>,
    files: Vec<ResultFile>,
    left_out: u64,
}

impl Reports {
    fn take(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        loop {
            let mut from = Reader(&self.pending);
            let Ok(report) = from.bytes() else { return };
            let (report, rest) = (report.to_vec(), from.0.to_vec());
            self.pending = rest;
            if self.understand(&report).is_err() && self.failure.is_none() {
                self.failure = Some(JailError::Supervisor("a malformed report".into()));
            }
        }
    }

    fn understand(&mut self, report: &[u8]) -> Result<(), Malformed> {
        let mut from = Reader(report);
        match from.number()? {
            report::FAILED => {
                let kind = from.number()?;
                let failure = decode_error(kind, &mut from)?;
                self.failure.get_or_insert(failure);
            }
            report::ENDED => {
                self.ended = Some(u32::try_from(from.number()?).map_err(|_| Malformed)?.cast_signed())
            }
            report::FILE => self.files.push(read_file(&mut from)?),
            report::REST => self.left_out = from.number()?,
            _ => return Err(Malformed),
        }
        Ok(())
    }

    /// How a program ended that nobody killed from outside.
    fn status(&self, outside: &Outside, usage: &Usage) -> Result<Status, JailError> {
        let killed = Signal::KILL.as_raw();
        let out_of_cpu = usage.cpu.as_secs() >= outside.order.jail.limits.cpu_seconds;
        match self.ended {
            Some(code @ 0..) => Ok(Status::Exit(code)),
            Some(signal) => match signal.saturating_neg() {
                signal if signal == killed && outside.group.was_out_of_memory() => Ok(Status::OutOfMemory),
                signal if signal == killed && out_of_cpu => Ok(Status::TimedOut),
                signal if signal == Signal::XCPU.as_raw() => Ok(Status::TimedOut),
                signal => Ok(Status::Signal(signal)),
            },
            None if outside.group.was_out_of_memory() => Ok(Status::OutOfMemory),
            None => Err(JailError::Supervisor("the jail ended without a report".into())),
        }
    }
}
