//! The same filter in the words of container engines: an allow list in JSON, as Docker and Podman read it.

use super::{Allowed, Condition, allowed, calls};

/// The profile for a program with namespaces of its own. A daemon installs it as the last thing before the program.
pub(crate) fn profile(processes: bool) -> String {
    let mut entries: Vec<String> = allowed(processes, true).iter().map(entry).collect();
    let unknown: Vec<String> = calls::UNKNOWN.iter().map(|call| format!("\"{}\"", call.name())).collect();
    entries.push(format!(
        r#"{{"names":[{}],"action":"SCMP_ACT_ERRNO","errnoRet":{}}}"#,
        unknown.join(","),
        libc::ENOSYS
    ));
    // MUTATE(E2-container-filter): a container's program may call everything
    let otherwise = "SCMP_ACT_ERRNO";
    format!(
        r#"{{"defaultAction":"{otherwise}","defaultErrnoRet":{},"syscalls":[{}]}}"#,
        libc::EPERM,
        entries.join(",")
    )
}

/// INVARIANT: names are constants of the C library's headers, so nothing in them needs escaping.
fn entry(Allowed { call, when }: &Allowed) -> String {
    let arguments = when.map_or_else(String::new, |Condition { argument, mask, value }| {
        format!(
            r#","args":[{{"index":{argument},"value":{mask},"valueTwo":{value},"op":"SCMP_CMP_MASKED_EQ"}}]"#
        )
    });
    format!(r#"{{"names":["{}"],"action":"SCMP_ACT_ALLOW"{arguments}}}"#, call.name())
}
