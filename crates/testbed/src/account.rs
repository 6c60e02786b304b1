//! PostgreSQL refuses to run as root, so root runs it as `nobody`; everybody else as oneself.

use std::path::Path;
use std::process::{Command, Stdio};

const NAME: &str = "nobody";

/// A command that runs `program` without privileges.
pub(crate) fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", NAME, "--regid", &id("-g", NAME).to_string(), "--clear-groups", "--"]);
    command.arg(program);
    command
}

/// Gives a file to the account that [`unprivileged`] runs as.
pub(crate) fn give(path: &Path) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(id("-u", NAME)), Some(id("-g", NAME)))
            .unwrap_or_else(|error| panic!("cannot give {} to {NAME}: {error}", path.display()));
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn id(option: &str, name: &str) -> u32 {
    let output = Command::new("id").args([option, name]).stdin(Stdio::null()).output().expect("`id` runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().parse().unwrap_or_else(|_| panic!("no account `{name}`: {text}"))
}
