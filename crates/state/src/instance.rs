//! Which process of this machine wrote a row, so that others can tell work under way from work that was cut off.

use std::fs;

/// This process: its number and the moment it started, since numbers are used again. Empty where the system does not tell.
pub(crate) fn current() -> String {
    let pid = std::process::id();
    started(pid).map(|started| format!("{pid}:{started}")).unwrap_or_default()
}

/// Whether a process is certainly gone. Unknown is not gone: then only the deadline decides.
pub(crate) fn is_gone(instance: &str) -> bool {
    let Some((pid, begun)) = instance.split_once(':') else { return false };
    let Ok(pid) = pid.parse() else { return false };
    // Where there is no /proc, nothing is certain.
    fs::exists("/proc/self/stat").unwrap_or(false) && started(pid).as_deref() != Some(begun)
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
