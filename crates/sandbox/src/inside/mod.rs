//! The jail's first process: builds the walls around itself, starts the program, waits for it, and hands its files back.
//!
//! With namespaces it is process 1 of the jail, so everything in the jail ends with it. It is this program, started by the supervisor
//! with `fork`, and trusted until the program runs; from then on it is behind the same walls as the program.

pub(crate) mod collect;
mod filter;
mod paths;
mod program;
mod rights;
mod view;

use std::{io, os::fd::OwnedFd, path::PathBuf, process::ExitCode};

#[cfg(feature = "container")]
pub(crate) use filter::profile;

use rustix::{
    event::{PollFd, PollFlags},
    fs::{Mode, OFlags},
    process::{DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus},
};

use crate::{
    door::{self, Fork},
    jail::{JailError, SCRATCH},
    wire::{Order, Writer, encode_error, write_file},
};

/// What the first process was born with.
pub(crate) struct Inside {
    pub(crate) order: Order,
    /// The walls that a test has taken away behind everybody's back.
    pub(crate) without: Option<Wall>,
    /// Whether the supervisor is root.
    pub(crate) privileged: bool,
    /// The scratch folder on the host, where there are no namespaces.
    pub(crate) scratch: Option<PathBuf>,
    /// Yields a byte once there are users and one once limits hold, and ends when the supervisor dies.
    pub(crate) go: OwnedFd,
    /// Takes reports.
    pub(crate) report: OwnedFd,
    /// The program's standard input, output and error.
    pub(crate) streams: [OwnedFd; 3],
}

/// A wall, as tests take it away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wall {
    /// The namespaces: own file system, processes, network.
    Namespaces,
    /// The Landlock rules.
    Landlock,
    /// The system call filter.
    Filter,
    /// A container's limit of memory.
    Memory,
}

/// What the first process reports, each followed by its details.
pub(crate) mod report {
    /// The set-up failed: an error.
    pub(crate) const FAILED: u64 = 0;
    /// The program ended: its code, or minus the signal's number.
    pub(crate) const ENDED: u64 = 1;
    /// A file.
    pub(crate) const FILE: u64 = 2;
    /// How many files were left out; the last report.
    pub(crate) const REST: u64 = 3;
}

/// The scratch folder as the program sees it, with its content before the program ran.
struct Scratch {
    path: PathBuf,
    folder: OwnedFd,
    inputs: Vec<collect::Known>,
}

