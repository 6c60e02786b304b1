//! What happens between `fork` and `execve`: the crate's only unsafe code.
//!
//! The child of a threaded process may call only async-signal-safe functions there: no allocation, no locks. The steps below are
//! bare system calls on values prepared beforehand, and an error is an `errno` passed back to the parent.
#![allow(unsafe_code, reason = "pre_exec and close_range have no safe form in std or rustix")]

use std::{io, os::unix::process::CommandExt, process::Command};

use rustix::process::{Pid, Resource, Rlimit, Signal};

use crate::Limits;

/// Adds to `command` the steps that contain the child; any that fails makes the start fail.
pub(crate) fn contain(command: &mut Command, limits: &Limits) {
    let parent = rustix::process::getpid();
    let limits = [
        (Resource::As, limits.address_space),
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::Fsize, limits.file_size),
        (Resource::Nofile, limits.open_files),
        (Resource::Core, Some(0)),
    ];
    let steps = move || enter(parent, &limits);
    // SAFETY: `enter` runs in the forked child. It neither allocates nor takes locks nor touches memory shared with other threads: it
    // reads two captured plain values and makes system calls.
    unsafe {
        command.pre_exec(steps);
    }
}

fn enter(parent: Pid, limits: &[(Resource, Option<u64>)]) -> io::Result<()> {
    rustix::process::setsid()?;
    // MUTATE(E4-parent-death): the child outlives its parent
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // INVARIANT: had the parent died before the line above, nobody would ever send the signal.
    if rustix::process::getppid() != Some(parent) {
        return Err(rustix::io::Errno::SRCH.into());
    }
    rustix::thread::set_no_new_privs(true)?;
    for &(resource, limit) in limits {
        if let Some(limit) = limit {
            // MUTATE(D2-rlimit): limits are not set
            rustix::process::setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
        }
    }
    // MUTATE(D2-descriptors): descriptors are inherited
    close_from_three()
}

/// Marks every descriptor from 3 up to be closed by `execve`: the pipe on which std reports a failed `execve` is one of them and must
/// live until then.
fn close_from_three() -> io::Result<()> {
    // SAFETY: a system call without pointers; it changes only flags of this process's descriptors.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
