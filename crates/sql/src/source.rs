//! What a worker opens: a SQLite file, a source behind an ODBC driver, or nothing, to judge statements alone.

use std::{collections::BTreeSet, fmt, path::PathBuf, time::Duration};

use crate::engines::postgres::guard::GuardConfig;

/// Which database a worker opens.
#[derive(Clone, PartialEq, Debug)]
pub enum Open {
    /// A SQLite database.
    Sqlite {
        /// Its file; opened read-only. Must be UTF-8.
        path: PathBuf,
    },
    /// A SQLite database, for writing.
    SqliteWriter {
        /// Its file. Must be UTF-8.
        path: PathBuf,
        /// Whether `UPDATE` and `DELETE` may do without a `WHERE`.
        unfiltered: bool,
    },
    /// A source behind an ODBC driver. Answered by a worker that was built with the feature `odbc`.
    Odbc(OdbcSource),
    /// No database: the worker judges the text of PostgreSQL statements and answers [`Response::Syntax`](crate::Response::Syntax).
    PostgresGuard(GuardConfig),
}

/// A source behind an ODBC driver.
#[derive(Clone, PartialEq, Debug)]
pub struct OdbcSource {
    /// How the driver is reached.
    pub connection: ConnectionString,
    /// The SQL that the source speaks. The guard refuses what it cannot be sure to read as the source does.
    pub dialect: Dialect,
    /// Functions of the source's own that statements may call, in any case; schema-qualified ones with their schema.
    pub functions: BTreeSet<String>,
    /// How long connecting may take; whole seconds.
    pub connect: Duration,
    /// Whether it takes writes at all.
    pub writable: bool,
}

/// An ODBC connection string, password included. INVARIANT: it is never shown, neither by `Debug` nor in an error.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionString(String);

impl ConnectionString {
    /// Wraps a connection string such as `DSN=sales;UID=reader;PWD=…`.
    pub fn new(text: impl Into<String>) -> ConnectionString {
        ConnectionString(text.into())
    }

    /// Appends `KEY={value};`, quoted so that no value can end the attribute.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> ConnectionString {
        if !self.0.is_empty() && !self.0.ends_with(';') {
            self.0.push(';');
        }
        // SPEC: a value in braces ends at a brace that is not doubled.
        self.0.push_str(&format!("{key}={{{}}};", value.replace('}', "}}")));
        self
    }

    /// The text itself, for the driver alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionString(…)")
    }
}

/// The SQL that a source speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Dialect {
    /// Standard SQL: CONNX, Db2, Adabas, Informix and all that is not listed.
    #[default]
    Ansi,
    /// PostgreSQL and what descends from it.
    Postgres,
    /// Microsoft SQL Server, Sybase.
    Mssql,
    /// MySQL, MariaDB.
    Mysql,
    /// Oracle.
    Oracle,
    /// SQLite.
    Sqlite,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: &'static [Dialect] =
        &[Dialect::Ansi, Dialect::Postgres, Dialect::Mssql, Dialect::Mysql, Dialect::Oracle, Dialect::Sqlite];

    /// Its name in configurations: `ansi`, `postgres`, `mssql`, `mysql`, `oracle` or `sqlite`.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Ansi => "ansi",
            Dialect::Postgres => "postgres",
            Dialect::Mssql => "mssql",
            Dialect::Mysql => "mysql",
            Dialect::Oracle => "oracle",
            Dialect::Sqlite => "sqlite",
        }
    }

    /// The dialect of a name.
    pub fn from_name(name: &str) -> Option<Dialect> {
        Dialect::ALL.iter().copied().find(|dialect| dialect.name() == name)
    }
}

#[cfg(test)]
mod tests;
