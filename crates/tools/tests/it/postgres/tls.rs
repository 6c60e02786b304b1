//! TLS: the right authority and name, or no connection.

use countersign_egress::AddressPolicy;
use countersign_testbed::Options;
use countersign_tools::PostgresTls;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_server_proves_who_it_is() {
    let cluster = Postgres::start_with(&Options { tls: true, ..Options::default() });
    let verified = |authorities, name: Option<&str>| PostgresConfig {
        tls: PostgresTls::Verified { authorities, server_name: name.map(str::to_owned) },
        ..shop(&cluster)
    };
    let pool = start(verified(Some(cluster.ca()), None)).await;
    assert_eq!(ask(&pool, "1", "SELECT 1").await.unwrap().values, [Value::Integer(1)]);
    assert!(pool.inspect().await.unwrap().iter().all(|report| report.tls));
    let named = start(verified(Some(cluster.ca()), Some("localhost"))).await;
    assert!(ask(&named, "1", "SELECT 1").await.is_ok());
    let wrong_name = start(verified(Some(cluster.ca()), Some("db.example.com"))).await;
    assert!(matches!(ask(&wrong_name, "1", "SELECT 1").await, Err(EngineError::Unreachable(_))));
    let other = Postgres::start_with(&Options { tls: true, ..Options::default() });
    let wrong_authority = start(verified(Some(other.ca()), None)).await;
    assert!(matches!(ask(&wrong_authority, "1", "SELECT 1").await, Err(EngineError::Unreachable(_))));
    assert!(PostgresPool::start(verified(Some("/nonexistent.pem".into()), None)).await.is_err());
    // This server takes no connection in the clear, and one that has no TLS is not spoken to where TLS is asked for.
    assert!(ask(&*start(shop(&cluster)).await, "1", "SELECT 1").await.is_err());
    let clear = Postgres::shared();
    let config = PostgresConfig {
        tls: PostgresTls::Verified { authorities: Some(cluster.ca()), server_name: None },
        ..shop(clear)
    };
    let refused = ask(&*start(config).await, "1", "SELECT 1").await;
    assert!(matches!(refused, Err(EngineError::Unreachable(cause)) if cause.contains("no TLS")));
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_addresses_are_not_dialled() {
    let cluster = Postgres::shared();
    let pool = start(PostgresConfig { addresses: AddressPolicy::public_only(), ..shop(cluster) }).await;
    let refused = ask(&pool, "1", "SELECT 1").await;
    assert!(matches!(refused, Err(EngineError::Unreachable(cause)) if cause.contains("may not be dialled")));
    let socket = cluster.socket_dir().join(format!(".s.PGSQL.{}", cluster.port()));
    let pool = start(PostgresConfig { endpoint: Endpoint::Unix(socket), ..shop(cluster) }).await;
    assert_eq!(ask(&pool, "1", "SELECT 1").await.unwrap().values, [Value::Integer(1)]);
}
