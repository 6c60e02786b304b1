//! The jail's unsafe code: system calls that neither std nor rustix offers in a safe form.
//!
//! Each function takes plain values and borrowed descriptors, and is safe to call.
#![allow(
    unsafe_code,
    reason = "clone, mount_setattr, getrusage and the self-test's attempts have no safe form"
)]

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
    time::Duration,
};

use rustix::process::Pid;

/// Namespaces of its own for every kind of thing that a process can share.
pub(crate) const ALL_NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Which of the two processes returned from [`fork_into`].
pub(crate) enum Fork {
    /// The new one.
    Child,
    /// The old one, with the new one's number and pidfd.
    Parent(Pid, OwnedFd),
}

/// `fork` into new namespaces. INVARIANT: the calling process has one thread, as every supervisor has.
pub(crate) fn fork_into(namespaces: libc::c_int) -> io::Result<Fork> {
    let mut pidfd: libc::c_int = -1;
    let flags = libc::c_long::from(namespaces | libc::CLONE_PIDFD | libc::SIGCHLD);
    let none = ptr::null_mut::<libc::c_void>();
    // SAFETY: without CLONE_VM and with a null stack this is `fork`: the child goes on with a copy of everything, its stack included.
    // Nobody else's lock can be held in the copy, because there is one thread. `pidfd` outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, none, &raw mut pidfd, none, none) };
    if result == 0 {
        return Ok(Fork::Child);
    }
    let pid = i32::try_from(result).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw);
    let Some(pid) = pid else { return Err(io::Error::last_os_error()) };
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(Fork::Parent(pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// Sets `MOUNT_ATTR_*` attributes of a mount that is `tree`'s root; with `recursive`, of all mounts under it as well.
pub(crate) fn set_mount_attributes(tree: BorrowedFd<'_>, attributes: u64, recursive: bool) -> io::Result<()> {
    let order = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, and `order` is a live structure whose size is told.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const order,
            mem::size_of_val(&order),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Kills every process of the pid namespace whose process 1 this is.
///
/// # Errors
/// `EPERM` in any other process: there, "every process" would be those of the machine.
pub(crate) fn kill_all_but_init() -> io::Result<()> {
    if rustix::process::getpid() != Pid::INIT {
        return Err(rustix::io::Errno::PERM.into());
    }
    // SAFETY: a system call without pointers.
    let result = unsafe { libc::kill(-1, libc::SIGKILL) };
    // Nobody left to kill is no failure.
    if result == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH) {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// Processor time of all children that ended and were waited for.
pub(crate) fn cpu_of_children() -> Duration {
    // SAFETY: all-zero bytes are a valid `rusage`, which consists of integers.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: `usage` is live and of the type that the call fills.
    if unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) } != 0 {
        return Duration::ZERO;
    }
    [usage.ru_utime, usage.ru_stime]
        .iter()
        .map(|time| {
            let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
            seconds.saturating_add(Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0)))
        })
        .sum()
}

/// A system call of the self-test, made with harmless arguments: what matters is who refuses it, the filter or the kernel.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    /// What it would be the start of.
    pub(crate) name: &'static str,
    number: libc::c_long,
    arguments: [libc::c_long; 5],
}

/// System calls that no jailed program may make. Their pointers are null, so the kernel does nothing or fails with another error than
/// the filter's `EPERM`.
pub(crate) const ATTEMPTS: &[Attempt] = &[
    Attempt::new("a kernel key ring (keyctl)", libc::SYS_keyctl, [0, -3, 1, 0, 0]),
    Attempt::new("tracing (ptrace)", libc::SYS_ptrace, [libc::PTRACE_ATTACH as libc::c_long, 0, 0, 0, 0]),
    Attempt::new(
        "a user namespace (unshare)",
        libc::SYS_unshare,
        [libc::CLONE_NEWUSER as libc::c_long, 0, 0, 0, 0],
    ),
    Attempt::new("io_uring", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]),
    Attempt::new("an internet socket", libc::SYS_socket, [libc::AF_INET as libc::c_long, 1, 0, 0, 0]),
    Attempt::new("a Unix socket", libc::SYS_socket, [libc::AF_UNIX as libc::c_long, 1, 0, 0, 0]),
    Attempt::new("a netlink socket", libc::SYS_socket, [libc::AF_NETLINK as libc::c_long, 3, 0, 0, 0]),
    Attempt::new("executable memory without a file (memfd_create)", libc::SYS_memfd_create, [0, 0, 0, 0, 0]),
    Attempt::new("another execution domain (personality)", libc::SYS_personality, [0x4_0000, 0, 0, 0, 0]),
    Attempt::new("kernel programs (bpf)", libc::SYS_bpf, [0, 0, 0, 0, 0]),
    Attempt::new("kernel counters (perf_event_open)", libc::SYS_perf_event_open, [0, 0, -1, -1, 0]),
    Attempt::new("faults in user space (userfaultfd)", libc::SYS_userfaultfd, [1, 0, 0, 0, 0]),
    Attempt::new("another process's memory (process_vm_readv)", libc::SYS_process_vm_readv, [1, 0, 0, 0, 0]),
    Attempt::new("a mount", libc::SYS_mount, [0, 0, 0, 0, 0]),
];

impl Attempt {
    const fn new(name: &'static str, number: libc::c_long, arguments: [libc::c_long; 5]) -> Attempt {
        Attempt { name, number, arguments }
    }

    /// Makes the call.
    pub(crate) fn make(self) -> io::Result<()> {
        let [a, b, c, d, e] = self.arguments;
        // SAFETY: only the calls of `ATTEMPTS` exist: every pointer among their arguments is null, so no memory of ours is read or
        // written; what one may change when nothing stops it concerns this process alone, which ends right after the self-test.
        let result = unsafe { libc::syscall(self.number, a, b, c, d, e) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
