//! Writing: one `INSERT`, `UPDATE` or `DELETE`, judged like a query, tried out in a transaction that is rolled back, or run in one that is
//! committed only if it changes as many rows as it was approved for.
//!
//! Triggers and foreign keys act inside the transaction; what they read and write is reported by the authorizer and is among the accesses.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::{PrepFlags, Statement as Raw};

use super::{
    Database, Session, Statement,
    authorizer::{Permitted, Recording, Report},
    catalog::{Catalog, Table},
    errors, hidden,
    prepare::{check_text, covered, stopped},
    run::{LOCK_WAIT, bind, same_schema, value},
    words::{Token, tokens},
};
use crate::{ColumnInfo, Facts, Operation, Refusal, Rehearsal, Rows, Rule, TableKind, Value};

/// Rows of a sample, and the bytes that their values may have.
const SAMPLE_ROWS: usize = 10;
const SAMPLE_BYTES: u64 = 64 << 10;

/// A write that passed the guard.
struct Writing<'db> {
    statement: Raw<'db>,
    facts: Facts,
    permitted: Permitted,
    schema: i64,
    /// The table that the statement itself names.
    target: String,
    triggers: BTreeSet<String>,
}

/// The rows of the target that a statement changes, as SQLite tells: their row ids.
#[derive(Clone, Default, Debug)]
pub(super) struct Tally {
    rows: Arc<Mutex<Vec<(String, i64)>>>,
}

