//! One run of the `postgres` program, which ends with this process however that ends.
//!
//! A shell stands between: it waits for the end of its standard input, which the kernel closes when this process is gone, killed
//! included, and then stops the server and removes its folder.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::{account, programs};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// `$1` the program, `$2` the data folder, `$3` the folder to remove. A line on standard input stops the server and keeps the folder.
const SUPERVISOR: &str = r#"
trap '' INT HUP TERM
"$1" -D "$2" & server=$!
read -r word
kill -QUIT $server 2>/dev/null
wait $server
[ "$word" = keep ] || rm -rf "$3"
"#;

pub(crate) struct Server {
    supervisor: Child,
}

impl Server {
    /// Starts the server of `dir/data` and waits until it takes connections.
    pub(crate) fn start(dir: &Path) -> Result<Server, String> {
        let (data, log_path) = (dir.join("data"), dir.join("log"));
        let logged = std::fs::metadata(&log_path).map_or(0, |log| log.len());
        let log = std::fs::File::options().create(true).append(true).open(&log_path).expect("the log opens");
        let mut command = account::unprivileged(Path::new("/bin/sh"));
        command.args(["-c", SUPERVISOR, "supervisor"]);
        command.arg(programs::postgres().join("postgres")).arg(&data).arg(dir);
        command.current_dir(dir).stdin(Stdio::piped()).stdout(log.try_clone().expect("a handle")).stderr(log);
        let supervisor = programs::with_libraries(&mut command).spawn().expect("the supervisor starts");
        let server = Server { supervisor };
        let start = Instant::now();
        loop {
            if is_ready(&data) {
                return Ok(server);
            }
            let log = std::fs::read(&log_path).unwrap_or_default();
            let new = String::from_utf8_lossy(log.get(logged as usize..).unwrap_or_default()).into_owned();
            if new.lines().any(is_the_end) || start.elapsed() > START_LIMIT {
                server.stop();
                return Err(new);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the server at once, as a failing machine would, and keeps its folder.
    pub(crate) fn stop(mut self) {
        if let Some(mut input) = self.supervisor.stdin.take() {
            let _ = input.write_all(b"keep\n");
        }
        self.wait();
    }

    fn wait(&mut self) {
        let start = Instant::now();
        while !matches!(self.supervisor.try_wait(), Ok(Some(_)) | Err(_)) {
            assert!(start.elapsed() < STOP_LIMIT || std::thread::panicking(), "the server does not stop");
            if start.elapsed() >= STOP_LIMIT {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        self.wait();
    }
}

/// Whether a line of the log says that the server ends. Clients that come too early are turned away, which is fatal to them alone.
fn is_the_end(line: &str) -> bool {
    line.contains("PANIC:") || line.contains("FATAL:") && !line.contains("the database system is")
}

/// The server writes its state into the eighth line of its pid file.
fn is_ready(data: &Path) -> bool {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    text.lines().nth(7).is_some_and(|state| state.trim() == "ready")
}