impl Inside {
    /// Does everything, and ends. The exit code means nothing: what there is to say goes into the report.
    pub(crate) fn live(self) -> ExitCode {
        match self.build().and_then(|(scratch, program)| self.watch(&scratch, program)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let mut out = Writer::default();
                out.number(report::FAILED);
                encode_error(&mut out, &error);
                let _ = self.send(out);
                ExitCode::FAILURE
            }
        }
    }

    /// The walls, from the outermost to the innermost, then the program.
    fn build(&self) -> Result<(Scratch, Pid), JailError> {
        let jail = &self.order.jail;
        // No terminal and no socket of the supervisor's.
        rustix::stdio::dup2_stdin(&self.streams[0]).map_err(setup("its standard input"))?;
        self.bind_to_the_supervisor().map_err(setup("the bond to its supervisor"))?;
        if self.order.walls.namespaces && self.without != Some(Wall::Namespaces) {
            view::build(jail)?;
        }
        rights::drop_all(self.privileged).map_err(setup("giving up privileges"))?;
        // INVARIANT: a change of user clears the parent-death signal, so it is set again.
        self.bind_to_the_supervisor().map_err(setup("the bond to its supervisor"))?;
        // INVARIANT: nothing that the limits cover, memory and processes, is used before they hold.
        if !self.wait_for_go() {
            return Err(setup("its limits")(rustix::io::Errno::SRCH));
        }
        let scratch = self.fill_scratch().map_err(setup("the scratch folder"))?;
        let program = program::Program::resolve(jail, &scratch.path)?;
        if self.order.walls.landlock && self.without != Some(Wall::Landlock) {
            paths::restrict(jail, &scratch.path, self.is_init())?;
        }
        let first = rustix::process::getpid();
        match door::fork_into(0).map_err(setup("the program's process"))? {
            Fork::Parent(pid, _) => {
                // Its number is known to a hostile program: what cannot be inspected cannot be used.
                rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
                    .map_err(setup("its own protection"))?;
                self.filter()?;
                Ok((scratch, pid))
            }
            Fork::Child => Err(self.become_program(program, first)),
        }
    }

    /// Returns only if the program could not be started.
    fn become_program(&self, program: program::Program, first: Pid) -> JailError {
        let prepared = rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            // INVARIANT: had the first process died before that line, nobody would ever send the signal.
            .and_then(|()| {
                let same = rustix::process::getppid() == Some(first);
                if same { Ok(()) } else { Err(rustix::io::Errno::SRCH) }
            })
            .and_then(|()| rustix::process::setsid().map(drop))
            .map_err(setup("the program's session"))
            .and_then(|()| rights::limit(&self.order.jail.limits, self.order.walls.namespaces))
            .and_then(|()| self.filter());
        match prepared {
            Ok(()) => program.start(&self.streams),
            Err(error) => error,
        }
    }

    fn filter(&self) -> Result<(), JailError> {
        if self.without == Some(Wall::Filter) {
            return Ok(());
        }
        filter::install(self.order.jail.limits.processes > 1, self.order.walls.namespaces)
    }

    /// Process 1 of namespaces of its own.
    fn is_init(&self) -> bool {
        rustix::process::getpid() == Pid::INIT
    }

    /// Has the kernel kill this process when the supervisor dies, and makes sure that it had not died before.
    fn bind_to_the_supervisor(&self) -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        let mut poll = [PollFd::new(&self.go, PollFlags::empty())];
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut poll, Some(&now))?;
        if poll.iter().any(|fd| fd.revents().contains(PollFlags::HUP)) {
            return Err(rustix::io::Errno::SRCH.into());
        }
        Ok(())
    }

    /// Waits for the supervisor: once for the users, once for the limits.
    pub(crate) fn wait_for_go(&self) -> bool {
        rustix::io::read(&self.go, &mut [0_u8]).is_ok_and(|read| read == 1)
    }

    fn fill_scratch(&self) -> io::Result<Scratch> {
        let path = self.scratch.clone().unwrap_or_else(|| SCRATCH.into());
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let folder = rustix::fs::open(&path, flags, Mode::empty())?;
        let inputs = collect::lay(&folder, &self.order.jail.inputs)?;
        rustix::process::chdir(&path)?;
        Ok(Scratch { path, folder, inputs })
    }

    /// Buries whatever dies until the program has ended, then kills what it left behind and hands its files back.
    fn watch(&self, scratch: &Scratch, program: Pid) -> Result<(), JailError> {
        let status = loop {
            match rustix::process::wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) if pid == program && !status.stopped() => break status,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(setup("waiting for the program")(errno)),
            }
        };
        if self.is_init() {
            door::kill_all_but_init().map_err(setup("the end of what the program left behind"))?;
            while rustix::process::wait(WaitOptions::empty()).is_ok_and(|buried| buried.is_some()) {}
        }
        let mut out = Writer::default();
        out.number(report::ENDED);
        out.number(u64::from(ending(status).cast_unsigned()));
        self.send(out)?;
        let left_out =
            collect::collect(&scratch.folder, &scratch.inputs, &self.order.jail.collect, |file| {
                let mut out = Writer::default();
                out.number(report::FILE);
                write_file(&mut out, &file);
                self.send(out)
            })?;
        let mut out = Writer::default();
        out.number(report::REST);
        out.number(left_out);
        self.send(out)
    }

    fn send(&self, message: Writer) -> Result<(), JailError> {
        let mut framed = Writer::default();
        framed.bytes(&message.0);
        let mut rest = framed.0.as_slice();
        while !rest.is_empty() {
            match rustix::io::write(&self.report, rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(setup("the report")(errno)),
            }
        }
        Ok(())
    }
}

/// A program's code, or minus the number of the signal that killed it.
fn ending(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => signal.saturating_neg(),
        (None, None) => i32::MIN,
    }
}

fn setup<E: Into<io::Error>>(step: &'static str) -> impl Fn(E) -> JailError {
    move |error| JailError::Setup { step: step.into(), source: error.into() }
}
