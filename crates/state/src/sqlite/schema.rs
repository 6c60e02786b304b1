//! The tables, and how an older file becomes a newer one.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::StateError;

/// Each step makes version N of N - 1. Steps are never changed, only added.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE approvals (
    id TEXT PRIMARY KEY NOT NULL,
    bound BLOB NOT NULL CHECK (length(bound) = 32),
    tenant TEXT NOT NULL,
    principal TEXT NOT NULL,
    request TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'consumed', 'expired')),
    call TEXT UNIQUE,
    instance TEXT,
    until INTEGER,
    ended TEXT,
    CHECK ((state = 'consumed') = (call IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX approvals_pending ON approvals (bound) WHERE state = 'pending';
CREATE INDEX approvals_created ON approvals (created);
CREATE TABLE votes (
    approval TEXT NOT NULL REFERENCES approvals (id),
    key TEXT NOT NULL,
    operator TEXT NOT NULL,
    vote TEXT NOT NULL,
    reason TEXT NOT NULL,
    signature BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (approval, key)
) STRICT;
CREATE TABLE operator_keys (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    subjects TEXT NOT NULL,
    tenant TEXT,
    public BLOB NOT NULL UNIQUE CHECK (length(public) = 32),
    enrolled INTEGER NOT NULL,
    revoked INTEGER,
    seal BLOB NOT NULL
) STRICT;
CREATE TABLE once_keys (
    key BLOB PRIMARY KEY NOT NULL CHECK (length(key) = 32),
    arguments BLOB NOT NULL CHECK (length(arguments) = 32),
    call TEXT NOT NULL,
    instance TEXT NOT NULL,
    until INTEGER NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('claimed', 'executing', 'done', 'in doubt')),
    answer TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
",
    "
CREATE TABLE stops (
    kind TEXT NOT NULL,
    what TEXT NOT NULL,
    frozen INTEGER NOT NULL CHECK (frozen IN (0, 1)),
    reason TEXT NOT NULL,
    operator TEXT NOT NULL,
    at INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY (kind, what)
) STRICT;
",
    "
CREATE TABLE seen (
    key BLOB PRIMARY KEY NOT NULL CHECK (length(key) = 32),
    until INTEGER NOT NULL
) STRICT;
CREATE INDEX seen_until ON seen (until);
CREATE TABLE rates (
    key BLOB PRIMARY KEY NOT NULL CHECK (length(key) = 32),
    arrival INTEGER NOT NULL
) STRICT;
",
    "
CREATE TABLE holders (
    holder BLOB PRIMARY KEY NOT NULL CHECK (length(holder) = 32),
    run TEXT NOT NULL,
    used INTEGER NOT NULL
) STRICT;
CREATE INDEX holders_used ON holders (used);
CREATE TABLE labels (
    run BLOB PRIMARY KEY NOT NULL CHECK (length(run) = 32),
    integrity INTEGER NOT NULL CHECK (integrity BETWEEN 0 AND 2),
    confidentiality INTEGER NOT NULL CHECK (confidentiality BETWEEN 0 AND 3),
    used INTEGER NOT NULL
) STRICT;
CREATE INDEX labels_used ON labels (used);
",
    "
CREATE TABLE volumes (
    key BLOB PRIMARY KEY NOT NULL CHECK (length(key) = 32),
    rows_until INTEGER NOT NULL,
    bytes_until INTEGER NOT NULL
) STRICT;
CREATE TABLE budgets (
    run BLOB PRIMARY KEY NOT NULL CHECK (length(run) = 32),
    calls INTEGER NOT NULL,
    used INTEGER NOT NULL
) STRICT;
",
];

/// Brings a file to the newest version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StateError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let Some(done) = usize::try_from(found).ok().filter(|_| found <= known) else {
        return Err(StateError::Version { found, known });
    };
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}
