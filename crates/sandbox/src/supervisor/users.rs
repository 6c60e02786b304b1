//! Who the jail's users are outside of it.

use std::{fs, io};

use rustix::process::Pid;

use crate::jail::NOBODY;

/// Writes the maps of a new user namespace.
///
/// Started by root, the jail is set up by root and its program runs as the host's user nobody, who owns nothing and whose processes the
/// kernel counts. Otherwise its one user is ours.
pub(super) fn map(pid: Pid, privileged: bool) -> io::Result<()> {
    let pid = pid.as_raw_nonzero();
    let write = |file: &str, text: &str| fs::write(format!("/proc/{pid}/{file}"), text);
    if privileged {
        let both = format!("0 0 1\n{NOBODY} {NOBODY} 1\n");
        write("uid_map", &both)?;
        return write("gid_map", &both);
    }
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    write("setgroups", "deny")?;
    write("gid_map", &format!("{NOBODY} {group} 1\n"))?;
    write("uid_map", &format!("{NOBODY} {user} 1\n"))
}
