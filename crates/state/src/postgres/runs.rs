//! Runs and their labels. Each step is one statement.

use countersign_core::Label;

use super::session::{Session, get};
use crate::{
    error::StateError,
    runs::{NOTED, label, ranks},
    time::time,
};

pub(super) async fn of(
    s: &mut Session,
    holder: [u8; 32],
    fresh: &str,
    now: u64,
    since: u64,
) -> Result<String, StateError> {
    let sql = "INSERT INTO holders AS h (holder, run, used) VALUES ($1, $2, $3) ON CONFLICT (holder) DO UPDATE SET
        run = CASE WHEN h.used < $4 THEN excluded.run ELSE h.run END, used = greatest(h.used, excluded.used) RETURNING run";
    let rows = s.rows(sql, &[&holder.as_slice(), &fresh, &time(now), &time(since)]).await?;
    get(rows.first().ok_or(StateError::Lost)?, 0)
}

pub(super) async fn read(s: &mut Session, run: [u8; 32], now: u64) -> Result<Label, StateError> {
    // MUTATE(P4-noted-fleet): a run that goes on is forgotten, with what it has read
    let sql = "WITH noted AS (UPDATE labels SET used = $2 WHERE run = $1 AND used < $3)
        SELECT integrity, confidentiality FROM labels WHERE run = $1";
    let noted = time(now.saturating_sub(NOTED));
    let rows = s.rows(sql, &[&run.as_slice(), &time(now), &noted]).await?;
    rows.first().map_or(Ok(Label::default()), |row| label([get(row, 0)?, get(row, 1)?]))
}

pub(super) async fn join(s: &mut Session, run: [u8; 32], with: Label, now: u64) -> Result<Label, StateError> {
    let [integrity, confidentiality] = ranks(with);
    // MUTATE(P4-rises-fleet): the last answer decides what a run has read
    let sql = "INSERT INTO labels AS l (run, integrity, confidentiality, used) VALUES ($1, $2, $3, $4) ON CONFLICT (run) DO UPDATE SET
        integrity = greatest(l.integrity, excluded.integrity), confidentiality = greatest(l.confidentiality, excluded.confidentiality),
        used = greatest(l.used, excluded.used) RETURNING integrity, confidentiality";
    let rows = s.rows(sql, &[&run.as_slice(), &integrity, &confidentiality, &time(now)]).await?;
    let row = rows.first().ok_or(StateError::Lost)?;
    label([get(row, 0)?, get(row, 1)?])
}

pub(super) async fn forget(s: &mut Session, before: u64) -> Result<(), StateError> {
    s.change("DELETE FROM holders WHERE used < $1", &[&time(before)]).await?;
    s.change("DELETE FROM labels WHERE used < $1", &[&time(before)]).await?;
    Ok(())
}
