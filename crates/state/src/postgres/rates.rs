//! Rates that processes share, by the clock of the server: no two processes agree as well with each other as with it.

use countersign_core::limits::{Lease, Rate};

use super::session::{Session, get};
use crate::{
    error::StateError,
    time::{micros, time},
};

/// One statement, decided under the lock of the row: [`Rate::lease`] in the server's words. `asked` and `granted` are what the
/// last one asked when and got.
const LEASE: &str = "
INSERT INTO rates AS r (key, arrival, asked, granted)
SELECT $1, n.now + least($4::BIGINT, $3::BIGINT / $2::BIGINT + 1) * $2::BIGINT, n.now, least($4::BIGINT, $3::BIGINT / $2::BIGINT + 1)
FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT AS now) n
ON CONFLICT (key) DO UPDATE SET asked = excluded.asked,
    granted = CASE WHEN greatest(r.arrival, excluded.asked) > excluded.asked + $3::BIGINT THEN 0
        ELSE least($4::BIGINT, (excluded.asked + $3::BIGINT - greatest(r.arrival, excluded.asked)) / $2::BIGINT + 1) END,
    arrival = CASE WHEN greatest(r.arrival, excluded.asked) > excluded.asked + $3::BIGINT THEN r.arrival
        ELSE greatest(r.arrival, excluded.asked)
            + least($4::BIGINT, (excluded.asked + $3::BIGINT - greatest(r.arrival, excluded.asked)) / $2::BIGINT + 1) * $2::BIGINT END
RETURNING granted, arrival - asked - $3::BIGINT";

pub(super) async fn lease(
    s: &mut Session,
    key: [u8; 32],
    rate: Rate,
    want: u32,
) -> Result<Lease, StateError> {
    let (interval, tolerance) = (time(rate.interval()), time(rate.tolerance()));
    let want = i64::from(want.max(1));
    let rows = s.rows(LEASE, &[&key.as_slice(), &interval, &tolerance, &want]).await?;
    let row = rows.first().ok_or(StateError::Lost)?;
    let (granted, wait): (i64, i64) = (get(row, 0)?, get(row, 1)?);
    Ok(match u32::try_from(granted) {
        Ok(granted) if granted > 0 => Lease::Granted(granted),
        _ => Lease::Wait(micros(wait)),
    })
}

pub(super) async fn forget(s: &mut Session, before: u64) -> Result<(), StateError> {
    s.change("DELETE FROM rates WHERE arrival < $1", &[&time(before)]).await?;
    Ok(())
}
