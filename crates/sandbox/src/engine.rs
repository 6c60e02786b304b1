//! The engines that run jails: a value that exists only where the self-test found that the walls hold.

use std::{ffi::OsString, fmt, path::PathBuf};

use crate::jail::{Finished, Jail, JailError, View};

#[cfg(target_os = "linux")]
mod running;
#[cfg(target_os = "linux")]
pub(crate) use running::sweep;

/// How well this machine contains programs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Grade {
    /// Not well enough: nothing may be run.
    Refused,
    /// The system call filter, and either Landlock or namespaces; a container that shares the users of the host.
    Reduced,
    /// Namespaces, Landlock and the system call filter; a container with users of its own and the system call filter, or with a kernel of
    /// its own.
    Full,
}

impl fmt::Display for Grade {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Grade::Full => "full",
            Grade::Reduced => "reduced",
            Grade::Refused => "refused",
        })
    }
}

/// How to start this program again as the supervisor of one jail: with these arguments, `main` must do nothing but call
/// [`supervisor_main`](crate::supervisor_main), while it has one thread. The self-test adds an argument after them.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The program; `/proc/self/exe` is this one, also after an update replaced its file.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// Which daemon, which image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContainerConfig {
    /// The Unix socket of Docker or Podman on this machine.
    pub socket: PathBuf,
    /// The image: a name that the daemon has, or its id. Never pulled.
    pub image: String,
    /// The runtime; the daemon's own if none.
    pub runtime: Option<String>,
}

/// What the self-test found.
#[derive(Clone, Debug)]
pub struct Report {
    /// How well programs are contained.
    pub grade: Grade,
    /// What contains them, in a few words.
    pub about: String,
    /// Why the grade is not full, and which limits are not enforced: for `doctor` and the record. Empty on a machine that offers all.
    pub findings: Vec<String>,
    pub(crate) sandbox: Option<Sandbox>,
}

impl Report {
    /// The engine, unless refused.
    pub fn sandbox(&self) -> Option<Sandbox> {
        self.sandbox.clone()
    }

    pub(crate) fn refused(about: impl Into<String>, findings: Vec<String>) -> Report {
        Report { grade: Grade::Refused, about: about.into(), findings, sandbox: None }
    }
}

/// An engine that was tested. INVARIANT: [`self_test`] and [`self_test_container`] alone make it for others, after every escape that they
/// try has failed.
#[derive(Clone, Debug)]
pub struct Sandbox {
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "nothing is started there"))]
    pub(crate) launcher: Launcher,
    pub(crate) grade: Grade,
    #[cfg(target_os = "linux")]
    pub(crate) engine: Engine,
}

/// What runs the jails.
#[cfg(target_os = "linux")]
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    /// The kernel, asked by ourselves.
    Jail(crate::wire::Walls),
    /// A container engine.
    #[cfg_attr(not(feature = "container"), expect(dead_code, reason = "made by its self-test alone"))]
    Container(crate::wire::Container),
}

impl Sandbox {
    /// How well it contains.
    pub fn grade(&self) -> Grade {
        self.grade
    }

    /// Whether programs come from an image instead of this machine.
    pub fn is_container(&self) -> bool {
        #[cfg(target_os = "linux")]
        return matches!(self.engine, Engine::Container(_));
        #[cfg(not(target_os = "linux"))]
        false
    }

    /// Whether programs see a file system of their own, so that things can appear to them under other paths.
    pub fn has_own_view(&self) -> bool {
        self.is_container() || self.grade == Grade::Full
    }

    /// What a program of the system needs to see of this machine: nothing in a container, whose image brings it.
    pub fn system_view(&self) -> View {
        if self.is_container() { View::default() } else { View::system() }
    }

    /// Runs a program to its end. Dropping the future kills everything in the jail at once.
    ///
    /// # Errors
    /// [`JailError`] if nothing ran; a program that ran and failed is a [`Finished`].
    pub async fn run(&self, jail: Jail) -> Result<Finished, JailError> {
        jail.check()?;
        #[cfg(target_os = "linux")]
        return running::run(self, jail).await;
        #[cfg(not(target_os = "linux"))]
        Err(JailError::Unsupported)
    }
}

/// The grade, and the engine unless it is the built-in one.
impl fmt::Display for Sandbox {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.grade, if self.is_container() { ", container" } else { "" })
    }
}

/// Tries real escapes from a jail of each strength and grades the machine by what held. Takes about a tenth of a second; removes what
/// earlier processes left behind when they were killed.
pub async fn self_test(launcher: Launcher) -> Report {
    #[cfg(target_os = "linux")]
    return crate::self_test::run(launcher).await;
    #[cfg(not(target_os = "linux"))]
    {
        let _ = launcher;
        Report::refused("no engine", vec![JailError::Unsupported.to_string()])
    }
}

/// The same for containers: asks the daemon for the image, and tries escapes from a container with this program in it. Takes a second or
/// two; removes the containers that earlier processes left behind.
pub async fn self_test_container(launcher: Launcher, config: &ContainerConfig) -> Report {
    #[cfg(all(target_os = "linux", feature = "container"))]
    return crate::container::self_test(launcher, config).await;
    #[cfg(not(all(target_os = "linux", feature = "container")))]
    {
        let _ = (launcher, config);
        let why = "this program was built without the container engine (its feature `container`)";
        Report::refused("no engine", vec![why.to_owned()])
    }
}
