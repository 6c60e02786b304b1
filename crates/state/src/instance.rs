//! Which process wrote a row, so that others can tell work under way from work that was cut off.

use std::{fs, sync::OnceLock};

/// This process: where it runs, its number and the moment it started, since numbers are used again. Empty where the system does not tell.
pub(crate) fn current() -> String {
    let pid = std::process::id();
    let known = here().zip(started(pid));
    known.map(|(here, started)| format!("{here}:{pid}:{started}")).unwrap_or_default()
}

/// Whether a process is certainly gone. Unknown is not gone: then only the deadline decides.
pub(crate) fn is_gone(instance: &str) -> bool {
    let mut parts = instance.split(':');
    let (Some(place), Some(pid), Some(begun), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let Ok(pid) = pid.parse() else { return false };
    // INVARIANT: the processes of another machine or container are not seen from here, so nothing is said of them.
    // MUTATE(P4-elsewhere): a process on another machine passes for one that died
    here().is_some_and(|here| here == place) && started(pid).as_deref() != Some(begun)
}

/// This boot of this machine, and the space in which its process numbers mean something. None where there is no /proc.
fn here() -> Option<&'static str> {
    static HERE: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let space = fs::read_link("/proc/self/ns/pid").ok()?;
        let space: String = space.to_str()?.chars().filter(char::is_ascii_digit).collect();
        fs::exists("/proc/self/stat").ok()?.then(|| format!("{}.{space}", boot.trim()))
    };
    HERE.get_or_init(read).as_deref()
}

/// When a process started, in ticks since boot: field 22 of `/proc/PID/stat` (proc_pid_stat(5)).
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    // A process that ended and was not reaped yet does nothing any more.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

#[cfg(test)]
mod tests;
