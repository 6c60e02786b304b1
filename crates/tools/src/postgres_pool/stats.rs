//! How large a relation is, from the server's own counters.

use std::{sync::Arc, time::Duration};

use countersign_sql::{Value, engines::postgres::client::ReadLimits};

use super::{session::engine_error, tenant::Tenant};
use crate::{engine::EngineError, table_stats::TableStats};

/// A table that was never analysed has -1 rows in `pg_class`, which is none here.
const STATS: &str = "SELECT CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END, pg_table_size(c.oid), pg_indexes_size(c.oid),
    to_char(greatest(s.last_analyze, s.last_autoanalyze) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
    to_char(greatest(s.last_vacuum, s.last_autovacuum) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
    FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid WHERE c.oid = $1";

pub(super) async fn stats(tenant: &Arc<Tenant>, oid: u32) -> Result<TableStats, EngineError> {
    let mut lease = tenant.lease().await?;
    let limits = ReadLimits {
        skip: 0,
        rows: 1,
        bytes: 10_000,
        time: Duration::from_secs(5),
        application_name: "countersign/stats",
    };
    let connection = &mut lease.session()?.connection;
    let read = async {
        let prepared = connection.prepare(STATS).await?;
        connection.read(STATS, &prepared, &[Value::Integer(oid.into())], &[], limits).await
    };
    let mut values = read.await.map_err(engine_error)?.values.into_iter();
    let mut number = || match values.next() {
        Some(Value::Integer(n)) => u64::try_from(n).ok(),
        _ => None,
    };
    let (rows, table_bytes, index_bytes) = (number(), number(), number());
    let mut time = || match values.next() {
        Some(Value::Text(time)) => Some(time),
        _ => None,
    };
    Ok(TableStats { rows, table_bytes, index_bytes, last_analyze: time(), last_vacuum: time() })
}
