//! A wall around this process itself: from a moment on, its threads open no file but those that it was told it needs (Landlock).
//!
//! It is a second wall, against code of ours or of a library that is talked into opening a path that nobody meant. It does not hold against
//! machine code that an attacker runs here: the spawner thread stays outside, since the programs that it starts have walls of their own,
//! and a jail needs mounts, which Landlock forbids.

use std::{io, path::Path};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus,
};

use crate::{Confinement, SpawnError, spawner};

/// Rights are taken in as far as the kernel knows them. Without the fifth version's: a terminal may be asked for its size.
const NEWEST: ABI = ABI::V3;

pub(crate) fn confine(reach: &Confinement) -> Result<bool, SpawnError> {
    // INVARIANT: the thread that starts programs is there before, and so stays outside.
    spawner::ready()?;
    let mut rules = match ruleset(reach.network) {
        Ok(rules) => rules,
        // This kernel has no Landlock, or it is switched off.
        Err(_) => return Ok(false),
    };
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let nodes = AccessFs::MakeChar | AccessFs::MakeBlock;
    let write = AccessFs::from_all(NEWEST) & !(nodes | AccessFs::Execute);
    for (paths, rights) in [(&reach.read, read), (&reach.write, read | write)] {
        for path in paths {
            rules = allow(rules, path, rights)?;
        }
    }
    let status = rules.restrict_self().map_err(refused)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// Whether this kernel can do it.
pub(crate) fn can_confine() -> bool {
    ruleset(true).is_ok()
}

fn ruleset(network: bool) -> Result<RulesetCreated, RulesetError> {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?;
    match network {
        true => rules,
        // Linux 6.7 and newer.
        false => rules.handle_access(AccessNet::from_all(ABI::V4))?,
    }
    .create()
}

/// What is not there is not reached later either: it would be another file.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, SpawnError> {
    let Ok(meta) = path.metadata() else { return Ok(rules) };
    let Ok(opened) = PathFd::new(path) else { return Ok(rules) };
    let rights = if meta.is_dir() { rights } else { rights & AccessFs::from_file(NEWEST) };
    rules.add_rule(PathBeneath::new(opened, rights)).map_err(refused)
}

fn refused(error: RulesetError) -> SpawnError {
    SpawnError::Start { step: "Landlock", source: io::Error::other(error) }
}
