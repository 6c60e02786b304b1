//! Operators' keys.

use super::session::{Session, get};
use crate::{
    error::StateError,
    store::KeyRow,
    time::{micros, time},
};

pub(super) async fn enroll(s: &mut Session, key: &KeyRow) -> Result<bool, StateError> {
    // Indexes see to it that a person has one key and a key one person.
    let sql = "INSERT INTO operator_keys (id, name, subjects, tenant, public, enrolled, revoked, seal) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT DO NOTHING";
    let (subjects, enrolled, revoked) = (key.subjects.join("\n"), time(key.enrolled), key.revoked.map(time));
    let public = key.public.as_slice();
    let added = s
        .change(sql, &[&key.id, &key.name, &subjects, &key.tenant, &public, &enrolled, &revoked, &key.seal])
        .await?;
    Ok(added == 1)
}

pub(super) async fn revoke(s: &mut Session, key: &KeyRow) -> Result<(), StateError> {
    let sql = "UPDATE operator_keys SET revoked = $2, seal = $3 WHERE id = $1";
    match s.change(sql, &[&key.id, &key.revoked.map(time), &key.seal]).await? {
        1 => Ok(()),
        _ => Err(StateError::Refused(format!("no key has the id `{}`", key.id))),
    }
}

pub(super) async fn all(s: &mut Session) -> Result<Vec<KeyRow>, StateError> {
    let sql = "SELECT id, name, subjects, tenant, public, enrolled, revoked, seal FROM operator_keys ORDER BY enrolled, id";
    let rows = s.rows(sql, &[]).await?;
    let key = |row: &tokio_postgres::Row| {
        let public: &[u8] = get(row, 4)?;
        Ok(KeyRow {
            id: get(row, 0)?,
            name: get(row, 1)?,
            subjects: get::<&str>(row, 2)?.lines().map(str::to_owned).collect(),
            tenant: get(row, 3)?,
            public: public
                .try_into()
                .map_err(|_| StateError::Damaged("a key has the wrong length".into()))?,
            enrolled: micros(get(row, 5)?),
            revoked: get::<Option<i64>>(row, 6)?.map(micros),
            seal: get(row, 7)?,
        })
    };
    rows.iter().map(key).collect()
}
