//! Walls that cannot be seen from outside: a library of the test's own is loaded into the binary's processes and tries them from within.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::world::*;

/// At the end of a process, tries a file and a connection, and says what became of it.
const LOOK: &str = r#"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
__attribute__((destructor)) static void look(void) {
    const char *port = getenv("LOOK_PORT");
    if (!port) return;
    int file = open("/etc/passwd", O_RDONLY);
    dprintf(2, "file %d\n", file < 0 ? errno : 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(port)), .sin_addr.s_addr = htonl(0x7f000001)};
    int tcp = connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof to);
    dprintf(2, "tcp %d\n", tcp < 0 ? errno : 0);
}
"#;

/// The time of day, an hour on.
const LATER: &str = r#"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += 3600;
    return result;
}
"#;

/// A library that is loaded into a process before all others.
fn library(dir: &Path, code: &str) -> PathBuf {
    let (source, library) = (dir.join("within.c"), dir.join("within.so"));
    fs::write(&source, code).unwrap();
    let made =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    library
}

/// What a worker that made text of a page can still do; `command` starts the binary.
fn worker(mut command: Command, library: &Path, port: u16) -> String {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let child = command
        .arg("__html-worker")
        .env("LD_PRELOAD", library)
        .env("LOOK_PORT", port.to_string())
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(command);
    ours.write_all(b"<h1>Ores</h1>").unwrap();
    ours.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text, "+# Ores\n");
    String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap()
}

/// Linux 6.7 is the first whose Landlock knows TCP.
fn knows_tcp() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (6, 7)
}

#[test]
fn what_reads_pages_has_no_file_and_no_network() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(dir.path(), LOOK);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // On a kernel without Landlock, which shows what the worker could do.
    let mut unguarded = Command::new("/usr/bin/python3");
    unguarded.args(["-I", "-B", "-c", include_str!("walls.py"), "landlock", BINARY]);
    let said = worker(unguarded, &library, port);
    assert!(said.contains("file 0\ntcp 0\n"), "{said}");
    let said = worker(Command::new(BINARY), &library, port);
    assert!(said.contains("file 13\n"), "{said}");
    assert!(!knows_tcp() || said.contains("tcp 13\n"), "{said}");
}

#[test]
fn what_a_killed_server_left_is_swept_from_behind_the_wall() {
    let extra = "[files.notes]\nroot = \"notes\"\nwrite = true\n";
    let mut left = PathBuf::new();
    let mut kept = PathBuf::new();
    let world = World::new_with(Shape { extra: extra.into(), ..Shape::default() }, |dir| {
        fs::create_dir_all(dir.join("notes/deep")).unwrap();
        left = dir.join("notes/deep/.countersign-unfinished-new-none-1-1-0");
        kept = dir.join("notes/.countersign-unfinished-old-none-1-1-0");
        fs::write(&left, "").unwrap();
        fs::write(&kept, "somebody's").unwrap();
    });
    let dir = tempfile::tempdir().unwrap();
    // What is younger than ten minutes is left alone: this server's clock is an hour ahead.
    let _server = world.start_with(|command| {
        command.env("LD_PRELOAD", library(dir.path(), LATER));
    });
    let said = || fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
    let started = Instant::now();
    while left.exists() || !said().contains(".countersign-unfinished-old-none-1-1-0") {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(kept.exists(), "what nobody let go stays");
}
