//! Entries whose database may answer later: each is judged when the catalog is read, or else by the first call that finds its database there.
//!
//! INVARIANT: nothing runs that its database has not judged. Until then a call is refused; what the database then refuses stays refused.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::{Denied, Subsystem, ToolError};
use tokio::sync::OnceCell;

use super::problem::Problem;
use crate::{database::Database, engine::EngineError};

/// What a catalog holds that a database must judge.
#[async_trait]
pub(super) trait Entry: Send + Sync {
    /// The judged entry.
    type Judged: Send + Sync;

    /// Its name.
    fn name(&self) -> &Arc<str>;

    /// Has the database judge it. `absent` takes why the database did not answer.
    async fn judge(
        &self,
        databases: &[Arc<Database>],
        problems: &mut Vec<Problem>,
        absent: &mut Option<String>,
    ) -> Option<Self::Judged>;
}

/// An entry, judged or waiting for its database.
pub(super) struct Late<E: Entry> {
    pub(super) entry: E,
    /// Its own.
    pub(super) database: Arc<Database>,
    judged: OnceCell<Arc<E::Judged>>,
}

impl<E: Entry> Late<E> {
    pub(super) fn new(entry: E, database: Arc<Database>, judged: Option<E::Judged>) -> Late<E> {
        Late { entry, database, judged: OnceCell::new_with(judged.map(Arc::new)) }
    }

    /// The judged entry, if there is one by now.
    pub(super) fn known(&self) -> Option<&Arc<E::Judged>> {
        self.judged.get()
    }

    /// The judged entry. Its database is asked if it has not answered before; callers at the same time ask once.
    pub(super) async fn get(&self) -> Result<&Arc<E::Judged>, ToolError> {
        self.judged.get_or_try_init(|| self.judge()).await
    }

    async fn judge(&self) -> Result<Arc<E::Judged>, ToolError> {
        let (mut problems, mut absent) = (Vec::new(), None);
        let databases = std::slice::from_ref(&self.database);
        let judged = self.entry.judge(databases, &mut problems, &mut absent).await;
        match judged.filter(|_| problems.is_empty()) {
            Some(judged) => Ok(Arc::new(judged)),
            None => {
                let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                let cause = Some(format!("the catalog entry `{}` cannot be used: {text}", self.entry.name()));
                Err(ToolError { denied: Denied::Unavailable(Subsystem::Database), cause, detail: None })
            }
        }
    }
}

/// Why a database did not answer at all, if that is what the error says.
pub(super) fn absence(error: &EngineError) -> Option<String> {
    match error {
        EngineError::Unreachable(cause) => Some(cause.clone()),
        EngineError::Killed => Some("it did not answer in time".into()),
        EngineError::Busy { .. } => Some("all its workers are busy".into()),
        // MUTATE(I4-catalog-wait): a statement that its database refuses waits for better days
        EngineError::Refused(_) | EngineError::Broken(_) => None,
    }
}