impl Tally {
    /// Counts from here on; bounded, since a statement may change any number of rows.
    pub(super) fn note(&self, table: &str, rowid: i64) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() < 1_000 && !rows.iter().any(|(known, id)| *id == rowid && known == table) {
            rows.push((table.to_owned(), rowid));
        }
    }

    fn take(&self) -> Vec<(String, i64)> {
        std::mem::take(&mut self.rows.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<'db> Session<'db> {
    /// Judges a write without running it.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn prepare_write(&mut self, sql: &str, deadline: Duration) -> Result<Facts, Refusal> {
        self.database.gate.start(Instant::now().checked_add(deadline));
        self.refresh()?;
        Ok(self.judge_write(sql)?.facts)
    }

    /// Runs a write and takes it back; says what it would do.
    ///
    /// # Errors
    /// The rule it breaks, or why it fails.
    pub fn rehearse(&mut self, statement: Statement<'_>) -> Result<Rehearsal, Refusal> {
        self.transact(statement, |session, writing, affected| {
            let mut rehearsal = session.rehearsal(writing, affected)?;
            let connection = &session.database.connection;
            let ids = session.database.tally.take();
            rehearsal.after = session.sample(writing, &ids)?;
            // What is there without the write, under the same lock.
            connection.execute_batch("ROLLBACK TO rehearsal").map_err(|e| errors::running(&e))?;
            rehearsal.before = session.sample(writing, &ids)?;
            Ok((rehearsal, Fate::Undo))
        })
    }

    /// Runs a write; it lasts only if it changes `expected` rows, where that is said.
    ///
    /// # Errors
    /// The rule it breaks, or why it fails; nothing has changed then.
    pub fn write(&mut self, statement: Statement<'_>, expected: Option<u64>) -> Result<u64, Refusal> {
        self.transact(statement, |_, _, affected| {
            // MUTATE(A17-count): a write changes other rows than were approved
            if expected.is_some_and(|expected| expected != affected) {
                let message = format!(
                    "the statement would change {affected} rows now, not the {} that were approved; nothing was changed",
                    expected.unwrap_or_default()
                );
                return Err(Refusal::new(Rule::RowCount, message));
            }
            Ok((affected, Fate::Keep))
        })
    }

    /// Runs a granted write inside a transaction and lets `then` decide its fate. An error takes everything back.
    fn transact<T>(
        &mut self,
        request: Statement<'_>,
        then: impl FnOnce(&Self, &Writing<'_>, u64) -> Result<(T, Fate), Refusal>,
    ) -> Result<T, Refusal> {
        let database = self.database;
        database.gate.start(Instant::now().checked_add(request.limits.time));
        self.refresh()?;
        let mut writing = self.judge_write(request.sql)?;
        if !covered(&writing.facts.accesses, request.granted) {
            return Err(super::authorizer::schema_changed());
        }
        bind(&mut writing.statement, request.params)?;
        let wait = database.gate.remaining().map_or(LOCK_WAIT, |left| left.min(LOCK_WAIT));
        let connection = &database.connection;
        connection.busy_timeout(wait).map_err(|e| errors::running(&e))?;
        // INVARIANT: the write lock is taken first, so that schema and rows stay as they are judged and counted.
        connection.execute_batch("BEGIN IMMEDIATE; SAVEPOINT rehearsal").map_err(|e| errors::running(&e))?;
        let mut open = Open { database, done: false };
        same_schema(database, &mut self.cookie, writing.schema)?;

        let before = connection.total_changes();
        database.tally.take();
        database.gate.enforce(std::mem::take(&mut writing.permitted));
        let ran = writing.statement.raw_execute();
        writing.permitted = database.gate.relax();
        if let Err(error) = ran {
            let reason = database.gate.stopped();
            return Err(database.gate.refused().unwrap_or_else(|| stopped(errors::running(&error), reason)));
        }
        let affected = connection.total_changes().saturating_sub(before);
        let (answer, fate) = then(self, &writing, affected)?;
        // A deadline that passed meanwhile undoes the write: its caller has been told so.
        if let Some(reason) = database.gate.stopped() {
            return Err(stopped(Refusal::new(reason, "the statement was stopped"), Some(reason)));
        }
        if let Fate::Keep = fate {
            connection.execute_batch("COMMIT").map_err(|e| errors::running(&e))?;
            open.done = true;
        }
        Ok(answer)
    }

    fn judge_write(&self, sql: &str) -> Result<Writing<'db>, Refusal> {
        let database = self.database;
        check_text(sql)?;
        let Some(unfiltered) = database.writer else {
            return Err(Refusal::new(Rule::ForbiddenAction, "this database takes no writes"));
        };
        let (statement, recording) = database
            .gate
            .record(true, || database.connection.prepare_with_flags(sql, PrepFlags::SQLITE_PREPARE_DONT_LOG));
        let Recording { reports, refused, first_write, .. } = recording;
        if let Some(refused) = refused {
            return Err(refused);
        }
        let statement =
            statement.map_err(|error| stopped(errors::refusal(&error), database.gate.stopped()))?;
        let target = first_write.ok_or_else(not_a_write)?;
        // MUTATE(A5-one-write): a statement that is no plain write passes
        if statement.readonly() || statement.column_count() != 0 || statement.is_explain() != 0 {
            return Err(not_a_write());
        }
        let operation = shape(sql, self.catalog.tables.get(&target), unfiltered)?;
        let reads = hidden::complete(sql, &reports, &self.catalog)?;
        plain_tables(&reports, &self.catalog)?;
        let triggers = fired(&reports, &self.catalog);
        let facts = Facts {
            operation,
            accesses: reads.accesses,
            projected: BTreeSet::new(),
            columns: Vec::new(),
            parameters: u32::try_from(statement.parameter_count()).unwrap_or(u32::MAX),
        };
        let permitted = Permitted { reports, beneath: reads.beneath, writes: true };
        let schema = self.catalog.version.unwrap_or_default();
        Ok(Writing { statement, facts, permitted, schema, target, triggers })
    }

    /// What approvers should know beside the rows.
    fn rehearsal(&self, writing: &Writing<'_>, affected: u64) -> Result<Rehearsal, Refusal> {
        let connection = &self.database.connection;
        let direct = connection.changes();
        let mut warnings = Vec::new();
        for trigger in &writing.triggers {
            warnings.push(format!(
                "the trigger `{trigger}` acts as well; its changes are counted and are undone with the rest"
            ));
        }
        let more = affected.saturating_sub(direct);
        if more > 0 {
            warnings.push(format!("{more} of the rows are changed by triggers or foreign keys"));
        }
        if writing.facts.operation != Operation::Insert && direct > 1 {
            let sql = format!("SELECT count(*) FROM {}", quote(&writing.target));
            let left: i64 =
                connection.query_row(&sql, [], |row| row.get(0)).map_err(|e| errors::running(&e))?;
            let left = u64::try_from(left).unwrap_or(0);
            let all = match writing.facts.operation {
                Operation::Delete => left == 0,
                _ => left == direct,
            };
            if all {
                warnings.push(format!("every row of `{}` is changed", writing.target));
            }
        }
        // SQLite does not count the rows that a constraint replaces.
        let definition = self.catalog.tables.get(&writing.target).map(|table| table.definition.as_str());
        let words: Vec<&str> = definition.unwrap_or_default().split_ascii_whitespace().collect();
        let replaces = words
            .windows(3)
            .any(|three| matches!(three, ["on", "conflict", last] if last.starts_with("replace")));
        if replaces {
            warnings.push(format!("`{}` replaces rows that conflict, which is not counted", writing.target));
        }
        let affected = (!replaces).then_some(affected);
        Ok(Rehearsal { affected, before: None, after: None, warnings })
    }

    /// Rows of the target as they are now: the columns that the statement touches, and the primary key.
    fn sample(&self, writing: &Writing<'_>, ids: &[(String, i64)]) -> Result<Option<Rows>, Refusal> {
        let Some(table) = self.catalog.tables.get(&writing.target) else { return Ok(None) };
        let taken = |name: &&str| table.columns.iter().any(|column| column.name == **name);
        let Some(rowid) = ["rowid", "_rowid_", "oid"].into_iter().find(|name| !taken(name)) else {
            return Ok(None);
        };
        let own: Vec<String> = ids
            .iter()
            .filter(|(name, _)| super::fold(name) == writing.target)
            .map(|(_, id)| id.to_string())
            .take(SAMPLE_ROWS)
            .collect();
        let shown = self.shown_columns(writing, table)?;
        if own.is_empty() || shown.is_empty() {
            return Ok(None);
        }
        let names: Vec<String> = shown.iter().map(|name| quote(name)).collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE {rowid} IN ({}) ORDER BY {rowid}",
            names.join(", "),
            quote(&writing.target),
            own.join(", ")
        );
        read(self.database, &sql).map(Some).map_err(|e| errors::running(&e))
    }

    fn shown_columns(&self, writing: &Writing<'_>, table: &Table) -> Result<Vec<String>, Refusal> {
        let keys = || -> rusqlite::Result<Vec<String>> {
            let mut statement = self
                .database
                .connection
                .prepare("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")?;
            let names = statement.query_map([&writing.target], |row| row.get::<_, String>(0))?;
            names.map(|name| Ok(name?.to_ascii_lowercase())).collect()
        };
        let keys = keys().map_err(|e| errors::running(&e))?;
        let touched = |name: &str| {
            writing.facts.accesses.iter().any(|access| {
                matches!(&access.object, crate::Object::Column { table, column }
                    if *table == writing.target && column == name)
            })
        };
        let names = table.columns.iter().map(|column| column.name.clone());
        Ok(names.filter(|name| keys.contains(name) || touched(name)).collect())
    }
}

