//! The list of engines: one module each. A worker asks them all alike, through [`Session`].

use std::{collections::BTreeSet, time::Duration};

use crate::{Access, ColumnInfo, Done, Facts, Refusal, RunLimits, TableDetail, TableInfo, Value};

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

    /// The tables and views, sorted by name.
    fn tables(&mut self, deadline: Duration) -> Result<Vec<TableInfo>, Refusal>;

    /// One table or view of these.
    fn describe(&mut self, table: &str, deadline: Duration) -> Result<TableDetail, Refusal>;
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
