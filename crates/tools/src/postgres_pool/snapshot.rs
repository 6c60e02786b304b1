//! A tenant's view of its database, as long as it is true: the schema, the guard's catalogue, and what was judged by it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use countersign_sql::{
    Facts, Refusal,
    engines::postgres::{
        client::Schema,
        guard::{Catalogue, GuardConfig, Syntax, resolve},
    },
};
use tokio::time::{Instant, timeout};

use super::{Purpose, remembered::Remembered, session::engine_error, tenant::Tenant};
use crate::{engine::EngineError, worker_pool::WorkerPool};

/// How long a snapshot is believed before the schema's version is asked for again.
const BELIEVED: Duration = Duration::from_secs(2);
/// How long a planner's estimate is believed.
const ESTIMATED: Duration = Duration::from_secs(30);

/// What holds while the schema does not change.
pub(super) struct Snapshot {
    pub(super) schema: Schema,
    catalogue: Catalogue,
    facts: Remembered<Arc<Facts>>,
    costs: Remembered<(f64, Instant)>,
}

/// The current snapshot.
#[derive(Default)]
pub(super) struct Snapshots {
    current: Mutex<Option<(Arc<Snapshot>, Instant)>>,
    /// One caller at a time asks the server.
    asking: tokio::sync::Mutex<()>,
}

impl Snapshots {
    fn current(&self) -> Option<(Arc<Snapshot>, Instant)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, snapshot: &Arc<Snapshot>) {
        let now = Some((Arc::clone(snapshot), Instant::now()));
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Makes the next caller ask the server.
    pub(super) fn doubt(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The snapshot of a tenant: the current one, or a new one if the schema changed.
pub(super) async fn of(tenant: &Arc<Tenant>, judge: &WorkerPool) -> Result<Arc<Snapshot>, EngineError> {
    let fresh = |(snapshot, at): (Arc<Snapshot>, Instant)| (at.elapsed() < BELIEVED).then_some(snapshot);
    if let Some(snapshot) = tenant.snapshots.current().and_then(fresh) {
        return Ok(snapshot);
    }
    let _asking = tenant.snapshots.asking.lock().await;
    if let Some(snapshot) = tenant.snapshots.current().and_then(fresh) {
        return Ok(snapshot);
    }
    let mut lease = tenant.lease().await?;
    // INVARIANT: nobody waits longer for a server whose packets are lost, and nobody waits behind somebody who does.
    // MUTATE(I3-pg-silent): a server that does not answer holds its callers
    let patience = tenant.dialer.config.judging;
    let silent = |_| tenant.silent();
    if let Some((snapshot, _)) = tenant.snapshots.current() {
        let version = timeout(patience, lease.session()?.connection.schema_version()).await;
        match version.map_err(silent)? {
            Ok(version) if version == snapshot.schema.version => {
                tenant.snapshots.set(&snapshot);
                return Ok(snapshot);
            }
            Ok(_) => {}
            Err(_) => renew(tenant, &mut lease).await?,
        }
    }
    let loaded = timeout(patience, lease.session()?.connection.schema()).await.map_err(silent)?;
    let schema = match loaded {
        Ok(schema) => schema,
        Err(_) if !lease.session()?.fresh => {
            renew(tenant, &mut lease).await?;
            let loaded = timeout(patience, lease.session()?.connection.schema()).await;
            loaded.map_err(silent)?.map_err(engine_error)?
        }
        Err(error) => {
            lease.discard();
            return Err(engine_error(error));
        }
    };
    drop(lease);
    let config = &tenant.dialer.config;
    let mut bodies = HashMap::new();
    for view in schema.relations() {
        if let Some(text) = &view.definition {
            bodies.insert(view.oid, body(judge, text).await?);
        }
    }
    let snapshot = Arc::new(Snapshot {
        catalogue: schema.catalogue(&config.schemas, &bodies),
        schema,
        facts: Remembered::default(),
        costs: Remembered::default(),
    });
    tenant.snapshots.set(&snapshot);
    Ok(snapshot)
}

async fn renew(tenant: &Tenant, lease: &mut super::tenant::Lease) -> Result<(), EngineError> {
    tenant.forget_idle();
    lease.renew().await
}

/// What a view's text does. A refused one is part of the answer: only statements that use it are refused.
async fn body(judge: &WorkerPool, text: &str) -> Result<Result<Syntax, Refusal>, EngineError> {
    match judge.judge(Purpose::Read, text).await {
        Ok(syntax) => Ok(Ok(syntax)),
        Err(EngineError::Refused(refusal)) => Ok(Err(refusal)),
        Err(error) => Err(error),
    }
}

impl Snapshot {
    /// What a judged statement does in this schema.
    pub(super) fn facts(
        &self,
        purpose: Purpose,
        sql: &str,
        syntax: &Syntax,
        config: &GuardConfig,
    ) -> Result<Arc<Facts>, EngineError> {
        if let Some(facts) = self.facts.get(purpose, sql) {
            return Ok(facts);
        }
        let facts = Arc::new(resolve(syntax, &self.catalogue, config).map_err(EngineError::Refused)?);
        self.facts.insert(purpose, sql, Arc::clone(&facts));
        Ok(facts)
    }

    /// A remembered estimate.
    pub(super) fn cost(&self, sql: &str) -> Option<f64> {
        self.costs.get(Purpose::Read, sql).filter(|(_, at)| at.elapsed() < ESTIMATED).map(|(cost, _)| cost)
    }

    pub(super) fn remember_cost(&self, sql: &str, cost: f64) {
        self.costs.insert(Purpose::Read, sql, (cost, Instant::now()));
    }
}
