//! The source's tables and views as its driver lists them, and their columns, read when they are first needed.
//!
//! A name in a statement means the one listed table whose full name ends with it. INVARIANT: one that could mean two is refused, be it
//! by schema or by the case of its letters.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use odbc_api::{Connection, Cursor, CursorRow};

use super::{
    errors,
    guard::{self, Found},
};
use crate::{ColumnDetail, Dialect, Refusal, Rule, TableDetail, TableInfo, TableKind};

/// How long a list is believed.
const FRESH: Duration = Duration::from_secs(30);
/// How soon a list is read again for a table that is not on it.
const RETRY: Duration = Duration::from_secs(2);
/// Tables and columns of a table that are listed at most.
const MOST: usize = 20_000;

/// What is known of the source.
#[derive(Default)]
pub(super) struct Catalog {
    read: Option<Instant>,
    tables: Vec<Entry>,
    /// Names of relations of other kinds, folded: nothing is known of them, but a statement could mean them.
    others: Vec<Vec<String>>,
    /// Columns by the table's position.
    columns: HashMap<usize, Described>,
}

struct Entry {
    /// Catalog, schema and name as the driver gives them; the first two may be empty.
    name: [String; 3],
    /// The parts that are there, folded.
    parts: Vec<String>,
    /// Its name in policies and records: without the database in PostgreSQL.
    public: String,
    kind: TableKind,
}

struct Described {
    table: guard::Table,
    details: Vec<ColumnDetail>,
}

impl Catalog {
    /// Whether it is too old to be believed.
    pub(super) fn is_stale(&self) -> bool {
        self.read.is_none_or(|read| read.elapsed() > FRESH)
    }

    /// Reads the list if it is too old.
    pub(super) fn refresh(&mut self, connection: &Connection<'_>, dialect: Dialect) -> Result<(), Refusal> {
        if self.is_stale() { self.reload(connection, dialect) } else { Ok(()) }
    }

    /// Reads what a statement needs: the list, and the columns of its tables.
    pub(super) fn load(
        &mut self,
        connection: &Connection<'_>,
        dialect: Dialect,
        found: &Found,
    ) -> Result<(), Refusal> {
        self.refresh(connection, dialect)?;
        let missing = found.tables.iter().any(|named| matches!(self.position(&named.parts), Ok(None)));
        if missing && self.read.is_none_or(|read| read.elapsed() > RETRY) {
            self.reload(connection, dialect)?;
        }
        for named in &found.tables {
            if let Some(position) = self.position(&named.parts)? {
                self.described(connection, position)?;
            }
        }
        Ok(())
    }

    /// A table whose columns are loaded.
    pub(super) fn look_up(&self, parts: &[String]) -> Result<Option<&guard::Table>, Refusal> {
        let position = self.position(parts)?;
        Ok(position.and_then(|position| self.columns.get(&position)).map(|described| &described.table))
    }

    /// The columns of such a table in the order of the driver's list, folded.
    pub(super) fn ordered(&self, parts: &[String]) -> Option<Vec<String>> {
        let described = self.columns.get(&self.position(parts).ok()??)?;
        Some(described.details.iter().map(|column| column.name.to_ascii_lowercase()).collect())
    }

    pub(super) fn tables(&self) -> Vec<TableInfo> {
        let info = |entry: &Entry| TableInfo { name: entry.public.clone(), kind: entry.kind };
        let mut tables: Vec<_> = self.tables.iter().map(info).collect();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        tables
    }

    pub(super) fn describe(
        &mut self,
        connection: &Connection<'_>,
        table: &str,
    ) -> Result<TableDetail, Refusal> {
        let parts: Vec<_> = table.split('.').map(str::to_ascii_lowercase).collect();
        let unknown = || Refusal::new(Rule::UnknownTable, "no such table or view");
        let position = self.position(&parts)?.ok_or_else(unknown)?;
        let columns = self.described(connection, position)?.details.clone();
        let entry = self.tables.get(position).ok_or_else(unknown)?;
        Ok(TableDetail { name: entry.public.clone(), kind: entry.kind, columns, foreign_keys: Vec::new() })
    }

    /// The one table that a name means.
    fn position(&self, parts: &[String]) -> Result<Option<usize>, Refusal> {
        let mut meant = self.tables.iter().enumerate().filter(|(_, entry)| entry.parts.ends_with(parts));
        // MUTATE(A8-odbc-other-kinds): the guard judges a table, and the source reads a relation of its name
        let other = self.others.iter().any(|other| other.ends_with(parts));
        match (meant.next(), meant.next()) {
            (None, _) => Ok(None),
            (Some((position, _)), None) if !other => Ok(Some(position)),
            (Some(_), _) => Err(Refusal::new(
                Rule::UnknownName,
                "a table's name is that of several tables: write it with its schema",
            )),
        }
    }

