//! What goes between this process and a jail's supervisor: an order one way, an answer the other; lengths and bytes.
//!
//! Both ends are the same program. The format has no version, because an updated file is no obstacle: `/proc/self/exe` is the program
//! that runs.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::jail::{
    Bind, Captured, Collect, Finished, InputFile, Jail, JailError, JailLimits, ResultFile, Status, Usage,
    View,
};

/// What a supervisor is to do.
pub(crate) enum Task {
    /// A jail of the built-in engine.
    Jail(Order),
    /// A container.
    Container(Jail, Container),
    /// Removes what supervisors left that were killed, containers among it. It is not done by the server, which may be kept to few files.
    Sweep(Option<Container>),
}

/// One jail and the walls around it.
pub(crate) struct Order {
    pub(crate) jail: Jail,
    pub(crate) walls: Walls,
}

/// A container engine, as far as the self-test found out what works with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Container {
    /// The daemon's Unix socket.
    pub(crate) socket: PathBuf,
    /// The image, by its id.
    pub(crate) image: String,
    /// The runtime; the daemon's own if empty.
    pub(crate) runtime: String,
    /// The user namespace, in the daemon's words; the daemon's own choice if empty.
    pub(crate) users: String,
    /// Whether the daemon reads the system call filter from a file, as Podman does, and not from the order itself.
    pub(crate) filter_by_path: bool,
}

/// The walls that a machine may lack. The system call filter is not among them: without it nothing runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Walls {
    pub(crate) namespaces: bool,
    pub(crate) landlock: bool,
}

/// Bytes that are not what the other end writes.
#[derive(Debug, thiserror::Error)]
#[error("a malformed message")]
pub(crate) struct Malformed;

/// Builds a message.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: impl AsRef<OsStr>) {
        self.bytes(text.as_ref().as_bytes());
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Writer, &T)) {
        self.number(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }
}

/// Takes a message apart.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let (number, rest) = self.0.split_first_chunk::<8>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*number))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn os(&mut self) -> Result<OsString, Malformed> {
        self.bytes().map(|bytes| OsString::from_vec(bytes.to_vec()))
    }

    fn path(&mut self) -> Result<PathBuf, Malformed> {
        self.os().map(PathBuf::from)
    }

    pub(crate) fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Malformed)
    }

    fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        // Every item takes at least a length: a count beyond that is malformed before anything is reserved.
        let count =
            usize::try_from(self.number()?).ok().filter(|count| *count <= self.0.len()).ok_or(Malformed)?;
        (0..count).map(|_| read(self)).collect()
    }
}

impl Task {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Task::Jail(Order { jail, walls }) => {
                out.number(0);
                out.number(u64::from(walls.namespaces));
                out.number(u64::from(walls.landlock));
                encode_jail(&mut out, jail);
            }
            Task::Container(jail, container) => {
                out.number(1);
                encode_container(&mut out, container);
                encode_jail(&mut out, jail);
            }
            Task::Sweep(container) => {
                out.number(if container.is_some() { 3 } else { 2 });
                container.iter().for_each(|container| encode_container(&mut out, container));
            }
        }
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Task, Malformed> {
        let mut from = Reader(bytes);
        let from = &mut from;
        match from.number()? {
            0 => {
                let walls = Walls { namespaces: from.number()? != 0, landlock: from.number()? != 0 };
                Ok(Task::Jail(Order { walls, jail: decode_jail(from)? }))
            }
            1 => {
                let container = decode_container(from)?;
                Ok(Task::Container(decode_jail(from)?, container))
            }
            2 => Ok(Task::Sweep(None)),
            3 => Ok(Task::Sweep(Some(decode_container(from)?))),
            _ => Err(Malformed),
        }
    }
}

fn encode_container(out: &mut Writer, container: &Container) {
    let Container { socket, image, runtime, users, filter_by_path } = container;
    out.text(socket);
    out.text(image);
    out.text(runtime);
    out.text(users);
    out.number(u64::from(*filter_by_path));
}

