//! Operators' keys.

use rusqlite::{Transaction, params};

use super::{micros, time};
use crate::{error::StateError, store::KeyRow};

pub(super) fn enroll(t: &Transaction<'_>, key: &KeyRow) -> Result<bool, StateError> {
    let taken: bool = t.query_row(
        "SELECT EXISTS (SELECT 1 FROM operator_keys WHERE public = ?1 OR (name = ?2 COLLATE NOCASE AND revoked IS NULL))",
        params![key.public, key.name],
        |row| row.get(0),
    )?;
    if taken {
        return Ok(false);
    }
    t.execute(
        "INSERT INTO operator_keys (id, name, subjects, tenant, public, enrolled, revoked, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            key.id,
            key.name,
            key.subjects.join("\n"),
            key.tenant,
            key.public,
            time(key.enrolled),
            key.revoked.map(time),
            key.seal
        ],
    )?;
    Ok(true)
}

pub(super) fn revoke(t: &Transaction<'_>, key: &KeyRow) -> Result<(), StateError> {
    let sql = "UPDATE operator_keys SET revoked = ?2, seal = ?3 WHERE id = ?1";
    match t.execute(sql, params![key.id, key.revoked.map(time), key.seal])? {
        1 => Ok(()),
        _ => Err(StateError::Refused(format!("no key has the id `{}`", key.id))),
    }
}

pub(super) fn all(t: &Transaction<'_>) -> Result<Vec<KeyRow>, StateError> {
    let sql = "SELECT id, name, subjects, tenant, public, enrolled, revoked, seal FROM operator_keys ORDER BY enrolled, id";
    let mut statement = t.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let subjects: String = row.get(2)?;
        Ok(KeyRow {
            id: row.get(0)?,
            name: row.get(1)?,
            subjects: subjects.lines().map(str::to_owned).collect(),
            tenant: row.get(3)?,
            public: row.get(4)?,
            enrolled: micros(row.get(5)?),
            revoked: row.get::<_, Option<i64>>(6)?.map(micros),
            seal: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