    fn reload(&mut self, connection: &Connection<'_>, dialect: Dialect) -> Result<(), Refusal> {
        let statement = connection.preallocate().map_err(|error| errors::running(&error))?;
        let mut cursor =
            statement.into_tables_cursor("", "%", "%", "").map_err(|error| errors::running(&error))?;
        let mut read = Catalog { read: Some(Instant::now()), ..Catalog::default() };
        while let Some(mut row) = cursor.next_row().map_err(|error| errors::running(&error))? {
            let name = [text(&mut row, 1)?, text(&mut row, 2)?, text(&mut row, 3)?];
            read.add(dialect, name, &text(&mut row, 4)?)?;
        }
        *self = read;
        Ok(())
    }

    /// Takes in a relation of the driver's list.
    fn add(&mut self, dialect: Dialect, name: [String; 3], of: &str) -> Result<(), Refusal> {
        // A dot in a name would make it another's.
        if name.iter().any(|part| part.contains('.')) || name[2].is_empty() {
            return Ok(());
        }
        let parts: Vec<_> =
            name.iter().filter(|part| !part.is_empty()).map(|part| part.to_ascii_lowercase()).collect();
        if guard::is_system(dialect, &parts) {
            return Ok(());
        }
        if self.tables.len().max(self.others.len()) >= MOST {
            return Err(Refusal::new(Rule::TooComplex, "the source lists more tables than can be handled"));
        }
        let Some(kind) = kind(of) else {
            self.others.push(parts);
            return Ok(());
        };
        // INVARIANT: a table's public name depends on nothing but the table: PostgreSQL's queries cannot leave their database.
        let local = usize::from(dialect == Dialect::Postgres && parts.len() == 3);
        let public = parts.iter().skip(local).map(String::as_str).collect::<Vec<_>>().join(".");
        self.tables.push(Entry { name, parts, public, kind });
        Ok(())
    }

    fn described(&mut self, connection: &Connection<'_>, position: usize) -> Result<&Described, Refusal> {
        let Some(entry) = self.tables.get(position) else {
            return Err(Refusal::new(Rule::UnknownTable, "no such table or view"));
        };
        match self.columns.entry(position) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                Ok(vacant.insert(columns(connection, entry)?))
            }
        }
    }
}

fn columns(connection: &Connection<'_>, entry: &Entry) -> Result<Described, Refusal> {
    let [catalog, schema, name] = &entry.name;
    let statement = connection.preallocate().map_err(|error| errors::running(&error))?;
    let mut cursor =
        statement.into_columns_cursor(catalog, schema, name, "%").map_err(|error| errors::running(&error))?;
    let mut details = Vec::new();
    while let Some(mut row) = cursor.next_row().map_err(|error| errors::running(&error))? {
        let of = [text(&mut row, 1)?, text(&mut row, 2)?, text(&mut row, 3)?];
        let column = text(&mut row, 4)?;
        let decl_type = text(&mut row, 6)?;
        let nullable = text(&mut row, 11)? != "0";
        // The name is a pattern to the driver: `_` in it means any character.
        if of != entry.name {
            continue;
        }
        if details.len() >= MOST {
            return Err(Refusal::new(Rule::TooComplex, "a table has more columns than can be handled"));
        }
        details.push(ColumnDetail { name: column, decl_type, nullable, primary_key: 0 });
    }
    let columns: BTreeSet<String> =
        details.iter().map(|column: &ColumnDetail| column.name.to_ascii_lowercase()).collect();
    // INVARIANT: a table without columns would have none to protect.
    if columns.is_empty() {
        return Err(Refusal::new(Rule::UnknownTable, "the driver does not tell a table's columns"));
    }
    Ok(Described { table: guard::Table { name: entry.public.clone(), columns }, details })
}

fn kind(name: &str) -> Option<TableKind> {
    match name.to_ascii_uppercase().as_str() {
        "TABLE" | "BASE TABLE" | "FOREIGN TABLE" | "PARTITIONED TABLE" | "ALIAS" | "SYNONYM" => {
            Some(TableKind::Table)
        }
        "VIEW" | "MATERIALIZED VIEW" | "MATVIEW" => Some(TableKind::View),
        _ => None,
    }
}

/// A text of a driver's list; empty for none.
fn text(row: &mut CursorRow<'_>, column: u16) -> Result<String, Refusal> {
    let mut units = Vec::new();
    row.get_wide_text(column, &mut units).map_err(|error| errors::running(&error))?;
    Ok(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests;