fn decode_container(from: &mut Reader<'_>) -> Result<Container, Malformed> {
    Ok(Container {
        socket: from.path()?,
        image: from.text()?,
        runtime: from.text()?,
        users: from.text()?,
        filter_by_path: from.number()? != 0,
    })
}

fn encode_jail(out: &mut Writer, jail: &Jail) {
    let Jail { program, args, env, dir, stdin, view, inputs, limits, collect } = jail;
    out.text(program);
    out.list(args, |out, argument| out.text(argument));
    out.list(env, |out, (name, value)| {
        out.text(name);
        out.text(value);
    });
    out.text(dir.as_deref().unwrap_or(Path::new("")));
    out.bytes(stdin);
    for binds in [&view.read_only, &view.read_write] {
        out.list(binds, |out, bind| {
            out.text(&bind.host);
            out.text(&bind.jail);
        });
    }
    out.list(&view.files, |out, (path, bytes)| {
        out.text(path);
        out.bytes(bytes);
    });
    out.list(&view.execute, |out, path| out.text(path));
    out.list(inputs, |out, input| {
        out.text(&input.name);
        out.bytes(&input.bytes);
    });
    out.number(u64::try_from(limits.wall.as_micros()).unwrap_or(u64::MAX));
    let numbers = [
        limits.cpu_seconds,
        limits.cpu_percent.into(),
        limits.memory,
        limits.address_space.unwrap_or(0),
        limits.processes.into(),
        limits.file_size,
        limits.scratch,
        limits.open_files,
        limits.output as u64,
        collect.files as u64,
        collect.file_size,
        collect.total,
    ];
    numbers.into_iter().for_each(|number| out.number(number));
}

fn decode_jail(from: &mut Reader<'_>) -> Result<Jail, Malformed> {
    let small = |number: u64| u32::try_from(number).map_err(|_| Malformed);
    let size = |number: u64| usize::try_from(number).map_err(|_| Malformed);
    Ok(Jail {
        program: from.path()?,
        args: from.list(Reader::os)?,
        env: from.list(|from| Ok((from.os()?, from.os()?)))?,
        dir: Some(from.path()?).filter(|dir| !dir.as_os_str().is_empty()),
        stdin: from.bytes()?.to_vec(),
        view: View {
            read_only: from.list(bind)?,
            read_write: from.list(bind)?,
            files: from.list(|from| Ok((from.path()?, from.bytes()?.to_vec())))?,
            execute: from.list(Reader::path)?,
        },
        inputs: from.list(|from| Ok(InputFile { name: from.text()?, bytes: from.bytes()?.to_vec() }))?,
        limits: JailLimits {
            wall: Duration::from_micros(from.number()?),
            cpu_seconds: from.number()?,
            cpu_percent: small(from.number()?)?,
            memory: from.number()?,
            address_space: Some(from.number()?).filter(|bytes| *bytes > 0),
            processes: small(from.number()?)?,
            file_size: from.number()?,
            scratch: from.number()?,
            open_files: from.number()?,
            output: size(from.number()?)?,
        },
        collect: Collect { files: size(from.number()?)?, file_size: from.number()?, total: from.number()? },
    })
}

fn bind(from: &mut Reader<'_>) -> Result<Bind, Malformed> {
    Ok(Bind { host: from.path()?, jail: from.path()? })
}

/// What a supervisor answers.
pub(crate) type Answer = Result<Finished, JailError>;

pub(crate) fn encode_answer(answer: &Answer) -> Vec<u8> {
    let mut out = Writer::default();
    match answer {
        Ok(finished) => {
            out.number(0);
            encode_finished(&mut out, finished);
        }
        Err(error) => encode_error(&mut out, error),
    }
    out.0
}

pub(crate) fn decode_answer(bytes: &[u8]) -> Result<Answer, Malformed> {
    let mut from = Reader(bytes);
    Ok(match from.number()? {
        0 => Ok(decode_finished(&mut from)?),
        kind => Err(decode_error(kind, &mut from)?),
    })
}

