//! The lists of system calls.
//!
//! What is absent, and why it must stay so: sockets of every kind (the network, and Unix sockets as a way to other processes); `ptrace`,
//! `process_vm_*`, `pidfd_*`, `kcmp` (other processes); `unshare`, `setns`, `mount` and its kin, `pivot_root`, `chroot` (another view);
//! `keyctl`, `add_key`, `request_key`, `bpf`, `perf_event_open`, `io_uring_*`, `userfaultfd`, `fanotify_*`, `quotactl`, modules, `kexec`,
//! `acct`, `swapon`, `reboot`, `syslog` (kernel surface with a history); `memfd_create`, `execveat` (programs that no path rule sees);
//! `personality`, `modify_ldt`, `iopl`, `ioperm` (changed rules of execution); `chown`, extended attributes, `mknod`; System V and POSIX
//! message queues and shared memory; changes of user, group, capability, clock and host name; `open_by_handle_at`; `seccomp` and
//! `landlock_*`.

/// A system call: its number, and the name by which container engines know it.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) number: i64,
    #[cfg_attr(
        not(feature = "container"),
        expect(dead_code, reason = "container engines alone go by names")
    )]
    constant: &'static str,
}

impl Call {
    #[cfg(feature = "container")]
    pub(super) fn name(self) -> &'static str {
        self.constant.strip_prefix("SYS_").unwrap_or(self.constant)
    }
}

/// INVARIANT: numbers are those of the C library's headers for the processor that is compiled for; none is written here.
macro_rules! call {
    ($name:ident) => {
        Call { number: libc::$name, constant: stringify!($name) }
    };
}

