//! The life of a jail's supervisor: this program, started again with one thread for one jail.
//!
//! It stands between us and the jail, outside of it. It makes the control groups, starts the jail's first process, reads the program's
//! output, watches the clock, kills, cleans up, and answers. If we die, the end of its socket tells it, and it does all that without
//! answering; if it dies, the kernel kills the jail's first process, and with it the jail. Containers have a supervisor too: the daemon
//! would let them live on without us.

mod cgroup;
mod scratch;
mod users;
mod watch;

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    process::ExitCode,
};

use rustix::{
    fs::{MemfdFlags, Mode, OFlags, SealFlags},
    pipe::PipeFlags,
    process::Pid,
};

#[cfg(feature = "container")]
pub(crate) use cgroup::PREFIX;
pub(crate) use cgroup::{Hierarchies, process_limit};
#[cfg(feature = "container")]
pub(crate) use scratch::Scratch;

use crate::{
    door::{self, Fork},
    inside::{Inside, Wall},
    jail::{Finished, Jail, JailError},
    stream_of_this_process,
    wire::{Answer, Container, Order, Reader, Task, encode_answer},
};

/// The largest order accepted, bytes.
const LARGEST: u64 = 1 << 30;

/// Serves one order; `without` is a wall that a test takes away.
pub(crate) fn main(without: Option<Wall>) -> ExitCode {
    let Ok(stream) = stream_of_this_process() else { return ExitCode::FAILURE };
    match serve(stream, without) {
        Ok(code) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(mut stream: UnixStream, without: Option<Wall>) -> io::Result<ExitCode> {
    // From here on, the end of the stream says that our starter is gone, and there is time to clean up.
    rustix::process::set_parent_process_death_signal(None)?;
    // What the jail leaves without a parent is ours to bury.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let order = match read_task(&mut stream)? {
        Some(Task::Jail(order)) => order,
        Some(Task::Container(jail, container)) => return serve_container(stream, jail, &container, without),
        Some(Task::Sweep(container)) => {
            send(&mut stream, &sweep(container.as_ref()))?;
            return Ok(ExitCode::SUCCESS);
        }
        None => return Ok(ExitCode::FAILURE),
    };
    let answer = match start(order, without) {
        Ok(Side::Inside(inside)) => {
            drop(stream);
            return Ok(if inside.wait_for_go() { inside.live() } else { ExitCode::FAILURE });
        }
        Ok(Side::Outside(outside)) => watch::watch(*outside, &stream),
        Err(error) => Some(Err(error)),
    };
    let Some(answer) = answer else { return Ok(ExitCode::FAILURE) };
    send(&mut stream, &answer)?;
    Ok(ExitCode::SUCCESS)
}

/// A container has nothing of ours to fork from: it is the daemon's, and we are the one who has it removed.
fn serve_container(
    mut stream: UnixStream,
    jail: Jail,
    container: &Container,
    without: Option<Wall>,
) -> io::Result<ExitCode> {
    #[cfg(feature = "container")]
    let answer = crate::container::serve(&jail, container, &stream, without);
    #[cfg(not(feature = "container"))]
    let answer = {
        let _ = (jail, container, without);
        Some(Err(JailError::Unsupported))
    };
    let Some(answer) = answer else { return Ok(ExitCode::FAILURE) };
    send(&mut stream, &answer)?;
    Ok(ExitCode::SUCCESS)
}

/// Removes what supervisors left that were killed.
fn sweep(container: Option<&Container>) -> Answer {
    #[cfg(feature = "container")]
    container.map_or(Ok(()), crate::container::sweep)?;
    #[cfg(not(feature = "container"))]
    let _ = container;
    Hierarchies::find().sweep();
    scratch::sweep();
    Ok(Finished::nothing())
}

fn read_task(stream: &mut UnixStream) -> io::Result<Option<Task>> {
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let length = Reader(&length).number().unwrap_or(u64::MAX);
    if length > LARGEST {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    stream.take(length).read_to_end(&mut bytes)?;
    Ok(Task::decode(&bytes).ok())
}

fn send(stream: &mut UnixStream, answer: &Answer) -> io::Result<()> {
    stream.write_all(&encode_answer(answer))
}

/// The two processes after the jail's first one was born.
enum Side {
    Inside(Box<Inside>),
    Outside(Box<Outside>),
}

/// What the supervisor holds of a running jail.
pub(super) struct Outside {
    order: Order,
    pid: Pid,
    pidfd: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    report: OwnedFd,
    /// INVARIANT: kept open for as long as we live; its end tells the jail's first process that we died before it had armed itself.
    go: OwnedFd,
    scratch: Option<scratch::Scratch>,
    /// Dropped last: a group can be removed once its processes are gone.
    group: cgroup::Group,
}

fn start(mut order: Order, without: Option<Wall>) -> Result<Side, JailError> {
    let privileged = rustix::process::geteuid().is_root();
    let namespaces = order.walls.namespaces && without != Some(Wall::Namespaces);
    let hierarchies = Hierarchies::find();
    let limits = &mut order.jail.limits;
    if !hierarchies.limits_memory() {
        limits.address_space.get_or_insert(limits.memory);
    }
    let group = hierarchies.make(limits).map_err(setup("its control groups"))?;
    let scratch = if namespaces {
        None
    } else {
        Some(scratch::Scratch::make(privileged).map_err(setup("its scratch folder"))?)
    };
    let stdin = input(&order.jail.stdin).map_err(setup("its standard input"))?;
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(setup("its pipes"));
    let ((stdout, stdout_in), (stderr, stderr_in), (report, report_in), (go_in, go)) =
        (pipe()?, pipe()?, pipe()?, pipe()?);
    match door::fork_into(if namespaces { door::ALL_NAMESPACES } else { 0 })
        .map_err(setup("its namespaces"))?
    {
        Fork::Child => {
            let inside = Inside {
                order,
                without,
                privileged,
                scratch: scratch.as_ref().map(|scratch| scratch.path.clone()),
                go: go_in,
                report: report_in,
                streams: [stdin, stdout_in, stderr_in],
            };
            // INVARIANT: these belong to the supervisor, who removes them.
            std::mem::forget((group, scratch));
            drop((stdout, stderr, report, go));
            Ok(Side::Inside(Box::new(inside)))
        }
        Fork::Parent(pid, pidfd) => {
            drop((stdin, stdout_in, stderr_in, report_in, go_in));
            let outside = Outside { order, pid, pidfd, stdout, stderr, report, go, scratch, group };
            match outside.release(namespaces, privileged) {
                Ok(()) => Ok(Side::Outside(Box::new(outside))),
                Err(error) => {
                    watch::kill(&outside);
                    Err(error)
                }
            }
        }
    }
}

impl Outside {
    /// Gives the waiting first process its users and lets it build its walls; then puts it under its limits and lets it start the program.
    /// Joining a control group takes the kernel a while, so the two happen at the same time.
    fn release(&self, namespaces: bool, privileged: bool) -> Result<(), JailError> {
        if namespaces {
            users::map(self.pid, privileged).map_err(setup("its users"))?;
        }
        // INVARIANT: a first process that is gone has reported why, and that is the answer, not our own failure to reach it.
        let reached = self.go().and_then(|()| self.group.add(self.pid)).and_then(|()| self.go());
        match reached {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EPIPE)) => Ok(()),
            reached => reached.map_err(setup("its control groups and its start")),
        }
    }

    fn go(&self) -> io::Result<()> {
        match rustix::io::write(&self.go, b"!")? {
            1 => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

/// A descriptor that yields these bytes and then ends. The jail cannot write to it.
fn input(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    if bytes.is_empty() {
        return Ok(rustix::fs::open("/dev/null", flags, Mode::empty())?);
    }
    let memory = rustix::fs::memfd_create("stdin", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut memory = fs::File::from(memory);
    memory.write_all(bytes)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&memory, seals)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&memory.as_fd());
    Ok(rustix::fs::open(format!("/proc/self/fd/{number}"), flags, Mode::empty())?)
}

fn setup<E: Into<io::Error>>(step: &'static str) -> impl Fn(E) -> JailError {
    move |error| JailError::Setup { step: step.into(), source: error.into() }
}
