//! What a contained program is given, and how much of everything: the input of every engine.
//!
//! A [`Jail`] is complete: nothing that it does not name can be seen, reached or used up. It is the same for both engines, the built-in
//! one ([`Sandbox`](crate::Sandbox)) and containers.

mod check;
mod outcome;
#[cfg(test)]
mod tests;

use std::{ffi::OsString, path::PathBuf, time::Duration};

pub use outcome::{Captured, Finished, JailError, ResultFile, Status, Usage};

/// The folder inside the jail where input files lie, where the program starts and where alone it may write. A program should name its
/// files relative to it: on a machine without namespaces the folder has another name.
pub const SCRATCH: &str = "/scratch";

/// The user and group that a jailed program is.
pub const NOBODY: u32 = 65534;

/// One run of one program.
#[derive(Clone, Debug)]
pub struct Jail {
    /// The program, by its absolute path inside the jail. A script needs its interpreter in [`View::execute`].
    pub program: PathBuf,
    /// The arguments after the name.
    pub args: Vec<OsString>,
    /// The environment. `HOME`, `TMPDIR` and `PWD` are set to the scratch folder unless given.
    pub env: Vec<(OsString, OsString)>,
    /// The folder in which it starts, by its path in the jail; the scratch folder if none.
    pub dir: Option<PathBuf>,
    /// What its standard input yields before it ends.
    pub stdin: Vec<u8>,
    /// What it sees of the file system.
    pub view: View,
    /// Files laid into the scratch folder before it starts.
    pub inputs: Vec<InputFile>,
    /// What it may use up.
    pub limits: JailLimits,
    /// Which files are handed back.
    pub collect: Collect,
}

impl Jail {
    /// `program` with nothing but the system's libraries to see, under the default limits.
    pub fn new(program: impl Into<PathBuf>) -> Jail {
        Jail {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            stdin: Vec::new(),
            view: View::default(),
            inputs: Vec::new(),
            limits: JailLimits::default(),
            collect: Collect::default(),
        }
    }
}

/// The file system inside the jail: an empty read-only root, the listed parts of the host, a scratch folder, `/proc` of its own
/// processes, and of `/dev` `null`, `zero`, `full`, `random` and `urandom`.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Parts of the host that can be read.
    pub read_only: Vec<Bind>,
    /// Parts of the host that can be read and written; their files cannot be executed.
    pub read_write: Vec<Bind>,
    /// Small files made for the jail, by their absolute path inside it, such as an `/etc/passwd`. Absent where there are no namespaces.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// What may be started, besides [`Jail::program`] and the dynamic loader: files or whole folders, by their path inside the jail.
    pub execute: Vec<PathBuf>,
}

impl View {
    /// What a dynamically linked program of this machine needs: `/usr`, the links that stand beside it (`/lib`, `/lib64`, `/bin`,
    /// `/sbin`), the loader's cache, the time zone, and an `/etc/passwd` with one user.
    pub fn system() -> View {
        let parts =
            ["/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/localtime"];
        View {
            read_only: parts.iter().map(PathBuf::from).filter(|path| path.exists()).map(Bind::same).collect(),
            files: vec![
                ("/etc/passwd".into(), b"nobody:x:65534:65534:nobody:/scratch:/usr/sbin/nologin\n".to_vec()),
                ("/etc/group".into(), b"nogroup:x:65534:\n".to_vec()),
            ],
            ..View::default()
        }
    }
}

/// A file or folder of the host and where it appears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bind {
    /// Its absolute path on the host. If its last part is a symbolic link, the link itself is made in the jail.
    pub host: PathBuf,
    /// Its absolute path in the jail. Where there are no namespaces it must be the same.
    pub jail: PathBuf,
}

impl Bind {
    /// Seen under the path it has.
    pub fn same(path: impl Into<PathBuf>) -> Bind {
        let host = path.into();
        Bind { jail: host.clone(), host }
    }
}

/// A file laid into the scratch folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputFile {
    /// A single name: no `/`, not `.` or `..`.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What a jailed program may use up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JailLimits {
    /// From its start until everything in the jail is killed.
    pub wall: Duration,
    /// Processor time of each process, seconds.
    pub cpu_seconds: u64,
    /// Share of the machine's processors, in hundredths of one: 50 is half a core. Enforced where a cpu cgroup is writable.
    pub cpu_percent: u32,
    /// Memory of all its processes and its scratch folder together, bytes. Where no memory cgroup is writable it is the address space
    /// of each process.
    pub memory: u64,
    /// The address space of each process, bytes; so a language runtime can report the end of memory instead of being killed. `None`: as
    /// much as it likes, as long as `memory` holds.
    pub address_space: Option<u64>,
    /// How many processes and threads there may be. With 1, threads are still possible up to 16 and processes not.
    pub processes: u32,
    /// The largest file it may write, bytes.
    pub file_size: u64,
    /// All that it may write to its scratch folder, bytes.
    pub scratch: u64,
    /// Open descriptors of each process.
    pub open_files: u64,
    /// How much is kept of standard output, and as much of standard error, bytes: half from the start and half from the end. A program
    /// that writes eight times as much is killed.
    pub output: usize,
}

impl Default for JailLimits {
    /// 30 s, 30 s of processor time, half a core, 256 MiB, one process, files up to 10 MB, 16 MiB of scratch, 64 descriptors, 64 KiB of
    /// output.
    fn default() -> JailLimits {
        JailLimits {
            wall: Duration::from_secs(30),
            cpu_seconds: 30,
            cpu_percent: 50,
            memory: 256 << 20,
            address_space: None,
            processes: 1,
            file_size: 10_000_000,
            scratch: 16 << 20,
            open_files: 64,
            output: 64 << 10,
        }
    }
}

/// Which files of the scratch folder are handed back: regular files that are new or changed, at any depth, in the order of their names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Collect {
    /// How many; the others are only counted.
    pub files: usize,
    /// Content of larger files is left out, bytes.
    pub file_size: u64,
    /// Content is left out once this much was collected, bytes.
    pub total: u64,
}

impl Default for Collect {
    /// 16 files, 1 MiB each, 4 MiB together.
    fn default() -> Collect {
        Collect { files: 16, file_size: 1 << 20, total: 4 << 20 }
    }
}

impl Collect {
    /// Nothing is handed back.
    pub fn nothing() -> Collect {
        Collect { files: 0, file_size: 0, total: 0 }
    }
}
