//! From text to a judged statement.

use std::collections::BTreeSet;

use rusqlite::{PrepFlags, Statement};

use super::{Database, Session, authorizer::Permitted, errors, hidden, open, projected};
use crate::{ColumnInfo, Facts, Operation, Refusal, Rule};

/// A statement that passed the guard.
pub struct Prepared<'db> {
    pub(super) sql: String,
    pub(super) statement: Statement<'db>,
    pub(super) facts: Facts,
    /// What it may do while it runs.
    pub(super) permitted: Permitted,
    /// The schema it was judged under.
    pub(super) schema: i64,
}

/// Statements kept prepared, and the longest text of one: together they bound the memory.
const RECENT: usize = 16;
const RECENT_SQL: usize = 4 << 10;

impl<'db> Session<'db> {
    /// The judged statement: a recent one, else prepared now. INVARIANT: the catalogue was refreshed, or the statement is a recent one.
    pub(super) fn prepared(&mut self, sql: &str) -> Result<Prepared<'db>, Refusal> {
        check_text(sql)?;
        match self.recent.iter().position(|recent| recent.sql == sql) {
            Some(position) => Ok(self.recent.remove(position)),
            None => self.judge(sql),
        }
    }

    /// Gives a statement back for the next caller.
    pub(super) fn keep(&mut self, mut prepared: Prepared<'db>) {
        // INVARIANT: no value of one call is left for the next.
        prepared.statement.clear_bindings();
        if prepared.sql.len() <= RECENT_SQL {
            if self.recent.len() >= RECENT {
                self.recent.remove(0);
            }
            self.recent.push(prepared);
        }
    }

    fn judge(&self, sql: &str) -> Result<Prepared<'db>, Refusal> {
        let Database { connection, gate, .. } = self.database;
        // SQLite finds the end of the first statement itself; rusqlite refuses if a second follows.
        let (statement, recording) =
            gate.record(false, || connection.prepare_with_flags(sql, PrepFlags::SQLITE_PREPARE_DONT_LOG));
        if let Some(refused) = &recording.refused {
            return Err(refused.clone());
        }
        let selects = recording.selects;
        let statement = statement.map_err(|error| stopped(errors::refusal(&error), gate.stopped()))?;
        if statement.column_count() == 0 && !selects {
            return Err(match blank(sql) {
                true => Refusal::new(Rule::Empty, "the text holds no statement"),
                false => not_a_query(),
            });
        }
        // INVARIANT: the closed list above already allows reads alone; these two ask SQLite for its own opinion.
        if !selects || !statement.readonly() || statement.column_count() == 0 {
            return Err(not_a_query());
        }
        let reads = hidden::complete(sql, &recording.reports, &self.catalog)?;
        let facts = Facts {
            operation: if statement.is_explain() == 0 { Operation::Select } else { Operation::Explain },
            accesses: reads.accesses,
            projected: projected::projected(sql, &statement, &recording, &self.catalog),
            columns: columns(&statement),
            parameters: u32::try_from(statement.parameter_count()).unwrap_or(u32::MAX),
        };
        let permitted = Permitted { reports: recording.reports, beneath: reads.beneath, writes: false };
        let schema = self.catalog.version.unwrap_or_default();
        Ok(Prepared { sql: sql.to_owned(), statement, facts, permitted, schema })
    }
}

/// What no statement may be, before anything reads it.
pub(super) fn check_text(sql: &str) -> Result<(), Refusal> {
    if sql.len() > open::limits::SQL {
        let message = format!("the statement is longer than {} bytes", open::limits::SQL);
        return Err(Refusal::new(Rule::TooLong, message));
    }
    // SQLite would stop reading there, and judge less than the caller sees.
    if sql.contains('\0') {
        return Err(Refusal::new(Rule::NulCharacter, "the statement contains a NUL character"));
    }
    Ok(())
}

/// The statement's columns. They are read anew at each run, since a statement prepared again may have others.
pub(super) fn columns(statement: &Statement<'_>) -> Vec<ColumnInfo> {
    let info = |column: rusqlite::Column<'_>| ColumnInfo {
        name: column.name().to_owned(),
        decl_type: column.decl_type().map(str::to_owned),
    };
    statement.columns().map(info).collect()
}

/// The refusal, with the gate's reason if it was the gate that stopped the statement.
pub(super) fn stopped(refusal: Refusal, reason: Option<Rule>) -> Refusal {
    match reason {
        Some(Rule::Deadline) => Refusal::new(Rule::Deadline, "the statement did not end before its deadline"),
        Some(Rule::Cancelled) => Refusal::new(Rule::Cancelled, "the statement was interrupted"),
        _ => refusal,
    }
}

fn not_a_query() -> Refusal {
    Refusal::new(Rule::NotAQuery, "only SELECT, VALUES, WITH … SELECT and EXPLAIN of these are allowed")
}

/// Whether the text starts with nothing SQLite would read; chooses only the wording.
fn blank(sql: &str) -> bool {
    let rest = sql.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ';' || c == '\u{feff}');
    rest.is_empty() || rest.starts_with("--") || rest.starts_with("/*")
}

/// Whether everything in `needed` is in `granted`.
pub(super) fn covered(needed: &BTreeSet<crate::Access>, granted: &BTreeSet<crate::Access>) -> bool {
    // MUTATE(A8-granted): a statement touches what was not granted
    needed.is_subset(granted)
}
