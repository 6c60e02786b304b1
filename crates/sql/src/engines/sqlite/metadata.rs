//! What a caller may learn about the schema by asking: names and columns, not SQLite's own tables nor those beneath virtual tables.

use super::{
    Database,
    catalog::{Catalog, Table},
    errors, fold,
    prepare::stopped,
};
use crate::{ColumnDetail, ForeignKey, Refusal, Rule, TableDetail, TableEstimate, TableInfo};

pub(super) fn tables(catalog: &Catalog) -> Vec<TableInfo> {
    let listed = catalog.tables.iter().filter(|(name, table)| is_listed(name, table));
    listed.map(|(_, table)| TableInfo { name: table.name.clone(), kind: table.kind }).collect()
}

pub(super) fn describe(database: &Database, catalog: &Catalog, name: &str) -> Result<TableDetail, Refusal> {
    let table = listed(catalog, name)?;
    detail(database, table).map_err(|error| stopped(errors::running(&error), database.gate.stopped()))
}

/// What `ANALYZE` left: the first number of each line about a table is the number of its rows.
pub(super) fn estimate(database: &Database, catalog: &Catalog, name: &str) -> Result<TableEstimate, Refusal> {
    let table = listed(catalog, name)?;
    let analysed = || -> rusqlite::Result<Option<u64>> {
        // The table is there once `ANALYZE` has run.
        let kept = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'";
        if database.connection.query_row(kept, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(None);
        }
        let mut lines =
            database.connection.prepare("SELECT stat FROM sqlite_stat1 WHERE tbl = ?1 COLLATE NOCASE")?;
        let lines = lines.query_map([&table.name], |row| row.get::<_, Option<String>>(0))?;
        let lines: Vec<Option<String>> = lines.collect::<Result<_, _>>()?;
        let rows = |line: &String| line.split_ascii_whitespace().next().and_then(|first| first.parse().ok());
        // An index over some of the rows tells only of these.
        Ok(lines.iter().flatten().filter_map(rows).max())
    };
    let rows = analysed().map_err(|error| stopped(errors::running(&error), database.gate.stopped()))?;
    Ok(TableEstimate { name: table.name.clone(), rows })
}

fn listed<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c Table, Refusal> {
    let found = catalog.tables.get_key_value(&fold(name)).filter(|(folded, table)| is_listed(folded, table));
    let (_, table) = found.ok_or_else(|| Refusal::new(Rule::UnknownTable, "no such table or view"))?;
    Ok(table)
}

fn is_listed(folded: &str, table: &Table) -> bool {
    !table.shadow && !folded.starts_with("sqlite_")
}

fn detail(database: &Database, table: &Table) -> rusqlite::Result<TableDetail> {
    let connection = &database.connection;
    // `hidden` 1 marks the hidden columns of virtual tables; 2 and 3 are generated columns.
    let mut statement = connection
        .prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo(?1) WHERE hidden <> 1")?;
    let columns = statement.query_map([&table.name], |row| {
        Ok(ColumnDetail {
            name: row.get(0)?,
            decl_type: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
            nullable: !row.get::<_, bool>(2)?,
            primary_key: row.get(3)?,
        })
    })?;
    let columns = columns.collect::<Result<_, _>>()?;
    let mut statement = connection.prepare(
        "SELECT \"from\", \"table\", \"to\" FROM pragma_foreign_key_list(?1) ORDER BY id DESC, seq",
    )?;
    let foreign_keys = statement.query_map([&table.name], |row| {
        Ok(ForeignKey { column: row.get(0)?, table: row.get(1)?, references: row.get(2)? })
    })?;
    let foreign_keys = foreign_keys.collect::<Result<_, _>>()?;
    Ok(TableDetail { name: table.name.clone(), kind: table.kind, columns, foreign_keys })
}
