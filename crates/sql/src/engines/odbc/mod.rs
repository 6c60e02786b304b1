//! Any source behind an ODBC driver, guarded by a parser that refuses what it cannot be sure to read as the source does.
//!
//! ODBC hands a driver a text and trusts it. So the text is judged here before the driver sees it (the guard), and what the driver
//! and the source offer stands behind that: read-only transactions where the dialect has them, no autocommit, a rollback after every read, a
//! query timeout. What neither stops, the master does: it kills the process.
//!
//! The safe interface of ODBC has no `SQL_ATTR_ACCESS_MODE` and no `SQLCancel`; the first is replaced by the dialect's own read-only
//! transactions, the second by the kill.

mod catalog;
mod companions;
mod errors;
mod guard;
mod run;
#[cfg(test)]
mod tests;
mod write;

use std::{collections::BTreeSet, time::Duration};

use odbc_api::{Connection, ConnectionOptions, Environment};

use super::{Sink, Statement};
use crate::{
    ColumnInfo, Dialect, Done, Facts, Object, OdbcSource, Refusal, Rehearsal, Rule, TableDetail, TableInfo,
};
use catalog::Catalog;
use write::{Fate, Writable};

/// Connects to a source.
///
/// # Errors
/// [`Rule::Database`] if it cannot be reached. The driver's own words may hold parts of the connection string: they are not passed on.
pub(crate) fn connect(source: &OdbcSource) -> Result<Session, Refusal> {
    let environment = odbc_api::environment().map_err(|error| errors::connecting(&error))?;
    let mut session = Session {
        environment,
        source: source.clone(),
        connection: None,
        catalog: Catalog::default(),
        recent: Vec::new(),
        writable: Writable::of(source.dialect),
    };
    session.connected()?;
    Ok(session)
}

/// Judges and runs statements on one connection, one at a time.
pub(crate) struct Session {
    environment: &'static Environment,
    source: OdbcSource,
    /// None after it broke; the next request connects anew.
    connection: Option<Connection<'static>>,
    catalog: Catalog,
    /// Statements judged lately, the latest last.
    recent: Vec<Prepared>,
    writable: Writable,
}

/// A statement that passed the guard.
#[derive(Clone, Debug)]
struct Prepared {
    sql: String,
    write: bool,
    /// The text that may run.
    run: String,
    facts: Facts,
    /// Where the columns of its result come from, as far as that is known.
    origins: Vec<Option<Object>>,
}

/// Judgements kept, and the longest text of one: together they bound the memory.
const RECENT: usize = 64;
const RECENT_SQL: usize = 4 << 10;

