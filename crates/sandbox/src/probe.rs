//! The program of the self-test: tries to get out of the jail it was put into, and says how far it came.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitCode},
    thread,
};

use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};

use crate::door::{self, ATTEMPTS, Fork};

/// The last argument of this program as a probe.
pub(crate) const PROBE: &str = "jail-probe";
/// The first line of a probe whose attempts all failed; otherwise there is a line for each that succeeded.
pub(crate) const HELD: &str = "held";
/// A program in the probe's view that it may not execute. It ends with another code than the probe.
pub(crate) const FORBIDDEN: &str = "/usr/bin/true";
/// The code with which a probe ends that could not become another program.
pub(crate) const ENDED: u8 = 7;
/// The standard input of a probe that does nothing but refuse to end.
pub(crate) const STAY: &str = "stay";

/// What the probe is told: a line each.
pub(crate) struct Secrets {
    /// A process outside of the jail, unless there are no namespaces.
    pub(crate) process: Option<u32>,
    /// Folders and files of the host that the jail does not show: neither their names, with namespaces, nor their content, without.
    pub(crate) paths: Vec<String>,
}

impl Secrets {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let process = self.process.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let lines: Vec<&str> =
            std::iter::once(process.as_str()).chain(self.paths.iter().map(String::as_str)).collect();
        lines.join("\n").into_bytes()
    }
}

/// Tries everything.
pub(crate) fn main() -> ExitCode {
    let mut told = String::new();
    let _ = io::stdin().read_to_string(&mut told);
    if told == STAY {
        loop {
            thread::park();
        }
    }
    let mut lines = told.lines();
    let process = lines.next().and_then(|line| line.parse().ok());
    let secrets = Secrets { process, paths: lines.map(str::to_owned).collect() };
    let mut escapes = Vec::new();
    escapes.extend(calls());
    escapes.extend(files(&secrets));
    escapes.extend(processes(&secrets));
    if say(&escapes).is_err() {
        return ExitCode::FAILURE;
    }
    forbidden_program()
}

fn say(escapes: &[String]) -> io::Result<()> {
    let mut out = io::stdout();
    if escapes.is_empty() {
        writeln!(out, "{HELD}")?;
    }
    escapes.iter().try_for_each(|escape| writeln!(out, "{escape}"))?;
    out.flush()
}

/// System calls that the filter must refuse, with its own error and not the kernel's.
fn calls() -> Vec<String> {
    let filtered = |error: io::Error| error.raw_os_error() == Some(libc::EPERM);
    let mut through: Vec<String> = ATTEMPTS
        .iter()
        .filter(|attempt| !attempt.make().is_err_and(filtered))
        .map(|attempt| attempt.name.to_owned())
        .collect();
    match door::fork_into(0) {
        Ok(Fork::Child) => loop {
            thread::park();
        },
        Ok(Fork::Parent(pid, _)) => {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            through.push("another process (fork)".into());
        }
        Err(_) => {}
    }
    through
}

/// Reading and writing outside of the view.
fn files(secrets: &Secrets) -> Vec<String> {
    let mut through = Vec::new();
    for path in &secrets.paths {
        let path = Path::new(path);
        let seen = if secrets.process.is_some() { path.symlink_metadata().is_ok() } else { readable(path) };
        if seen {
            through.push(format!("the host's `{}`", path.display()));
        }
    }
    for place in ["/escape", "/usr/escape", "/dev/escape", "/proc/self/comm"] {
        if fs::write(place, "x").is_ok() {
            through.push(format!("writing `{place}`"));
        }
    }
    through
}

fn readable(path: &Path) -> bool {
    if path.is_dir() { fs::read_dir(path).is_ok() } else { fs::File::open(path).is_ok() }
}

/// Other processes, and the network's devices.
fn processes(secrets: &Secrets) -> Vec<String> {
    let mut through = Vec::new();
    if let Some(pid) = secrets.process.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw)
        && !matches!(test_kill_process(pid), Err(Errno::SRCH))
    {
        through.push("a process of the host".into());
    }
    let devices = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let others = devices.lines().skip(2).filter(|line| !line.trim_start().starts_with("lo:"));
    through.extend(
        others.map(|line| {
            format!("the network device `{}`", line.split(':').next().unwrap_or_default().trim())
        }),
    );
    through
}

/// Becomes a program that Landlock must refuse: the last attempt, because where it succeeds this one is gone.
fn forbidden_program() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "an attempt that must fail")]
    let _ = Command::new(FORBIDDEN).exec();
    ExitCode::from(ENDED)
}
