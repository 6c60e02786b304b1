//! Opening a connection and taking from it all that a query does not need.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, config::DbConfig, hooks::Action, limits::Limit};

use super::{Database, Interrupt, authorizer::Gate, errors, write::Tally};
use crate::Refusal;

/// What SQLite may be given, and how far one statement may go.
pub mod limits {
    /// A statement's text, bytes.
    pub const SQL: usize = 256 << 10;
    /// One value or row, bytes.
    pub const VALUE: i32 = 4 << 20;
    /// Placeholders of a statement.
    pub const PARAMETERS: i32 = 1_000;
    /// Depth of an expression.
    pub const EXPRESSION_DEPTH: i32 = 500;
    /// Selects in a compound.
    pub const COMPOUND: i32 = 200;
    /// Arguments of a function.
    pub const ARGUMENTS: i32 = 127;
    /// A pattern of `LIKE` or `GLOB`, bytes.
    pub const PATTERN: i32 = 512;
    /// Instructions of a compiled statement.
    pub const INSTRUCTIONS: i32 = 500_000;
    /// The page cache, KiB.
    pub const CACHE: i64 = 16 << 10;
}

/// Settings of our own, made before the authorizer refuses all settings.
fn settings(writes: bool) -> String {
    let cache = limits::CACHE;
    // A writer keeps the promises that the schema makes about references.
    let own = if writes { "PRAGMA foreign_keys = ON;" } else { "PRAGMA query_only = ON;" };
    format!(
        "{own} PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 0; PRAGMA cache_size = -{cache}; PRAGMA cache_spill = OFF;"
    )
}

/// `writer`: whether it is opened for writing, and then whether a write may lack a `WHERE`.
pub(super) fn open(
    path: &Path,
    interrupt: impl Interrupt,
    writer: Option<bool>,
) -> Result<Database, Refusal> {
    // MUTATE(A7-read-only): the file is opened for writing
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let flags = match writer {
        None => flags,
        Some(_) => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    };
    // The name goes to SQLite as it is. One that starts with `:` or is empty means a database in memory, so a path must be absolute.
    if !path.is_absolute() {
        return Err(errors::database("the database's path is not absolute"));
    }
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| errors::refusal(&error))?;
    harden(&connection, writer.is_some()).map_err(|error| errors::refusal(&error))?;
    let gate = Gate::default();
    gate.install(&mut connection, interrupt).map_err(|error| errors::refusal(&error))?;
    let tally = Tally::default();
    if writer.is_some() {
        let noted = tally.clone();
        let hook = move |_: Action, _: &str, table: &str, rowid: i64| noted.note(table, rowid);
        connection.update_hook(Some(hook)).map_err(|error| errors::refusal(&error))?;
    }
    Ok(Database { connection, gate, writer, tally })
}

fn harden(connection: &Connection, writes: bool) -> rusqlite::Result<()> {
    connection.execute_batch(&settings(writes))?;
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
        // A writer that skipped triggers would break what they keep true; what they touch is judged with the rest.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, writes),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
        (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true),
    ] {
        connection.set_db_config(config, on)?;
    }
    for (limit, value) in [
        // MUTATE(A6-attach): other files can be attached
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LENGTH, limits::VALUE),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, i32::try_from(limits::SQL).unwrap_or(i32::MAX)),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, limits::PARAMETERS),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, limits::EXPRESSION_DEPTH),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, limits::COMPOUND),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, limits::ARGUMENTS),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, limits::PATTERN),
        (Limit::SQLITE_LIMIT_VDBE_OP, limits::INSTRUCTIONS),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, if writes { 10 } else { 1 }),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value)?;
    }
    Ok(())
}
