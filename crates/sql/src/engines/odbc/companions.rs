//! What acts beside a write over ODBC: where it cannot be found out, or where something does, nothing is tried out beforehand.
//!
//! A rehearsal is a write that is rolled back, so it is only for sources whose transactions are known to hold all that a statement does:
//! PostgreSQL and SQLite, on ordinary tables without triggers, rules and foreign keys that follow. Of MySQL, SQL Server, Oracle and sources
//! of no known dialect it cannot be told by the means of ODBC that every table is transactional and no trigger acts outside.

use odbc_api::{Connection, Cursor, IntoParameter};

use super::errors;
use crate::{Access, Action, Dialect, Object, Refusal};

/// The kind of a relation, and the numbers of its triggers and rules and of foreign keys that follow its changes.
const POSTGRES: &str = "
SELECT CASE WHEN c.relkind = 'r' AND NOT c.relhassubclass THEN 0 ELSE 1 END,
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger t
     WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D')
  + (SELECT pg_catalog.count(*) FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1'),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_constraint f
     WHERE f.confrelid = c.oid AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd')))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE pg_catalog.lower(n.nspname || '.' || c.relname) = ?";

const SQLITE: &str = "
SELECT CASE WHEN upper(m.sql) LIKE 'CREATE VIRTUAL%' OR m.type <> 'table' THEN 1 ELSE 0 END,
  (SELECT count(*) FROM sqlite_master t WHERE t.type = 'trigger' AND lower(t.tbl_name) = lower(m.name)),
  (SELECT count(*) FROM sqlite_master o JOIN pragma_foreign_key_list(o.name) f
     WHERE o.type = 'table' AND lower(f.\"table\") = lower(m.name)
       AND (f.on_delete NOT IN ('NO ACTION', 'RESTRICT') OR f.on_update NOT IN ('NO ACTION', 'RESTRICT')))
FROM sqlite_master m WHERE lower(m.name) = ?";

/// Why the effect of a write cannot be tried out; empty if it can.
///
/// # Errors
/// If the source does not say.
pub(super) fn beyond<'a>(
    connection: &Connection<'_>,
    dialect: Dialect,
    accesses: impl IntoIterator<Item = &'a Access>,
) -> Result<Vec<String>, Refusal> {
    let question = match dialect {
        Dialect::Postgres => POSTGRES,
        Dialect::Sqlite => SQLITE,
        Dialect::Ansi | Dialect::Mssql | Dialect::Mysql | Dialect::Oracle => {
            return Ok(vec![
                "the effect was not tried out: over ODBC it is not known whether this source undoes all of a write"
                    .to_owned(),
            ]);
        }
    };
    let mut warnings = Vec::new();
    for access in accesses {
        let (Action::Write, Object::Table { table }) = (access.action, &access.object) else { continue };
        // MUTATE(A17-odbc-companions): triggers act unseen while a write is tried out
        match counts(connection, question, table)? {
            Some([0, 0, 0]) => {}
            Some([0, triggers, follow]) => {
                let what = match (triggers, follow) {
                    (0, _) => "foreign keys may change rows of other tables as well",
                    _ => "triggers or rules act as well, on what is not known here",
                };
                warnings.push(format!("`{table}`: {what}"));
            }
            _ => warnings.push(format!(
                "`{table}` is not an ordinary table: where its rows are kept is not known here"
            )),
        }
    }
    if !warnings.is_empty() {
        warnings.push("the effect was not tried out".to_owned());
    }
    Ok(warnings)
}

/// The three numbers of a table; none if there is not exactly one of its name.
fn counts(connection: &Connection<'_>, question: &str, table: &str) -> Result<Option<[i64; 3]>, Refusal> {
    let failed = |error: odbc_api::Error| errors::running(&error);
    let parameter = table.to_owned().into_parameter();
    let Some(mut cursor) = connection.execute(question, &parameter, None).map_err(failed)? else {
        return Ok(None);
    };
    let mut found = None;
    while let Some(mut row) = cursor.next_row().map_err(failed)? {
        if found.is_some() {
            return Ok(None);
        }
        let mut numbers = [0; 3];
        for (number, column) in numbers.iter_mut().zip(1u16..) {
            let mut units = Vec::new();
            row.get_wide_text(column, &mut units).map_err(failed)?;
            // What is no number is as good as one too many.
            *number = String::from_utf16_lossy(&units).trim().parse().unwrap_or(i64::MAX);
        }
        found = Some(numbers);
    }
    Ok(found)
}
