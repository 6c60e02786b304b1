//! The corpus schema as a database file, an unguarded and a guarded way to ask it, and the policy that the tests use.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use countersign_sql::{
    Access, ColumnInfo, Done, Facts, Object, Refusal, RunLimits, Value,
    engines::sqlite::{Database, Never, Session, Sink, Statement},
};
use rusqlite::fallible_iterator::FallibleIterator;
use sha2::{Digest, Sha256};

pub(crate) const SCHEMA: &str = include_str!("../../../../corpora/schema_sqlite.sql");
pub(crate) const LIMITS: RunLimits =
    RunLimits { skip: 0, rows: 1_000, bytes: 1 << 20, time: Duration::from_millis(400) };

/// A database file of its own, removed at the end.
pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        Fixture::with("")
    }

    /// The corpus schema, and more.
    pub(crate) fn with(more: &str) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection
            .execute_batch(&format!("PRAGMA synchronous = OFF; BEGIN; {SCHEMA} {more} ; COMMIT"))
            .unwrap();
        Fixture { folder, path }
    }

    pub(crate) fn digest(&self) -> Vec<u8> {
        Sha256::digest(std::fs::read(&self.path).unwrap()).to_vec()
    }

    /// The names of the files beside the database.
    pub(crate) fn files(&self) -> BTreeSet<PathBuf> {
        std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    pub(crate) fn open(&self) -> Database {
        Database::open(&self.path, Never).unwrap()
    }

    /// Judges, asks the policy, runs: what a caller gets.
    pub(crate) fn ask(&self, sql: &str) -> Answer {
        ask(&mut self.open().session(), sql, &[], LIMITS)
    }

    pub(crate) fn facts(&self, sql: &str) -> Result<Facts, Refusal> {
        self.open().session().prepare(sql, Duration::from_secs(2))
    }
}

/// How a statement ended for its caller.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The guard or the engine refused.
    Refused(Refusal),
    /// The policy refused this access.
    Forbidden(Access),
    Rows(Collected),
}

impl Answer {
    pub(crate) fn is_refused(&self) -> bool {
        !matches!(self, Answer::Rows(_))
    }

    pub(crate) fn rows(self) -> Vec<Vec<Value>> {
        match self {
            Answer::Rows(collected) => collected.rows,
            refused => panic!("{refused:?}"),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) columns: Vec<ColumnInfo>,
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) done: Option<Done>,
    pub(crate) took: Duration,
}

impl Sink for Collected {
    fn columns(&mut self, columns: Vec<ColumnInfo>) -> Result<(), Refusal> {
        self.columns = columns;
        Ok(())
    }

    fn row(&mut self, row: Vec<Value>) -> Result<(), Refusal> {
        self.rows.push(row);
        Ok(())
    }
}

pub(crate) fn ask(session: &mut Session<'_>, sql: &str, params: &[Value], limits: RunLimits) -> Answer {
    let facts = match session.prepare(sql, limits.time) {
        Ok(facts) => facts,
        Err(refusal) => return Answer::Refused(refusal),
    };
    if let Some(forbidden) = facts.accesses.iter().find(|access| is_forbidden(access)) {
        return Answer::Forbidden(forbidden.clone());
    }
    let started = Instant::now();
    let mut collected = Collected::default();
    let masked = BTreeSet::new();
    let statement = Statement { sql, params, granted: &facts.accesses, masked: &masked, limits };
    match session.run(statement, &mut collected) {
        Ok(done) => Answer::Rows(Collected { done: Some(done), took: started.elapsed(), ..collected }),
        Err(refusal) => Answer::Refused(refusal),
    }
}

/// The policy of these tests: no `restricted_*` and `sqlite_*` table, no column that holds a secret.
pub(crate) fn is_forbidden(access: &Access) -> bool {
    match &access.object {
        Object::Table { table } => table.starts_with("restricted_") || table.starts_with("sqlite_"),
        Object::Column { column, .. } => {
            column == "password_hash" || column == "api_token" || column.contains("secret")
        }
        Object::Function { .. } => false,
    }
}

/// What only a statement that reads something forbidden can answer.
pub(crate) fn is_restricted(value: &Value) -> bool {
    match value {
        Value::Text(text) => {
            ["$2b$", "tok_live", "250000", "185000"].iter().any(|secret| text.contains(secret))
        }
        Value::Integer(number) => [250_000, 120_000, 185_000].contains(number),
        Value::Real(number) => [250_000.0, 120_000.0, 185_000.0].contains(number),
        Value::Null | Value::Blob(_) | Value::Boolean(_) | Value::Decimal(_) => false,
    }
}

pub(crate) fn unguarded(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

/// Runs all statements of a text without any guard, as a naive server would.
pub(crate) fn run_unguarded(path: &Path, sql: &str) -> Result<(), String> {
    let connection = unguarded(path);
    let mut batch = rusqlite::Batch::new(&connection, sql);
    while let Some(mut statement) = batch.next().map_err(|error| error.to_string())? {
        let mut rows = statement.raw_query();
        while rows.next().map_err(|error| error.to_string())?.is_some() {}
    }
    Ok(())
}
