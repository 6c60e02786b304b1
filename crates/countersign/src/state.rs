//! The durable state of an installation: where it lies and how it is opened.

pub(crate) mod fleet;

use std::{path::Path, sync::Arc};

use countersign_state::{Case, Desk, Seal, SqliteStore, Stage, StateError, Store};

use crate::config;

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
