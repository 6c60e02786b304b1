//! The built-in engine: a value that exists only where the self-test found that the walls hold.

use std::{ffi::OsString, fmt, path::PathBuf};

use crate::{Finished, Jail, JailError};

/// How well this machine contains programs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Grade {
    /// Not well enough: nothing may be run.
    Refused,
    /// System call filter and one of Landlock and namespaces.
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

/// How to start this program again as the jail's supervisor: with these arguments its `main` must do nothing but call
/// [`helper_main`](crate::helper_main), while it has one thread.
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
    sandbox: Option<Sandbox>,
}

impl Report {
    /// The engine, unless refused.
    pub fn sandbox(&self) -> Option<Sandbox> {
        self.sandbox.clone()
    }
}

/// The built-in engine. INVARIANT: it is made by [`self_test`] alone, after every escape that the test tries has failed.
#[derive(Clone, Debug)]
pub struct Sandbox {
    launcher: Launcher,
    grade: Grade,
}

impl Sandbox {
    /// How well it contains.
    pub fn grade(&self) -> Grade {
        self.grade
    }

    /// Runs a program to its end. Dropping the future kills everything at once.
    ///
    /// # Errors
    /// [`JailError`] if nothing ran; a program that ran and failed is a [`Finished`].
    pub async fn run(&self, jail: Jail) -> Result<Finished, JailError> {
        jail.check()?;
        let _ = &self.launcher;
        Err(JailError::Unsupported)
    }
}

/// Tries real escapes from a jail of each strength and grades the machine by what held. Takes some tens of milliseconds; removes what
/// earlier processes left behind when they were killed.
pub async fn self_test(launcher: Launcher) -> Report {
    let _ = launcher;
    Report {
        grade: Grade::Refused,
        findings: vec!["this version cannot contain programs".into()],
        sandbox: None,
    }
}