macro_rules! calls {
    ($($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        &[$($(#[$attribute])* call!($name)),*]
    };
}

/// Allowed everywhere, with any arguments.
pub(super) const ALWAYS: &[Call] = calls![
    // Files, through descriptors and paths; which paths is Landlock's business.
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_preadv2,
    SYS_pwritev2,
    SYS_openat,
    SYS_openat2,
    SYS_close,
    SYS_close_range,
    SYS_lseek,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_getdents64,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_readlinkat,
    SYS_getcwd,
    SYS_chdir,
    SYS_fchdir,
    SYS_mkdirat,
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    SYS_ftruncate,
    SYS_truncate,
    SYS_fallocate,
    SYS_fsync,
    SYS_fdatasync,
    SYS_sync_file_range,
    SYS_fadvise64,
    SYS_readahead,
    SYS_copy_file_range,
    SYS_sendfile,
    SYS_splice,
    SYS_tee,
    SYS_flock,
    SYS_fcntl,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_umask,
    SYS_fgetxattr,
    SYS_getxattr,
    SYS_lgetxattr,
    SYS_listxattr,
    SYS_llistxattr,
    SYS_flistxattr,
    // Waiting.
    SYS_ppoll,
    SYS_pselect6,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_eventfd2,
    SYS_signalfd4,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_timerfd_gettime,
    SYS_restart_syscall,
    // Memory.
    SYS_brk,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_msync,
    SYS_mincore,
    SYS_membarrier,
    SYS_pkey_alloc,
    SYS_pkey_free,
    SYS_pkey_mprotect,
    // Its own execution.
    SYS_execve,
    SYS_exit,
    SYS_exit_group,
    SYS_wait4,
    SYS_waitid,
    SYS_futex,
    SYS_set_robust_list,
    SYS_set_tid_address,
    SYS_rseq,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
    SYS_sched_get_priority_max,
    SYS_sched_get_priority_min,
    SYS_getcpu,
    SYS_getpriority,
    SYS_getrlimit,
    SYS_getrusage,
    SYS_times,
    SYS_getrandom,
    SYS_uname,
    SYS_sysinfo,
    // Signals to itself.
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigpending,
    SYS_rt_sigreturn,
    SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait,
    SYS_sigaltstack,
    SYS_setitimer,
    SYS_getitimer,
    SYS_timer_create,
    SYS_timer_settime,
    SYS_timer_gettime,
    SYS_timer_getoverrun,
    SYS_timer_delete,
    // Time.
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    // Who it is.
    SYS_getpid,
    SYS_getppid,
    SYS_gettid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getresuid,
    SYS_getresgid,
    SYS_getgroups,
    SYS_getpgid,
    SYS_getsid,
    SYS_capget,
    #[cfg(target_arch = "x86_64")]
    SYS_open,
    #[cfg(target_arch = "x86_64")]
    SYS_creat,
    #[cfg(target_arch = "x86_64")]
    SYS_stat,
    #[cfg(target_arch = "x86_64")]
    SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    SYS_access,
    #[cfg(target_arch = "x86_64")]
    SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    SYS_getdents,
    #[cfg(target_arch = "x86_64")]
    SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    SYS_rename,
    #[cfg(target_arch = "x86_64")]
    SYS_link,
    #[cfg(target_arch = "x86_64")]
    SYS_symlink,
    #[cfg(target_arch = "x86_64")]
    SYS_dup2,
    #[cfg(target_arch = "x86_64")]
    SYS_pipe,
    #[cfg(target_arch = "x86_64")]
    SYS_poll,
    #[cfg(target_arch = "x86_64")]
    SYS_select,
    #[cfg(target_arch = "x86_64")]
    SYS_epoll_create,
    #[cfg(target_arch = "x86_64")]
    SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    SYS_eventfd,
    #[cfg(target_arch = "x86_64")]
    SYS_signalfd,
    #[cfg(target_arch = "x86_64")]
    SYS_alarm,
    #[cfg(target_arch = "x86_64")]
    SYS_pause,
    #[cfg(target_arch = "x86_64")]
    SYS_time,
    #[cfg(target_arch = "x86_64")]
    SYS_getpgrp,
    // Thread-local storage; nothing else can be set up with it that `mprotect` could not.
    #[cfg(target_arch = "x86_64")]
    SYS_arch_prctl,
];

/// With a view and processes of its own it may also signal them and change its own files' attributes.
pub(super) const OWN_VIEW: &[Call] = calls![
    SYS_kill,
    SYS_tgkill,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_utimensat,
    #[cfg(target_arch = "x86_64")]
    SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    SYS_utime,
    #[cfg(target_arch = "x86_64")]
    SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    SYS_futimesat,
];

/// For programs that may start others. Pid and mount namespaces are refused by the arguments of `clone`.
pub(super) const PROCESSES: &[Call] = calls![
    SYS_setsid,
    SYS_setpgid,
    #[cfg(target_arch = "x86_64")]
    SYS_fork,
    #[cfg(target_arch = "x86_64")]
    SYS_vfork,
];

/// Calls that answer "no such call", so that the C library falls back: the arguments of `clone3` are out of a filter's sight. Other
/// processors' headers lack `fchmodat2`; there it is refused like all that is not listed, and nothing falls back.
pub(super) const UNKNOWN: &[Call] = calls![
    SYS_clone3,
    #[cfg(target_arch = "x86_64")]
    SYS_fchmodat2,
];

/// Calls that are allowed with certain arguments.
pub(super) const CLONE: Call = call!(SYS_clone);
pub(super) const PRCTL: Call = call!(SYS_prctl);
pub(super) const IOCTL: Call = call!(SYS_ioctl);
pub(super) const PRLIMIT: Call = call!(SYS_prlimit64);
/// Signals, where processes are everybody's.
pub(super) const SIGNALS: [Call; 2] = [call!(SYS_kill), call!(SYS_tgkill)];

/// What may be asked of `prctl`.
pub(super) const PRCTL_OPTIONS: &[libc::c_int] = &[
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_GET_DUMPABLE,
    libc::PR_GET_NO_NEW_PRIVS,
    libc::PR_GET_SECCOMP,
    libc::PR_CAPBSET_READ,
    libc::PR_SET_VMA,
    libc::PR_SET_THP_DISABLE,
    libc::PR_GET_PDEATHSIG,
];

/// What may be asked of `ioctl`: flags of descriptors and whether this is a terminal.
pub(super) const IOCTL_REQUESTS: &[u64] =
    &[libc::FIOCLEX, libc::FIONCLEX, libc::FIONREAD, libc::FIONBIO, libc::TCGETS, libc::TIOCGWINSZ];
