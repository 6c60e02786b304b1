//! The rules that a [`Jail`] must keep, checked before anything is started.

use std::{
    ffi::OsStr,
    path::{Component, Path},
    time::Duration,
};

use super::{Jail, JailError};

const LONGEST_NAME: usize = 255;

impl Jail {
    /// Checks every field.
    ///
    /// # Errors
    /// [`JailError::Invalid`], which names the field and its rule.
    pub(crate) fn check(&self) -> Result<(), JailError> {
        absolute("program", &self.program)?;
        for (index, argument) in self.args.iter().enumerate() {
            no_nul(&format!("args[{index}]"), argument)?;
        }
        if let Some(dir) = &self.dir {
            absolute("dir", dir)?;
        }
        for (name, value) in &self.env {
            no_nul("env", name)?;
            no_nul("env", value)?;
            if name.is_empty() || name.as_encoded_bytes().contains(&b'=') {
                return Err(invalid("env", "must have names without `=`"));
            }
        }
        for bind in self.view.read_only.iter().chain(&self.view.read_write) {
            absolute("view", &bind.host)?;
            absolute("view", &bind.jail)?;
        }
        for (path, _) in &self.view.files {
            absolute("view.files", path)?;
        }
        for path in &self.view.execute {
            absolute("view.execute", path)?;
        }
        for (index, input) in self.inputs.iter().enumerate() {
            plain_name(&format!("inputs[{index}]"), &input.name)?;
            if self.inputs.iter().take(index).any(|earlier| earlier.name == input.name) {
                return Err(invalid(&format!("inputs[{index}]"), "must not repeat a name"));
            }
        }
        self.check_limits()
    }

    fn check_limits(&self) -> Result<(), JailError> {
        let limits = &self.limits;
        let wrong = [
            (
                "limits.wall",
                limits.wall.is_zero() || limits.wall > Duration::from_secs(24 * 3600),
                "must be more than nothing and at most a day",
            ),
            ("limits.cpu_seconds", limits.cpu_seconds == 0, "must be more than nothing"),
            (
                "limits.cpu_percent",
                limits.cpu_percent == 0 || limits.cpu_percent > 100_000,
                "must be between 1 and 100000",
            ),
            ("limits.memory", limits.memory < 1 << 20, "must be at least 1 MiB"),
            (
                "limits.processes",
                limits.processes == 0 || limits.processes > 4096,
                "must be between 1 and 4096",
            ),
            ("limits.open_files", limits.open_files < 8, "must be at least 8"),
            ("limits.scratch", limits.scratch == 0, "must be more than nothing"),
            ("limits.output", limits.output > 64 << 20, "must be at most 64 MiB"),
            ("collect.total", self.collect.total > 256 << 20, "must be at most 256 MiB"),
        ];
        match wrong.into_iter().find(|(_, wrong, _)| *wrong) {
            Some((field, _, rule)) => Err(invalid(field, rule)),
            None => Ok(()),
        }
    }
}

fn invalid(field: &str, rule: &'static str) -> JailError {
    JailError::Invalid { field: field.to_owned(), rule }
}

fn absolute(field: &str, path: &Path) -> Result<(), JailError> {
    no_nul(field, path.as_os_str())?;
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.has_root() && plain && path != Path::new("/") {
        Ok(())
    } else {
        Err(invalid(field, "must be an absolute path without `..`, and not the root"))
    }
}

fn no_nul(field: &str, text: &OsStr) -> Result<(), JailError> {
    if text.as_encoded_bytes().contains(&0) {
        return Err(invalid(field, "must not contain NUL"));
    }
    Ok(())
}

fn plain_name(field: &str, name: &str) -> Result<(), JailError> {
    let plain = !name.is_empty() && name.len() <= LONGEST_NAME && name != "." && name != "..";
    if plain && !name.contains(['/', '\0']) {
        Ok(())
    } else {
        Err(invalid(field, "must be a single file name of at most 255 bytes"))
    }
}
