//! The durable state of an installation: where it lies and how it is opened.

pub(crate) mod fleet;

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;
use countersign_state::{Case, Desk, Seal, SqliteStore, Stage, StateError, Store, StoredRuns};

use crate::{compose::Mode, config, runtime::unix_micros};

/// The desk on the state of an installation, which is made if it is not there.
///
/// # Errors
/// If the state cannot be used; then nothing that needs it may run.
pub(crate) async fn desk(state: &config::State) -> Result<Arc<Desk>, StateError> {
    on(store(state).await?, &state.dir)
}

/// The desk on a store that is open.
///
/// # Errors
/// If the seal's key in `dir` cannot be used.
pub(crate) fn on(store: Arc<dyn Store>, dir: &Path) -> Result<Arc<Desk>, StateError> {
    let seal = Seal::open(&dir.join("seal.key"))?;
    Ok(Arc::new(Desk::new(store, seal)))
}

/// What is remembered of runs, and the lock of who serves them alone. Other processes serve those of a fleet; a file belongs to one server, and
/// the run of a stdio process to itself.
///
/// # Errors
/// If another server uses the same file.
pub(crate) fn runs(
    state: &config::State,
    mode: Mode,
    store: &Arc<dyn Store>,
) -> anyhow::Result<(StoredRuns, Option<File>)> {
    let fleet = state.shared.is_some();
    // MUTATE(P4-fleet-labels): each instance of a fleet takes what it knows of a run for all there is
    if fleet {
        return Ok((StoredRuns::shared(Arc::clone(store), unix_micros), None));
    }
    let lock = match mode {
        Mode::Http => Some(only_server(&state.dir)?),
        Mode::Stdio => None,
    };
    Ok((StoredRuns::alone(Arc::clone(store), unix_micros), lock))
}

/// Goes on unless approvers are enrolled and none of them counts here.
///
/// # Errors
/// What to do about it.
pub(crate) async fn believes(desk: &Desk, dir: &Path) -> anyhow::Result<()> {
    // MUTATE(P4-seal): an instance starts although no approver counts there
    if desk.is_of_another_seal().await? {
        anyhow::bail!(
            "the keys of approvers were enrolled under another `seal.key` than `{}`; copy it from the instance where that was done, or enroll \
             them anew with `countersign approvals enroll`",
            dir.join("seal.key").display()
        );
    }
    Ok(())
}

/// The lock of the only server of a state in a file: what it remembers in memory, another one would not know.
///
/// # Errors
/// If another server has it, or the lock cannot be made.
fn only_server(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join("server.lock");
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let lock = made.with_context(|| format!("cannot open `{}`", path.display()))?;
    // MUTATE(P4-alone): two servers of one file each believe what they know themselves
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => anyhow::bail!(
            "another server uses `{}`; give this one a `state.dir` of its own, or both a database as `state.url`",
            dir.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock `{}`", path.display()))
        }
    }
}

/// The store of an installation: the database of its fleet, or else a file in its directory, which is made if it is not there.
///
/// # Errors
/// If it cannot be used.
pub(crate) async fn store(state: &config::State) -> Result<Arc<dyn Store>, StateError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let dir = &state.dir;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| StateError::Io { action: "make", path: dir.to_owned(), source })?;
    match &state.shared {
        Some(shared) => Ok(Arc::new(fleet::open(shared).await?)),
        None => Ok(Arc::new(SqliteStore::open(&dir.join("state.db"))?)),
    }
}

/// A use that was cut off, as it is announced at start and recorded.
pub(crate) fn doubt(case: &Case) -> String {
    let call = match &case.stage {
        Stage::Used { call, .. } => call.as_str(),
        _ => "",
    };
    format!(
        "in doubt: call {call} used approval {} for {} and was cut off; whether it took effect is not known, and it will not run again. \
         Look at the data, then run `countersign approvals resolve {call} --outcome ran|did-not-run --note HOW`",
        case.id, case.request.call.tool
    )
}
