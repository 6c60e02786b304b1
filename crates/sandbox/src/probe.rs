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

/// The last argument of this program as a probe, in a jail and in a container.
pub(crate) const PROBE: &str = "jail-probe";
pub(crate) const IN_CONTAINER: &str = "container-probe";
/// The first line of a probe whose attempts all failed; otherwise there is a line for each that succeeded.
pub(crate) const HELD: &str = "held";
/// Starts a line that is no escape.
pub(crate) const NOTE: &str = "note: ";
/// Notes of a probe in a container.
pub(crate) const OWN_KERNEL: &str = "note: a kernel of its own";
pub(crate) const HOST_USERS: &str = "note: the users of the host";
/// What a probe in a container leaves in its scratch folder.
pub(crate) const LEFT: &str = "probe";
/// A program in the probe's view that it may not execute. It ends with another code than the probe.
pub(crate) const FORBIDDEN: &str = "/usr/bin/true";
/// The code with which a probe ends that could not become another program.
pub(crate) const ENDED: u8 = 7;
/// The standard input of a probe that does nothing but refuse to end.
pub(crate) const STAY: &str = "stay";
/// The standard input of a probe that does nothing but take [`GREED`] of memory.
pub(crate) const TAKE: &str = "take";
/// Bytes that a probe takes that is not held to less.
pub(crate) const GREED: usize = 192 << 20;

/// Numbers of processes below this may be those of the jail's own.
const OWN_PROCESSES: u32 = 64;

/// What the probe is told: a line each.
pub(crate) struct Secrets {
    /// Whether the jail has namespaces, so that not even names of the host are seen.
    pub(crate) own_view: bool,
    /// A process outside of the jail.
    pub(crate) process: u32,
    /// The host's kernel, as [`kernel`] names it.
    pub(crate) kernel: String,
    /// Folders and files of the host that the jail does not show: neither their names, with namespaces, nor their content, without.
    pub(crate) paths: Vec<String>,
}

impl Secrets {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let view = if self.own_view { "own" } else { "shared" };
        let head = [view.to_owned(), self.process.to_string(), self.kernel.clone()];
        head.iter().chain(&self.paths).map(String::as_str).collect::<Vec<_>>().join("\n").into_bytes()
    }

    fn decode(told: &str) -> Secrets {
        let mut lines = told.lines();
        Secrets {
            own_view: lines.next() == Some("own"),
            process: lines.next().and_then(|line| line.parse().ok()).unwrap_or(0),
            kernel: lines.next().unwrap_or_default().to_owned(),
            paths: lines.map(str::to_owned).collect(),
        }
    }
}

/// The release of the running kernel, and what its `/proc` says of how it was built.
pub(crate) fn kernel() -> String {
    let built = fs::read_to_string("/proc/version").unwrap_or_default();
    format!("{} {}", rustix::system::uname().release().to_string_lossy(), built.trim())
}

/// Tries everything.
pub(crate) fn main(container: bool) -> ExitCode {
    let mut told = String::new();
    let _ = io::stdin().read_to_string(&mut told);
    if told == STAY {
        loop {
            thread::park();
        }
    }
    if told == TAKE {
        // Written to, since memory that is only promised is not taken.
        std::hint::black_box(vec![1_u8; GREED]);
        return ExitCode::from(ENDED);
    }
    let secrets = Secrets::decode(&told);
    let own_kernel = container && has_own_kernel(&secrets.kernel);
    let mut escapes = Vec::new();
    if !own_kernel {
        escapes.extend(calls());
    }
    escapes.extend(files(&secrets, container));
    escapes.extend(processes(&secrets));
    if container {
        escapes.extend(rights(own_kernel));
    }
    let mut notes = Vec::new();
    notes.extend(own_kernel.then_some(OWN_KERNEL));
    notes.extend((container && !own_kernel && has_host_users()).then_some(HOST_USERS));
    if container && fs::write(LEFT, "x").is_err() {
        return ExitCode::FAILURE;
    }
    if say(&escapes, &notes).is_err() {
        return ExitCode::FAILURE;
    }
    forbidden_program()
}

/// INVARIANT: both the release and what `/proc` says must differ, and both sides must be known: a `/proc` that is missing is no kernel of its
/// own.
fn has_own_kernel(host: &str) -> bool {
    let own = kernel();
    let (Some((own_release, own_build)), Some((release, build))) =
        (own.split_once(' '), host.split_once(' '))
    else {
        return false;
    };
    let known = [own_release, own_build, release, build].iter().all(|part| !part.is_empty());
    known && own_release != release && own_build != build
}

/// Whether every user here is the same user outside.
fn has_host_users() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let fields: Vec<&str> = map.split_whitespace().collect();
    // What cannot be read has no users of its own.
    fields.is_empty() || fields == ["0", "0", "4294967295"]
}

fn say(escapes: &[String], notes: &[&str]) -> io::Result<()> {
    let mut out = io::stdout();
    if escapes.is_empty() {
        writeln!(out, "{HELD}")?;
    }
    escapes.iter().try_for_each(|escape| writeln!(out, "{escape}"))?;
    notes.iter().try_for_each(|note| writeln!(out, "{note}"))?;
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
fn files(secrets: &Secrets, container: bool) -> Vec<String> {
    let mut through = Vec::new();
    for path in &secrets.paths {
        let path = Path::new(path);
        let seen = if secrets.own_view { path.symlink_metadata().is_ok() } else { readable(path) };
        if seen {
            through.push(format!("the host's `{}`", path.display()));
        }
    }
    let own_name = (!container).then_some("/proc/self/comm");
    for place in ["/escape", "/usr/escape", "/dev/escape"].into_iter().chain(own_name) {
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
    // A server that is the first process of a container has a number that the jail has as well.
    // MUTATE(E5-first): the jail's own processes are taken for the host's, and nothing is run
    let number = Some(secrets.process).filter(|number| secrets.own_view && *number >= OWN_PROCESSES);
    if let Some(pid) = number.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw)
        && !matches!(test_kill_process(pid), Err(Errno::SRCH))
    {
        through.push("a process of the host".into());
    }
    let seen = fs::read_dir("/proc").into_iter().flatten().flatten();
    let seen = seen.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    if secrets.own_view && seen.count() > OWN_PROCESSES as usize {
        through.push("the list of the host's processes".into());
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

/// Capabilities, and ways to get some.
fn rights(own_kernel: bool) -> Vec<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    };
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    // A kernel of its own need not tell.
    let is_held = |set: &str| field(set).map_or(!own_kernel, |bits| bits.bytes().any(|bit| bit != b'0'));
    let held = sets.into_iter().filter(|set| is_held(set));
    let mut through: Vec<String> = held.map(|set| format!("capabilities ({set})")).collect();
    if field("NoNewPrivs").map_or(!own_kernel, |value| value != "1") {
        through.push("new privileges".into());
    }
    through
}

/// Becomes a program that Landlock must refuse: the last attempt, because where it succeeds this one is gone.
fn forbidden_program() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "an attempt that must fail")]
    let _ = Command::new(FORBIDDEN).exec();
    ExitCode::from(ENDED)
}