impl Session {
    /// The connection, made anew if it broke.
    fn connected(&mut self) -> Result<&Connection<'static>, Refusal> {
        if self.connection.is_none() {
            let seconds = u32::try_from(self.source.connect.as_secs()).unwrap_or(u32::MAX).max(1);
            let options = ConnectionOptions { login_timeout_sec: Some(seconds), packet_size: None };
            let connected =
                self.environment.connect_with_connection_string(self.source.connection.expose(), options);
            let connection = connected.map_err(|error| errors::connecting(&error))?;
            settle(&connection, self.source.dialect).map_err(|error| errors::connecting(&error))?;
            self.connection = Some(connection);
        }
        self.connection.as_ref().ok_or_else(|| Refusal::new(Rule::Database, "the source cannot be reached"))
    }

    /// Runs `work` on the connection and gives up the connection if it broke.
    fn on_connection<T>(
        &mut self,
        work: impl FnOnce(&Connection<'static>, &mut Catalog) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.connected()?;
        let Some(connection) = &self.connection else {
            return Err(Refusal::new(Rule::Database, "the source cannot be reached"));
        };
        let result = work(connection, &mut self.catalog);
        // INVARIANT: no transaction outlives its request. A write has committed its own by now.
        // MUTATE(A7-odbc-rollback): what a statement changed stays
        let rolled_back = connection.rollback();
        let broken = matches!(&result, Err(refusal) if refusal.rule == Rule::Database);
        if rolled_back.is_err() || broken {
            self.give_up();
        }
        result
    }

    /// The next request connects anew.
    fn give_up(&mut self) {
        self.connection = None;
        self.recent.clear();
    }

    /// What a statement would set in motion that is not in it.
    fn beyond(&mut self, prepared: &Prepared) -> Result<Vec<String>, Refusal> {
        let dialect = self.source.dialect;
        self.on_connection(|connection, _| companions::beyond(connection, dialect, &prepared.facts.accesses))
    }

    fn change(
        &mut self,
        prepared: &Prepared,
        statement: &Statement<'_>,
        decide: impl FnOnce(Option<u64>) -> Result<Fate, Refusal>,
    ) -> Result<Option<u64>, Refusal> {
        let (writable, mut closed) = (self.writable, true);
        let changed = self.on_connection(|connection, _| {
            let ended = write::change(connection, writable, &prepared.run, statement, decide);
            closed = ended.closed;
            ended.changed
        });
        // INVARIANT: no request gets a session that an earlier write left writable.
        // MUTATE(A17-odbc-closed): a session that could not be made read-only again goes on
        if !closed {
            self.give_up();
        }
        changed
    }

    fn prepared(&mut self, sql: &str, write: bool) -> Result<Prepared, Refusal> {
        if write && !self.source.writable {
            return Err(Refusal::new(Rule::ForbiddenAction, "this database takes no writes"));
        }
        if self.catalog.is_stale() {
            self.recent.clear();
        }
        if let Some(recent) = self.recent.iter().find(|recent| recent.sql == sql && recent.write == write) {
            return Ok(recent.clone());
        }
        let judged = guard::judge(sql, self.source.dialect, write, &self.source.functions)?;
        let dialect = self.source.dialect;
        let (accesses, columns, origins, projected) = self.on_connection(|connection, catalog| {
            catalog.load(connection, dialect, &judged.found)?;
            let accesses = guard::resolve(&judged.found, |parts| catalog.look_up(parts))?;
            let columns = match judged.operation.writes() {
                false => run::describe(connection, &judged.run)?,
                true => vec![affected()],
            };
            let (origins, projected) = projected(&judged, &columns, catalog)?;
            Ok((accesses, columns, origins, projected))
        })?;
        let facts = Facts {
            operation: judged.operation,
            accesses,
            projected,
            columns,
            parameters: judged.parameters,
        };
        let prepared = Prepared { sql: sql.to_owned(), write, run: judged.run, facts, origins };
        if sql.len() <= RECENT_SQL {
            if self.recent.len() >= RECENT {
                self.recent.remove(0);
            }
            self.recent.push(prepared.clone());
        }
        Ok(prepared)
    }

    /// The judged statement, if it touches nothing but what was granted and its parameters are as many as its placeholders.
    fn granted(&mut self, statement: &Statement<'_>, write: bool) -> Result<Prepared, Refusal> {
        let prepared = self.prepared(statement.sql, write)?;
        // MUTATE(A8-odbc-granted): a statement touches what was not granted
        if !prepared.facts.accesses.is_subset(statement.granted) {
            let message = "the schema changed since the statement was judged; prepare it again";
            return Err(Refusal::new(Rule::SchemaChanged, message));
        }
        let (takes, given) = (prepared.facts.parameters, statement.params.len());
        if u32::try_from(given) != Ok(takes) {
            let message = format!("the statement takes {takes} parameters, and {given} were given");
            return Err(Refusal::new(Rule::Parameters, message));
        }
        Ok(prepared)
    }
}

impl super::Session for Session {
    fn prepare(&mut self, sql: &str, write: bool, _deadline: Duration) -> Result<Facts, Refusal> {
        Ok(self.prepared(sql, write)?.facts)
    }