/// What becomes of a transaction.
enum Fate {
    Keep,
    Undo,
}

/// A transaction that is rolled back unless it was committed.
struct Open<'db> {
    database: &'db Database,
    done: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.database.gate.relax();
        // MUTATE(A17-rollback): a rehearsal lasts
        if !self.done && !self.database.connection.is_autocommit() {
            // A rollback that fails leaves the transaction open, and the next `BEGIN` refuses.
            let _ = self.database.connection.execute_batch("ROLLBACK");
        }
    }
}

/// Which write it is, by its words; refuses what its reports do not show.
fn shape(sql: &str, target: Option<&Table>, unfiltered: bool) -> Result<Operation, Refusal> {
    let all = tokens(sql);
    let top: Vec<&Token> = all.iter().filter(|(_, depth)| *depth == 0).map(|(token, _)| token).collect();
    let word = |token: &&Token, wanted: &str| matches!(token, Token::Word(word) if word == wanted);
    let operation = top.iter().find_map(|token| match token {
        Token::Word(word) => match word.as_str() {
            "insert" => Some(Operation::Insert),
            "update" => Some(Operation::Update),
            "delete" => Some(Operation::Delete),
            "replace" => Some(Operation::Explain),
            _ => None,
        },
        _ => None,
    });
    let replaces = top.windows(3).any(|three| {
        matches!(three, [or, replace, next] if word(or, "or") && word(replace, "replace") && **next != Token::Sign('('))
    });
    let operation = operation.filter(|operation| operation.writes() && !replaces).ok_or_else(|| {
        Refusal::new(
            Rule::NotAWrite,
            "only INSERT, UPDATE and DELETE are writes; REPLACE deletes rows without saying so, use ON CONFLICT",
        )
    })?;
    if operation == Operation::Insert || unfiltered {
        return Ok(operation);
    }
    // MUTATE(A5-unfiltered): an UPDATE or DELETE may lack a WHERE
    let filtered = filters(&all, target);
    if !filtered {
        let message = "UPDATE and DELETE need a WHERE that looks at a column of the table";
        return Err(Refusal::new(Rule::Unfiltered, message));
    }
    Ok(operation)
}

