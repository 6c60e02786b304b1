//! The built-in engine: a value that exists only where the self-test found that the walls hold.

use std::{ffi::OsString, fmt, path::PathBuf};

use crate::jail::{Finished, Jail, JailError};

#[cfg(target_os = "linux")]
mod running;

/// How well this machine contains programs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Grade {
    /// Not well enough: nothing may be run.
    Refused,
    /// The system call filter, and either Landlock or namespaces.
    Reduced,
    /// Namespaces, Landlock and the system call filter.
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

/// What the self-test found.
#[derive(Clone, Debug)]
pub struct Report {
    /// How well programs are contained.
    pub grade: Grade,
    /// Why the grade is not full, and which limits are not enforced: for `doctor` and the record. Empty on a machine that offers all.
    pub findings: Vec<String>,
    pub(crate) sandbox: Option<Sandbox>,
}

impl Report {
    /// The engine, unless refused.
    pub fn sandbox(&self) -> Option<Sandbox> {
        self.sandbox.clone()
    }
}

/// The built-in engine. INVARIANT: [`self_test`] alone makes it for others, after every escape that the test tries has failed.
#[derive(Clone, Debug)]
pub struct Sandbox {
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "nothing is started there"))]
    pub(crate) launcher: Launcher,
    pub(crate) grade: Grade,
    #[cfg(target_os = "linux")]
    pub(crate) walls: crate::wire::Walls,
}

impl Sandbox {
    /// How well it contains.
    pub fn grade(&self) -> Grade {
        self.grade
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

/// Tries real escapes from a jail of each strength and grades the machine by what held. Takes about a tenth of a second; removes what
/// earlier processes left behind when they were killed.
pub async fn self_test(launcher: Launcher) -> Report {
    #[cfg(target_os = "linux")]
    return crate::self_test::run(launcher).await;
    #[cfg(not(target_os = "linux"))]
    {
        let _ = launcher;
        let findings = vec![JailError::Unsupported.to_string()];
        Report { grade: Grade::Refused, findings, sandbox: None }
    }
}
