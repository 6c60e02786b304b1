//! What the kernel is asked to do below a root: every system call of the file tools that names something.
//!
//! INVARIANT: each takes a directory that is open and a path below it, and the kernel refuses to leave that directory: not by `..`, not
//! by a symbolic link, not by a magic link of `/proc`, not onto another mount. Nobody can change that between a check and the use.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::*;
#[cfg(target_os = "linux")]
pub(super) use linux::*;

/// For what a path is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Open {
    /// Only to look at what is there, a symbolic link included: has no effect on it, not even on a device.
    Look,
    /// To read a file.
    Read,
    /// To read a directory.
    List,
    /// To make a file that must not exist yet.
    Create {
        /// Its permissions, less those that the process's umask takes away.
        mode: u32,
    },
}
