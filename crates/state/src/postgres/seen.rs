//! What was seen, so that it is not taken a second time.

use super::session::Session;
use crate::{error::StateError, time::time};

pub(super) async fn once(s: &mut Session, key: [u8; 32], now: u64, until: u64) -> Result<bool, StateError> {
    // Rows that somebody else clears away at this moment are passed over, so that nobody waits.
    let sweep = "DELETE FROM seen WHERE key IN (SELECT key FROM seen WHERE until <= $1 LIMIT 64 FOR UPDATE SKIP LOCKED)";
    s.change(sweep, &[&time(now)]).await?;
    // MUTATE(P4-seen-fleet): what another process has seen is taken again
    let sql = "INSERT INTO seen (key, until) VALUES ($1, $3) ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE seen.until <= $2";
    Ok(s.change(sql, &[&key.as_slice(), &time(now), &time(until)]).await? == 1)
}
