//! The list of engines: one module each. A worker asks them all alike, through [`Session`].

use std::{collections::BTreeSet, time::Duration};

use crate::{
    Access, ColumnInfo, Done, Facts, Object, Refusal, Rehearsal, Rule, RunLimits, TableDetail, TableEstimate,
    TableInfo, Value,
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

    /// How large one of these is believed to be.
    fn estimate(&mut self, table: &str, deadline: Duration) -> Result<TableEstimate, Refusal> {
        Ok(TableEstimate { name: self.describe(table, deadline)?.name, rows: None })
    }
}

/// The columns of a result by where they come from, as far as that is known: for each that `masked` names, its position.
///
/// # Errors
/// If a column of `masked` that the statement reads is not only projected: its values would show.
pub(crate) fn masks(
    facts: &Facts,
    origins: &[Option<Object>],
    masked: &BTreeSet<Object>,
) -> Result<Vec<u32>, Refusal> {
    let read = |object: &&Object| facts.accesses.iter().any(|access| access.object == **object);
    for object in masked.iter().filter(read) {
        // MUTATE(A16-untraced): a masked column is read in other ways than as an item of the result
        if !facts.projected.contains(object) || !origins.iter().flatten().any(|origin| origin == object) {
            let message = "a masked column is not a plain column of the result";
            return Err(Refusal::new(Rule::ForbiddenAction, message));
        }
    }
    let hidden = |origin: &Option<Object>| origin.as_ref().is_some_and(|origin| masked.contains(origin));
    Ok((0..).zip(origins).filter(|(_, origin)| hidden(origin)).map(|(position, _)| position).collect())
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
    /// Columns that it may project, and whose values are void.
    pub masked: &'a BTreeSet<Object>,
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
