//! What the schema holds, read anew whenever the schema's version changes.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Result, Statement};

use super::{Database, errors, fold};
use crate::{Refusal, TableKind};

/// The schema at one version.
#[derive(Default, Debug)]
pub(super) struct Catalog {
    /// SQLite's schema cookie; none before the first look.
    pub(super) version: Option<i64>,
    /// Tables, views and virtual tables, by folded name.
    pub(super) tables: BTreeMap<String, Table>,
    /// Names of the built-in virtual tables.
    pub(super) modules: BTreeSet<String>,
    /// Definitions of triggers, folded, by folded name.
    pub(super) triggers: BTreeMap<String, String>,
}

/// A table, view or virtual table.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name as defined.
    pub(super) name: String,
    /// What it is.
    pub(super) kind: TableKind,
    /// Whether it holds the content of a virtual table.
    pub(super) shadow: bool,
    /// Its definition, folded.
    pub(super) definition: String,
    /// Its columns, folded, hidden ones too; none if SQLite cannot tell.
    pub(super) columns: Vec<Column>,
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    /// Its name, folded.
    pub(super) name: String,
    /// Whether it is computed from other columns of its row.
    pub(super) generated: bool,
}

impl Catalog {
    /// Reads the schema if it is not the one known. Returns whether it had changed.
    pub(super) fn refresh<'db>(
        &mut self,
        database: &'db Database,
        cookie: &mut Cookie<'db>,
    ) -> std::result::Result<bool, Refusal> {
        let failed = |error: rusqlite::Error| {
            let refusal = errors::running(&error);
            match database.gate.stopped() {
                Some(rule) => Refusal { rule, ..refusal },
                None => refusal,
            }
        };
        let version = cookie.read(&database.connection).map_err(failed)?;
        if self.version == Some(version) {
            return Ok(false);
        }
        *self = Catalog::read(&database.connection, cookie).map_err(failed)?;
        Ok(true)
    }

    fn read<'db>(connection: &'db Connection, cookie: &mut Cookie<'db>) -> Result<Catalog> {
        // A read of the schema table makes SQLite notice that another process changed it.
        let () = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let version = cookie.read(connection)?;
        let modules = names(connection, "SELECT name FROM pragma_module_list")?;
        warm(connection);
        let shadows = names(
            connection,
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'",
        )?;
        let mut statement = connection
            .prepare("SELECT name, type, sql FROM sqlite_schema WHERE type IN ('table', 'view')")?;
        let mut rows = statement.query([])?;
        let mut tables = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let (name, kind): (String, String) = (row.get(0)?, row.get(1)?);
            let definition = row.get::<_, Option<String>>(2)?.unwrap_or_default().to_ascii_lowercase();
            let kind = match kind.as_str() {
                "view" => TableKind::View,
                _ if definition.starts_with("create virtual table") => TableKind::Virtual,
                _ => TableKind::Table,
            };
            if kind == TableKind::Virtual {
                // Connects it now: SQLite would do so while a caller's statement is prepared, and report our reads as theirs. One whose
                // module is missing stays unusable.
                let quoted = name.replace('"', "\"\"");
                let _ = connection.prepare(&format!("SELECT * FROM \"{quoted}\""));
            }
            let folded = fold(&name);
            let shadow = shadows.contains(&folded);
            let columns = columns(connection, &name).unwrap_or_default();
            tables.insert(folded, Table { name, kind, shadow, definition, columns });
        }
        let triggers = triggers(connection)?;
        Ok(Catalog { version: Some(version), tables, modules, triggers })
    }
}

/// Asks for SQLite's schema cookie, as the database file holds it now.
#[derive(Default)]
pub(super) struct Cookie<'db> {
    statement: Option<Statement<'db>>,
}

impl<'db> Cookie<'db> {
    pub(super) fn read(&mut self, connection: &'db Connection) -> Result<i64> {
        let statement = match &mut self.statement {
            Some(statement) => statement,
            none => none.insert(connection.prepare("PRAGMA schema_version")?),
        };
        statement.query_row([], |row| row.get(0))
    }
}

/// The columns of a table or view.
fn columns(connection: &Connection, table: &str) -> Result<Vec<Column>> {
    let mut statement = connection.prepare("SELECT name, hidden FROM pragma_table_xinfo(?1)")?;
    let columns = statement.query_map([table], |row| {
        let (name, hidden): (String, i64) = (row.get(0)?, row.get(1)?);
        Ok(Column { name: name.to_ascii_lowercase(), generated: hidden == 2 || hidden == 3 })
    })?;
    columns.collect()
}

fn triggers(connection: &Connection) -> Result<BTreeMap<String, String>> {
    let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")?;
    let rows = statement.query_map([], |row| {
        let (name, sql): (String, Option<String>) = (row.get(0)?, row.get(1)?);
        Ok((fold(&name), sql.unwrap_or_default().to_ascii_lowercase()))
    })?;
    rows.collect()
}

fn names(connection: &Connection, sql: &str) -> Result<BTreeSet<String>> {
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    names.map(|name| Ok(fold(&name?))).collect()
}

/// Virtual tables that need no definition and read only their arguments.
pub(super) const PURE_MODULES: [&str; 4] = ["json_each", "json_tree", "jsonb_each", "jsonb_tree"];

/// Connects the pure virtual tables: SQLite does so at the first use, which the authorizer would take for a change of the schema.
fn warm(connection: &Connection) {
    for module in PURE_MODULES {
        // A build without it refuses statements that name it.
        let _ = connection.prepare(&format!("SELECT * FROM {module}('[]')"));
    }
}