fn encode_finished(out: &mut Writer, finished: &Finished) {
    let (kind, detail) = match finished.status {
        Status::Exit(code) => (0, code),
        Status::Signal(signal) => (1, signal),
        Status::TimedOut => (2, 0),
        Status::OutOfMemory => (3, 0),
        Status::TooMuchOutput => (4, 0),
        Status::ScratchFull => (5, 0),
    };
    out.number(kind);
    out.number(u64::from(detail.cast_unsigned()));
    for stream in [&finished.stdout, &finished.stderr] {
        out.bytes(&stream.head);
        out.bytes(&stream.tail);
        out.number(stream.total);
    }
    out.list(&finished.files, write_file);
    out.number(finished.files_left_out);
    out.number(u64::try_from(finished.usage.wall.as_micros()).unwrap_or(u64::MAX));
    out.number(u64::try_from(finished.usage.cpu.as_micros()).unwrap_or(u64::MAX));
    out.number(finished.usage.memory);
}

fn decode_finished(from: &mut Reader<'_>) -> Result<Finished, Malformed> {
    let kind = from.number()?;
    let detail = u32::try_from(from.number()?).map_err(|_| Malformed)?.cast_signed();
    let status = match kind {
        0 => Status::Exit(detail),
        1 => Status::Signal(detail),
        2 => Status::TimedOut,
        3 => Status::OutOfMemory,
        4 => Status::TooMuchOutput,
        5 => Status::ScratchFull,
        _ => return Err(Malformed),
    };
    let stream = |from: &mut Reader<'_>| {
        Ok(Captured { head: from.bytes()?.to_vec(), tail: from.bytes()?.to_vec(), total: from.number()? })
    };
    Ok(Finished {
        status,
        stdout: stream(from)?,
        stderr: stream(from)?,
        files: from.list(read_file)?,
        files_left_out: from.number()?,
        usage: Usage {
            wall: Duration::from_micros(from.number()?),
            cpu: Duration::from_micros(from.number()?),
            memory: from.number()?,
        },
    })
}

pub(crate) fn write_file(out: &mut Writer, file: &ResultFile) {
    out.text(&file.name);
    out.number(file.size);
    out.number(u64::from(file.bytes.is_some()));
    out.bytes(file.bytes.as_deref().unwrap_or_default());
}

pub(crate) fn read_file(from: &mut Reader<'_>) -> Result<ResultFile, Malformed> {
    let (name, size, present) = (from.text()?, from.number()?, from.number()? != 0);
    let bytes = from.bytes()?;
    Ok(ResultFile { name, size, bytes: present.then(|| bytes.to_vec()) })
}

/// Errors of a set-up cross from the jail to its supervisor, and from there to us, in this form.
pub(crate) fn encode_error(out: &mut Writer, error: &JailError) {
    let (kind, subject, source) = match error {
        JailError::View { path, source } => (1, path.as_os_str().to_owned(), Some(source)),
        JailError::Program { program, source } => (2, program.as_os_str().to_owned(), Some(source)),
        JailError::Setup { step, source } => (3, step.into(), Some(source)),
        JailError::Container(said) => (5, said.into(), None),
        other => (4, other.to_string().into(), None),
    };
    out.number(kind);
    out.text(&subject);
    out.number(source.and_then(io::Error::raw_os_error).map_or(0, |code| u64::from(code.unsigned_abs())));
}

pub(crate) fn decode_error(kind: u64, from: &mut Reader<'_>) -> Result<JailError, Malformed> {
    let subject = from.os()?;
    let code = i32::try_from(from.number()?).map_err(|_| Malformed)?;
    let source = if code == 0 { io::ErrorKind::Other.into() } else { io::Error::from_raw_os_error(code) };
    let text = |subject: OsString| Path::new(&subject).display().to_string();
    Ok(match kind {
        1 => JailError::View { path: subject.into(), source },
        2 => JailError::Program { program: subject.into(), source },
        3 => JailError::Setup { step: text(subject), source },
        4 => JailError::Supervisor(text(subject)),
        5 => JailError::Container(text(subject)),
        _ => return Err(Malformed),
    })
}
