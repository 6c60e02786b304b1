//! Processes of the tests: this test binary started again, contained, its stream as descriptor 0.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use countersign_sandbox::{Child, Spawn};

use crate::fixture::run_unguarded;

const ROLE: &str = "SQL_TEST_ROLE";

/// Starts this binary in a role; libtest runs `entry` and nothing else.
pub(crate) fn start(role: &str) -> (Child, UnixStream) {
    let mut spawn = Spawn::new(std::env::current_exe().unwrap());
    spawn.args = ["--exact", "process::entry", "--nocapture"].map(Into::into).to_vec();
    spawn.env = vec![(ROLE.into(), role.into())];
    let mut child = spawn.start().unwrap();
    let stream = child.take_stream().unwrap();
    (child, stream)
}

/// What a started process does. In an ordinary run there is no role, and this proves that the role is what makes it serve.
#[test]
fn entry() {
    #[expect(clippy::disallowed_methods, reason = "the role of a test process comes by its environment")]
    let role = std::env::var(ROLE);
    match role.as_deref() {
        Ok("worker") => {
            let stream = countersign_sandbox::stream_of_this_process().unwrap();
            countersign_sql::worker::serve(stream).unwrap();
        }
        Ok("unguarded") => {
            let mut stream = countersign_sandbox::stream_of_this_process().unwrap();
            let mut asked = String::new();
            stream.read_to_string(&mut asked).unwrap();
            let (path, sql) = asked.split_once('\0').unwrap();
            let answer = run_unguarded(Path::new(path), sql).err().unwrap_or_default();
            // A leading mark tells an end without error from a death.
            stream.write_all(format!("!{answer}").as_bytes()).unwrap();
        }
        other => assert!(other.is_err(), "an unknown role"),
    }
}

/// Runs a statement without guard in a process, for a while: `None` if it was still running then.
pub(crate) fn unguarded_for(path: &Path, sql: &str, time: Duration) -> Option<Result<(), String>> {
    let (child, mut stream) = start("unguarded");
    stream.write_all(format!("{}\0{sql}", path.display()).as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    stream.set_read_timeout(Some(time)).unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    drop(child);
    match (read, answer.strip_prefix('!')) {
        (Ok(_), Some("")) => Some(Ok(())),
        (Ok(_), Some(error)) => Some(Err(error.to_owned())),
        // Still running, or dead of want of memory.
        _ => None,
    }
}
