//! Real processes: this test binary started again in a role that its arguments name.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and dial by themselves to show what a wall stops"
)]

mod confine;
#[cfg(feature = "container")]
mod container;
mod elsewhere;
mod jail;

use std::{
    fs,
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use countersign_sandbox::{Child, Limits, Spawn, stream_of_this_process};

const ROLE: &str = "role:";

fn spawn(role: &str) -> Spawn {
    let mut spawn = Spawn::new(std::env::current_exe().unwrap());
    spawn.args = ["--exact", "entry", "--nocapture", &format!("{ROLE}{role}")].map(Into::into).to_vec();
    spawn
}

fn start(spawn: Spawn) -> (Child, UnixStream) {
    let mut child = spawn.start().unwrap();
    let stream = child.take_stream().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (child, stream)
}

/// All that a role says before its process ends.
fn said(spawn: Spawn) -> String {
    let (child, mut stream) = start(spawn);
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    said
}

/// The roles. In an ordinary run there is none and nothing to do.
#[test]
fn entry() {
    let Some(role) = std::env::args().find_map(|argument| argument.strip_prefix(ROLE).map(str::to_owned))
    else {
        return;
    };
    if role == "unprivileged" {
        println!("{}", jail::unprivileged::role());
        return;
    }
    if role == "grade" {
        println!("{}", jail::grades::role());
        return;
    }
    let mut stream = stream_of_this_process().unwrap();
    let mut say = |text: String| stream.write_all(text.as_bytes()).unwrap();
    match role.as_str() {
        "sleep" => thread::sleep(Duration::from_secs(60)),
        "status" => say(fs::read_to_string("/proc/self/status").unwrap()),
        "stat" => say(fs::read_to_string("/proc/self/stat").unwrap()),
        "limits" => say(fs::read_to_string("/proc/self/limits").unwrap()),
        "environment" => say(format!("{:?}", std::env::vars_os().collect::<Vec<_>>())),
        "descriptors" => {
            for entry in fs::read_dir("/proc/self/fd").unwrap() {
                say(format!("{}\n", fs::read_link(entry.unwrap().path()).unwrap_or_default().display()));
            }
        }
        "memory" => {
            let mut memory: Vec<u8> = Vec::new();
            say(format!("{}", memory.try_reserve_exact(256 << 20).is_err()));
        }
        // Starts a child of its own and never ends by itself.
        "parent" => {
            let (child, _stream) = start(self::spawn("sleep"));
            say(format!("{}\n", child.pid()));
            thread::sleep(Duration::from_secs(60));
        }
        "jail-starter" => jail::deaths::starter(),
        role if role.starts_with("read:") => say(fs::read_to_string(&role["read:".len()..]).unwrap()),
        #[cfg(feature = "container")]
        role if role.starts_with("container-starter ") => {
            let words: Vec<&str> = role.split(' ').collect();
            container::starter(words[1], words[2]);
        }
        other => panic!("unknown role {other}"),
    }
}

fn is_alive(pid: u32) -> bool {
    // A zombie is as good as dead to its parent-to-be, but counts as there: nothing here may leave one.
    Path::new(&format!("/proc/{pid}")).exists()
}

fn until_gone(pid: u32) {
    let started = Instant::now();
    while is_alive(pid) {
        assert!(started.elapsed() < Duration::from_secs(2), "{pid} is still there");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_child_dies_with_a_parent_that_is_killed() {
    let (parent, mut stream) = start(spawn("parent"));
    let mut line = [0; 16];
    let read = stream.read(&mut line).unwrap();
    let grandchild: u32 = std::str::from_utf8(&line[..read]).unwrap().trim().parse().unwrap();
    assert!(is_alive(grandchild));
    parent.kill().unwrap();
    parent.wait().unwrap();
    // Its new parent reaps it; where that is a process that does not, a zombie is what is left.
    let started = Instant::now();
    loop {
        let stat = fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(2), "the grandchild lives on: {stat}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_child_outlives_the_thread_that_asked_for_it() {
    let (child, _stream) = thread::spawn(|| start(spawn("sleep"))).join().unwrap();
    thread::sleep(Duration::from_millis(100));
    assert!(is_alive(child.pid()));
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.pid())).unwrap();
    assert!(!stat.contains(") Z "), "it was killed with the thread");
}

#[test]
fn dropping_kills_and_reaps() {
    let pids: Vec<u32> = (0..10)
        .map(|_| {
            let (child, _stream) = start(spawn("sleep"));
            child.pid()
        })
        .collect();
    for pid in pids {
        until_gone(pid);
    }
}

#[test]
fn killing_twice_is_no_error_and_waiting_tells_the_signal() {
    use std::os::unix::process::ExitStatusExt;
    let (child, _stream) = start(spawn("sleep"));
    child.kill().unwrap();
    thread::sleep(Duration::from_millis(20));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn limits_bite() {
    assert_eq!(
        said(Spawn {
            limits: Limits { address_space: Some(256 << 20), ..Limits::default() },
            ..spawn("memory")
        }),
        "true"
    );
    assert_eq!(
        said(Spawn { limits: Limits { address_space: None, ..Limits::default() }, ..spawn("memory") }),
        "false"
    );
    let limits =
        said(Spawn { limits: Limits { cpu_seconds: Some(7), ..Limits::default() }, ..spawn("limits") });
    let line = |name: &str| {
        limits
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .split_whitespace()
            .rev()
            .skip(1)
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(line("Max address space"), ["536870912", "536870912"]);
    assert_eq!(line("Max file size"), ["16777216", "16777216"]);
    assert_eq!(line("Max open files"), ["64", "64"]);
    assert_eq!(line("Max cpu time"), ["7", "7"]);
    assert_eq!(line("Max core file size"), ["0", "0"]);
}

#[test]
fn a_child_gets_the_given_environment_and_nothing_else() {
    assert_eq!(said(spawn("environment")), "[]");
    let given = Spawn { env: vec![("A".into(), "b".into())], ..spawn("environment") };
    assert_eq!(said(given), "[(\"A\", \"b\")]");
}

#[test]
fn no_descriptor_leaks() {
    // Open without the close-on-exec flag, as a careless library would.
    let file = fs::File::open("/etc/passwd").unwrap();
    let leaky = rustix::io::dup(&file).unwrap();
    let flags = rustix::io::fcntl_getfd(&leaky).unwrap();
    assert!(!flags.contains(rustix::io::FdFlags::CLOEXEC));
    let descriptors = said(spawn("descriptors"));
    assert!(!descriptors.contains("passwd"), "{descriptors}");
    // Its stream, once more for itself, and the folder it reads.
    let open: Vec<_> = descriptors.lines().filter(|target| *target != "/dev/null").collect();
    assert!(
        open.iter().all(|target| target.starts_with("socket:") || target.starts_with("/proc/")),
        "{descriptors}"
    );
}

#[test]
fn a_child_leads_its_session_and_gains_no_privileges() {
    let status = said(spawn("status"));
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let stat = said(spawn("stat"));
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let pid = stat.split(' ').next().unwrap();
    assert_eq!((fields[2], fields[3]), (pid, pid), "process group and session");
}

#[test]
fn the_stream_goes_both_ways_and_ends_with_the_child() {
    let (child, mut stream) = start(spawn("sleep"));
    stream.write_all(b"x").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    drop(child);
    assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0);
}

#[test]
fn a_program_that_is_not_there_is_an_error_and_no_process() {
    let error = Spawn::new("/nonexistent/program").start().unwrap_err();
    assert_eq!(error.to_string(), "cannot start a contained process: fork, containment or execve");
}
