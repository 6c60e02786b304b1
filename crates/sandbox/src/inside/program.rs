//! The program's start: environment, streams, `execve`.

use std::{
    ffi::OsString,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::jail::{Jail, JailError};

/// A program that exists in the jail, ready to start.
pub(super) struct Program {
    path: PathBuf,
    dir: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

impl Program {
    /// Looks the program up and completes its environment.
    pub(super) fn resolve(jail: &Jail, scratch: &Path) -> Result<Program, JailError> {
        let path = jail.program.clone();
        std::fs::metadata(&path).map_err(|source| JailError::Program { program: path.clone(), source })?;
        let dir = jail.dir.as_deref().unwrap_or(scratch);
        let mut env = jail.env.clone();
        for (name, value) in [("HOME", scratch), ("TMPDIR", scratch), ("PWD", dir)] {
            if !env.iter().any(|(given, _)| given == name) {
                env.push((name.into(), value.as_os_str().to_owned()));
            }
        }
        Ok(Program { path, dir: dir.to_owned(), args: jail.args.clone(), env })
    }

    /// Becomes the program. Returns only the error of a failed `execve`.
    pub(super) fn start(self, streams: &[OwnedFd; 3]) -> JailError {
        let failed = |source| JailError::Program { program: self.path.clone(), source };
        let stream = |fd: &OwnedFd| fd.try_clone().map(Stdio::from);
        let [stdin, stdout, stderr] = streams;
        let streams = stream(stdin).and_then(|stdin| Ok((stdin, stream(stdout)?, stream(stderr)?)));
        let (stdin, stdout, stderr) = match streams {
            Ok(streams) => streams,
            Err(error) => return failed(error),
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "this process becomes the program; nothing else is started"
        )]
        let mut command = Command::new(&self.path);
        command
            .current_dir(&self.dir)
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        // INVARIANT: every other descriptor is closed by `execve`: std and rustix open none without that flag here.
        failed(command.stdin(stdin).stdout(stdout).stderr(stderr).exec())
    }
}
