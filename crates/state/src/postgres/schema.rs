//! The tables, and how an older schema becomes a newer one. One process migrates; others that start meanwhile wait for it.

use tokio_postgres::Client;

use super::session::{failed, get};
use crate::error::StateError;

/// The schema that holds all of it, and the search path of every session.
pub(super) const SCHEMA: &str = "countersign";
/// Names the migration among advisory locks: "counters" in ASCII.
const LOCK: i64 = 0x636f_756e_7465_7273;

/// Each step makes version N of N - 1. Steps are never changed, only added.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    bound BYTEA NOT NULL CHECK (length(bound) = 32),
    tenant TEXT NOT NULL,
    principal TEXT NOT NULL,
    request TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'consumed', 'expired')),
    call TEXT UNIQUE,
    instance TEXT,
    until BIGINT,
    ended TEXT,
    CHECK ((state = 'consumed') = (call IS NOT NULL))
);
CREATE UNIQUE INDEX approvals_pending ON approvals (bound) WHERE state = 'pending';
CREATE INDEX approvals_waiting ON approvals (principal) WHERE state = 'pending';
CREATE INDEX approvals_created ON approvals (created);
CREATE TABLE votes (
    approval TEXT NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    operator TEXT NOT NULL,
    vote TEXT NOT NULL,
    reason TEXT NOT NULL,
    signature BYTEA NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (approval, key)
);
CREATE TABLE operator_keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    subjects TEXT NOT NULL,
    tenant TEXT,
    public BYTEA NOT NULL UNIQUE CHECK (length(public) = 32),
    enrolled BIGINT NOT NULL,
    revoked BIGINT,
    seal BYTEA NOT NULL
);
CREATE UNIQUE INDEX operator_keys_name ON operator_keys (lower(name)) WHERE revoked IS NULL;
CREATE TABLE once_keys (
    key BYTEA PRIMARY KEY CHECK (length(key) = 32),
    arguments BYTEA NOT NULL CHECK (length(arguments) = 32),
    call TEXT NOT NULL,
    instance TEXT NOT NULL,
    until BIGINT NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('claimed', 'executing', 'done', 'in doubt')),
    answer TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX once_keys_call ON once_keys (call);
CREATE TABLE stops (
    kind TEXT NOT NULL,
    what TEXT NOT NULL,
    frozen BOOLEAN NOT NULL,
    reason TEXT NOT NULL,
    operator TEXT NOT NULL,
    at BIGINT NOT NULL,
    until BIGINT,
    PRIMARY KEY (kind, what)
);
CREATE TABLE seen (
    key BYTEA PRIMARY KEY CHECK (length(key) = 32),
    until BIGINT NOT NULL
);
CREATE INDEX seen_until ON seen (until);
CREATE TABLE rates (
    key BYTEA PRIMARY KEY CHECK (length(key) = 32),
    arrival BIGINT NOT NULL,
    asked BIGINT NOT NULL,
    granted BIGINT NOT NULL
);
",
    "
CREATE TABLE holders (
    holder BYTEA PRIMARY KEY CHECK (length(holder) = 32),
    run TEXT NOT NULL,
    used BIGINT NOT NULL
);
CREATE INDEX holders_used ON holders (used);
CREATE TABLE labels (
    run BYTEA PRIMARY KEY CHECK (length(run) = 32),
    integrity SMALLINT NOT NULL CHECK (integrity BETWEEN 0 AND 2),
    confidentiality SMALLINT NOT NULL CHECK (confidentiality BETWEEN 0 AND 3),
    used BIGINT NOT NULL
);
CREATE INDEX labels_used ON labels (used);
",
    "
CREATE TABLE volumes (
    key BYTEA PRIMARY KEY CHECK (length(key) = 32),
    rows_until BIGINT NOT NULL,
    bytes_until BIGINT NOT NULL
);
CREATE TABLE budgets (
    run BYTEA PRIMARY KEY CHECK (length(run) = 32),
    calls BIGINT NOT NULL,
    used BIGINT NOT NULL
);
",
];

/// Brings the schema to the newest version.
pub(super) async fn migrate(client: &mut Client) -> Result<(), StateError> {
    let transaction = client.transaction().await.map_err(failed)?;
    transaction
        .batch_execute("SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '60s'")
        .await
        .map_err(failed)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed)?;
    let exists = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)";
    let exists = transaction.query_one(exists, &[&SCHEMA]).await.map_err(failed)?;
    if !get::<bool>(&exists, 0)? {
        let made = transaction.batch_execute(&format!("CREATE SCHEMA {SCHEMA}")).await;
        made.map_err(|error| {
            let help = "create it for this role: CREATE SCHEMA countersign AUTHORIZATION role";
            StateError::Server(format!("there is no schema `{SCHEMA}`, and {}; {help}", failed(error)))
        })?;
    }
    let table = "CREATE TABLE IF NOT EXISTS state_version (version BIGINT NOT NULL)";
    transaction.batch_execute(table).await.map_err(failed)?;
    let found = "SELECT version FROM state_version FOR UPDATE";
    let found = transaction.query_opt(found, &[]).await.map_err(failed)?;
    let found: Option<i64> = found.as_ref().map(|row| get(row, 0)).transpose()?;
    let done = acceptable(found.unwrap_or(0))?;
    if found == Some(newest()) {
        return transaction.commit().await.map_err(failed);
    }
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.batch_execute(migration).await.map_err(failed)?;
    }
    transaction.execute("DELETE FROM state_version", &[]).await.map_err(failed)?;
    transaction
        .execute("INSERT INTO state_version (version) VALUES ($1)", &[&newest()])
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// How many steps are done, unless a newer program did more.
pub(super) fn acceptable(found: i64) -> Result<usize, StateError> {
    let known = newest();
    // MUTATE(P4-newer): a schema of a newer program is used
    usize::try_from(found).ok().filter(|_| found <= known).ok_or(StateError::Version { found, known })
}

fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}