/// Whether the statement's own `WHERE` names a column of the table it changes.
fn filters(all: &[(Token, usize)], target: Option<&Table>) -> bool {
    let at = all.iter().position(|(token, depth)| *depth == 0 && *token == Token::Word("where".into()));
    let Some(rest) = at.and_then(|at| all.get(at..)) else { return false };
    rest.iter().any(|(token, _)| match token {
        Token::Word(name) | Token::Name(name) => {
            let own = target.is_some_and(|table| table.columns.iter().any(|column| column.name == *name));
            own || matches!(name.as_str(), "rowid" | "_rowid_" | "oid")
        }
        Token::Sign(_) => false,
    })
}

/// INVARIANT: everything that is written is a plain table of the schema: not a view, not what lies beneath a virtual table, nothing of SQLite's own.
fn plain_tables(reports: &BTreeSet<Report>, catalog: &Catalog) -> Result<(), Refusal> {
    for report in reports {
        let Report::Write { table, .. } = report else { continue };
        let known = catalog.tables.get(table);
        let plain = known.is_some_and(|known| known.kind == TableKind::Table && !known.shadow);
        // MUTATE(A5-plain-tables): SQLite's own tables can be written
        if !plain || table.starts_with("sqlite_") {
            let message = format!("`{table}` is no ordinary table, and only those are written");
            return Err(Refusal::new(Rule::ForbiddenAction, message));
        }
    }
    Ok(())
}

/// The triggers that take part.
fn fired(reports: &BTreeSet<Report>, catalog: &Catalog) -> BTreeSet<String> {
    let accessors = reports.iter().filter_map(Report::accessor);
    accessors.filter(|name| catalog.triggers.contains_key(*name)).map(str::to_owned).collect()
}

fn read(database: &Database, sql: &str) -> rusqlite::Result<Rows> {
    let mut statement = database.connection.prepare(sql)?;
    let columns = super::prepare::columns(&statement);
    let columns: Vec<ColumnInfo> = columns;
    let (mut rows, mut bytes) = (Vec::new(), 0u64);
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let values: rusqlite::Result<Vec<Value>> =
            (0..columns.len()).map(|index| Ok(value(row.get_ref(index)?))).collect();
        let values = values?;
        bytes = values.iter().map(Value::size).fold(bytes, u64::saturating_add);
        if bytes > SAMPLE_BYTES {
            break;
        }
        rows.push(values);
    }
    Ok(Rows { columns, rows, done: None })
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn not_a_write() -> Refusal {
    Refusal::new(Rule::NotAWrite, "only one INSERT, UPDATE or DELETE without RETURNING is a write")
}
