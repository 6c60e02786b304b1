//! Landlock: the second wall around the file system, and the only one where there are no namespaces.
//!
//! It names what may be read, written and executed, whatever is mounted. It does not cover `chmod`, `chown`, `utime` and extended
//! attributes; the system call filter refuses those where the host's files are in sight.

use std::{
    io,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use rustix::io::Errno;

use super::{setup, view::DEVICES};
use crate::jail::{Jail, JailError};

/// Rights are taken in as far as the kernel knows them, up to this version.
const NEWEST: ABI = ABI::V7;
/// Reading, writing, executing and making files: Linux 5.13.
const WITH_NAMESPACES: ABI = ABI::V1;
/// Truncating as well, Linux 6.2: without namespaces nothing else stops a program from emptying files.
const ALONE: ABI = ABI::V3;

/// The dynamic loaders of the C libraries, which the kernel executes for a program.
const LOADERS: [&str; 5] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib64/ld-linux-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
];

/// Restricts this process and all that it starts, for good.
pub(super) fn restrict(jail: &Jail, scratch: &Path, own_view: bool) -> Result<(), JailError> {
    let least = if own_view { WITH_NAMESPACES } else { ALONE };
    let rules = ruleset(least).map_err(|error| refused(&error))?;
    let rules = rules.fill(jail, scratch, own_view)?;
    let status = rules.0.restrict_self().map_err(|error| refused(&error))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(setup("Landlock")(Errno::OPNOTSUPP));
    }
    Ok(())
}

fn ruleset(least: ABI) -> Result<Rules, landlock::RulesetError> {
    let created = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(least))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    Ok(Rules(created))
}

struct Rules(RulesetCreated);

impl Rules {
    fn fill(mut self, jail: &Jail, scratch: &Path, own_view: bool) -> Result<Rules, JailError> {
        let view = &jail.view;
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let nodes = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeSock | AccessFs::MakeFifo;
        let write = AccessFs::from_write(NEWEST) & !(nodes | AccessFs::IoctlDev);
        for bind in &view.read_only {
            // MUTATE(E1-landlock): everything in the view can be executed and written
            self = self.allow(&bind.jail, read)?;
        }
        for bind in &view.read_write {
            self = self.allow(&bind.jail, read | write)?;
        }
        self = self.allow(scratch, read | write)?;
        if own_view {
            for (path, _) in &view.files {
                self = self.allow(path, read)?;
            }
            self = self.allow(Path::new("/proc"), read)?;
        }
        for device in DEVICES.map(Path::new) {
            self = self.allow(device, AccessFs::ReadFile | AccessFs::WriteFile)?;
        }
        let loaders = LOADERS.iter().map(PathBuf::from).filter(|path| path.exists());
        for path in view.execute.iter().cloned().chain(loaders) {
            self = self.allow(&path, read | AccessFs::Execute)?;
        }
        self.allow(&jail.program, read | AccessFs::Execute)
    }

    fn allow(self, path: &Path, rights: BitFlags<AccessFs>) -> Result<Rules, JailError> {
        let shown = |source: io::Error| JailError::View { path: path.to_owned(), source };
        let of_files = AccessFs::from_file(NEWEST);
        let folder = path.metadata().map_err(shown)?.is_dir();
        let rights = if folder { rights } else { rights & of_files };
        let opened = PathFd::new(path).map_err(|_| shown(io::Error::last_os_error()))?;
        self.0.add_rule(PathBeneath::new(opened, rights)).map(Rules).map_err(|error| refused(&error))
    }
}

/// The kernel's error, if there is one behind the library's.
fn refused(error: &landlock::RulesetError) -> JailError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(code) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return setup("Landlock")(io::Error::from_raw_os_error(code));
        }
        cause = error.source();
    }
    setup("Landlock, which this kernel lacks or has in too old a version")(Errno::OPNOTSUPP)
}
