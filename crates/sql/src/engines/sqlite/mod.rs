//! SQLite, guarded by its own authorizer.
//!
//! A [`Database`] is a read-only connection, hardened when it is opened: no attaching, no extensions, small limits, an untrusted schema.
//! SQLite's authorizer reports every read while a statement is prepared; a statement passes if all that it does is on a closed list, and
//! its reads become its [`Facts`]. Three things the authorizer does not report are added by [`hidden`]: columns joined by
//! `NATURAL` and `USING`, what generated columns are made of, and what a virtual table reads beneath.
//!
//! INVARIANT: whatever a statement can reveal is among its accesses. Where SQLite leaves room for doubt, more is reported than is read.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::{Done, Facts, Refusal, Rehearsal, Rule, TableDetail, TableEstimate, TableInfo};

mod authorizer;
mod catalog;
mod errors;
mod functions;
mod hidden;
mod metadata;
mod open;
mod prepare;
mod projected;
mod run;
#[cfg(test)]
mod tests;
mod words;
mod write;

pub use super::{Sink, Statement};
pub use functions::ALLOWED_FUNCTIONS;
pub use open::limits;
pub use prepare::Prepared;

use authorizer::Gate;
use catalog::{Catalog, Cookie};

/// A name as SQLite compares it: ASCII letters in lower case, all names of the schema table made one.
pub fn fold(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "sqlite_master" | "sqlite_temp_master" | "sqlite_temp_schema" => "sqlite_schema".to_owned(),
        _ => name,
    }
}

/// Asked now and then while a statement runs.
pub trait Interrupt: Send + 'static {
    /// Whether the statement should stop. Called about every millisecond; must be quick and must not block.
    fn interrupted(&mut self) -> bool;
}

/// Never interrupts.
#[derive(Clone, Copy, Debug)]
pub struct Never;

impl Interrupt for Never {
    fn interrupted(&mut self) -> bool {
        false
    }
}

/// A guarded read-only connection to one database file.
pub struct Database {
    connection: Connection,
    gate: Gate,
    /// Whether it may be written, and then whether without a `WHERE`.
    writer: Option<bool>,
    tally: write::Tally,
}

impl Database {
    /// Opens and hardens `path`. The file must exist; it is opened read-only and no part of its name has a meaning to SQLite.
    ///
    /// # Errors
    /// [`Rule::Database`] if it cannot be opened or is no database.
    pub fn open(path: &Path, interrupt: impl Interrupt) -> Result<Database, Refusal> {
        open::open(path, interrupt, None)
    }

    /// The same for writing. `unfiltered` lets `UPDATE` and `DELETE` do without a `WHERE`.
    ///
    /// # Errors
    /// [`Rule::Database`] if it cannot be opened or is no database.
    pub fn open_writer(
        path: &Path,
        interrupt: impl Interrupt,
        unfiltered: bool,
    ) -> Result<Database, Refusal> {
        open::open(path, interrupt, Some(unfiltered))
    }

    /// A session on the connection: its catalogue and its prepared statements.
    pub fn session(&self) -> Session<'_> {
        Session { database: self, catalog: Catalog::default(), cookie: Cookie::default(), recent: Vec::new() }
    }
}

/// Judges and runs statements, one at a time.
pub struct Session<'db> {
    database: &'db Database,
    catalog: Catalog,
    cookie: Cookie<'db>,
    /// Statements prepared lately, the latest last.
    recent: Vec<Prepared<'db>>,
}

impl<'db> Session<'db> {
    /// Judges a statement without running it.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn prepare(&mut self, sql: &str, deadline: Duration) -> Result<Facts, Refusal> {
        self.database.gate.start(Instant::now().checked_add(deadline));
        self.refresh()?;
        let prepared = self.prepared(sql)?;
        let facts = prepared.facts.clone();
        self.keep(prepared);
        Ok(facts)
    }

    /// Runs a statement that may touch `granted` and nothing else, and hands each row to `sink`.
    ///
    /// # Errors
    /// The rule it breaks; the rows handed over before are then void.
    pub fn run(&mut self, statement: Statement<'_>, sink: &mut dyn Sink) -> Result<Done, Refusal> {
        self.database.gate.start(Instant::now().checked_add(statement.limits.time));
        // A recent statement is tried under the schema it was judged under: if that has changed, the run says so before its first row.
        let recent = self.recent.iter().any(|recent| recent.sql == statement.sql);
        if recent {
            match self.run_once(&statement, sink) {
                Err(refusal) if refusal.rule == Rule::SchemaChanged => {}
                ended => return ended,
            }
        }
        self.refresh()?;
        self.run_once(&statement, sink)
    }

    fn run_once(&mut self, statement: &Statement<'_>, sink: &mut dyn Sink) -> Result<Done, Refusal> {
        let mut prepared = self.prepared(statement.sql)?;
        let done = run::run(self.database, &mut self.cookie, &mut prepared, statement, sink)?;
        self.keep(prepared);
        Ok(done)
    }

    fn refresh(&mut self) -> Result<(), Refusal> {
        if self.catalog.refresh(self.database, &mut self.cookie)? {
            self.recent.clear();
        }
        Ok(())
    }

    /// The tables and views, sorted by name; SQLite's own and those beneath virtual tables are left out.
    ///
    /// # Errors
    /// [`Rule::Database`] and the like if the schema cannot be read.
    pub fn tables(&mut self, deadline: Duration) -> Result<Vec<TableInfo>, Refusal> {
        self.database.gate.start(Instant::now().checked_add(deadline));
        self.refresh()?;
        Ok(metadata::tables(&self.catalog))
    }

    /// One table or view.
    ///
    /// # Errors
    /// [`Rule::UnknownTable`] if [`Session::tables`] does not list it.
    pub fn describe(&mut self, table: &str, deadline: Duration) -> Result<TableDetail, Refusal> {
        self.database.gate.start(Instant::now().checked_add(deadline));
        self.refresh()?;
        metadata::describe(self.database, &self.catalog, table)
    }

    /// How many rows `ANALYZE` found in a table of these.
    ///
    /// # Errors
    /// [`Rule::UnknownTable`] if [`Session::tables`] does not list it.
    pub fn estimate(&mut self, table: &str, deadline: Duration) -> Result<TableEstimate, Refusal> {
        self.database.gate.start(Instant::now().checked_add(deadline));
        self.refresh()?;
        metadata::estimate(self.database, &self.catalog, table)
    }
}

impl crate::engines::Session for Session<'_> {
    fn prepare(&mut self, sql: &str, write: bool, deadline: Duration) -> Result<Facts, Refusal> {
        if write { self.prepare_write(sql, deadline) } else { Session::prepare(self, sql, deadline) }
    }

    fn rehearse(&mut self, statement: Statement<'_>) -> Result<Rehearsal, Refusal> {
        Session::rehearse(self, statement)
    }

    fn write(&mut self, statement: Statement<'_>, expected: Option<u64>) -> Result<u64, Refusal> {
        Session::write(self, statement, expected)
    }

    fn run(&mut self, statement: Statement<'_>, sink: &mut dyn Sink) -> Result<Done, Refusal> {
        Session::run(self, statement, sink)
    }

    fn tables(&mut self, deadline: Duration) -> Result<Vec<TableInfo>, Refusal> {
        Session::tables(self, deadline)
    }

    fn describe(&mut self, table: &str, deadline: Duration) -> Result<TableDetail, Refusal> {
        Session::describe(self, table, deadline)
    }

    fn estimate(&mut self, table: &str, deadline: Duration) -> Result<TableEstimate, Refusal> {
        Session::estimate(self, table, deadline)
    }
}
