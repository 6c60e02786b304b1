//! The list of engines: one module each. A worker asks them all alike, through [`Session`].

use std::{collections::BTreeSet, time::Duration};

use crate::{
    Access, ColumnInfo, Done, Facts, Refusal, Rehearsal, Rule, RunLimits, TableDetail, TableInfo, Value,
};

#[cfg(feature = "odbc")]
pub mod odbc;
pub mod postgres;
pub mod sqlite;

/// What a worker asks of an open database.
pub(crate) trait Session {
    /// Judges a statement without running it.
    fn prepare(&mut self, sql: &str, write: bool, deadline: Duration) -> Result<Facts, Refusal>;

    /// Runs a statement that may touch what was granted and nothing else, and hands each row to `sink`.
    fn run(&mut self, statement: Statement<'_>, sink: &mut dyn Sink) -> Result<Done, Refusal>;

    /// Runs a write and takes it back; says what it would do.
    fn rehearse(&mut self, _statement: Statement<'_>) -> Result<Rehearsal, Refusal> {
        Err(takes_no_writes())
    }

    /// Runs a write; it lasts only if it changes `expected` rows, where that is said. Answers how many.
    fn write(&mut self, _statement: Statement<'_>, _expected: Option<u64>) -> Result<u64, Refusal> {
        Err(takes_no_writes())
    }

    /// The tables and views, sorted by name.
    fn tables(&mut self, deadline: Duration) -> Result<Vec<TableInfo>, Refusal>;

    /// One table or view of these.
    fn describe(&mut self, table: &str, deadline: Duration) -> Result<TableDetail, Refusal>;
}

fn takes_no_writes() -> Refusal {
    Refusal::new(Rule::ForbiddenAction, "this database takes no writes")
}

/// A statement to run, borrowed from its request.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Its text.
    pub sql: &'a str,
    /// Values for its placeholders, by position.
    pub params: &'a [Value],
    /// All that it may touch.
    pub granted: &'a BTreeSet<Access>,
    /// Where it is cut.
    pub limits: RunLimits,
}

/// Receives a result.
pub trait Sink {
    /// The columns, before any row.
    ///
    /// # Errors
    /// Ends the run.
    fn columns(&mut self, columns: Vec<ColumnInfo>) -> Result<(), Refusal>;

    /// A row.
    ///
    /// # Errors
    /// Ends the run.
    fn row(&mut self, row: Vec<Value>) -> Result<(), Refusal>;
}