    fn run(&mut self, statement: Statement<'_>, sink: &mut dyn Sink) -> Result<Done, Refusal> {
        let prepared = self.granted(&statement, false)?;
        let masked = super::masks(&prepared.facts, &prepared.origins, statement.masked)?;
        let dialect = self.source.dialect;
        self.on_connection(|connection, _| {
            run::read(connection, dialect, &prepared.run, &statement, masked, sink)
        })
    }

    fn rehearse(&mut self, statement: Statement<'_>) -> Result<Rehearsal, Refusal> {
        let prepared = self.granted(&statement, true)?;
        let warnings = self.beyond(&prepared)?;
        let affected = match warnings.is_empty() {
            true => self.change(&prepared, &statement, |_| Ok(Fate::Undo))?,
            false => None,
        };
        Ok(Rehearsal { affected, before: None, after: None, warnings })
    }

    fn write(&mut self, statement: Statement<'_>, expected: Option<u64>) -> Result<u64, Refusal> {
        let prepared = self.granted(&statement, true)?;
        // INVARIANT: what was tried out had no companions; one that came since would act unseen.
        if expected.is_some() && !self.beyond(&prepared)?.is_empty() {
            let message = "the schema changed since the effect was shown";
            return Err(Refusal::new(Rule::SchemaChanged, message));
        }
        let changed = self.change(&prepared, &statement, |changed| {
            // MUTATE(A17-odbc-count): a write changes other rows than were approved
            match expected {
                Some(expected) if changed != Some(expected) => Err(write::recounted(changed, expected)),
                _ => Ok(Fate::Keep),
            }
        })?;
        Ok(changed.unwrap_or(0))
    }

    fn tables(&mut self, _deadline: Duration) -> Result<Vec<TableInfo>, Refusal> {
        let dialect = self.source.dialect;
        self.on_connection(|connection, catalog| {
            catalog.refresh(connection, dialect)?;
            Ok(catalog.tables())
        })
    }

    fn describe(&mut self, table: &str, _deadline: Duration) -> Result<TableDetail, Refusal> {
        let dialect = self.source.dialect;
        self.on_connection(|connection, catalog| {
            catalog.refresh(connection, dialect)?;
            catalog.describe(connection, table)
        })
    }
}

/// Where the columns of a query's result come from, and which of these columns it uses nowhere else.
fn projected(
    judged: &guard::Judged,
    columns: &[ColumnInfo],
    catalog: &Catalog,
) -> Result<(Vec<Option<Object>>, BTreeSet<Object>), Refusal> {
    let Some(projection) = &judged.projection else { return Ok((Vec::new(), BTreeSet::new())) };
    let look_up = |parts: &[String]| catalog.look_up(parts);
    let labels: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let star = match projection.star() {
        Some(parts) => catalog.look_up(parts)?.zip(catalog.ordered(parts)),
        None => None,
    };
    let star = star.as_ref().map(|(table, columns)| (*table, columns.as_slice()));
    let origins = projection.origins(&judged.found, &labels, star, look_up);
    let projected = projection.projected(&origins, look_up);
    Ok((origins, projected))
}

/// The one column of a write's result.
fn affected() -> ColumnInfo {
    ColumnInfo { name: "affected_rows".into(), decl_type: Some("integer".into()) }
}

/// Our own statements on a new connection.
fn settle(connection: &Connection<'static>, dialect: Dialect) -> Result<(), odbc_api::Error> {
    for statement in read_only(dialect) {
        connection.execute(statement, (), None)?;
    }
    connection.set_autocommit(false)
}

/// What makes the session's transactions read-only, for dialects that have it.
fn read_only(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        // MUTATE(A7-odbc-transaction): what the dialect has against writes is not switched on
        Dialect::Postgres => &["SET default_transaction_read_only = on"],
        Dialect::Mysql => &["SET SESSION TRANSACTION READ ONLY"],
        Dialect::Sqlite => &["PRAGMA query_only = ON"],
        // Oracle's holds for one transaction: see `run::read`.
        Dialect::Ansi | Dialect::Mssql | Dialect::Oracle => &[],
    }
}
