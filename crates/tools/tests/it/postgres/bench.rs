//! What a call costs next to `tokio-postgres` on the same server: `cargo test -- --nocapture cost_of_rows` prints it.
//!
//! The other side fetches rows and decodes none of their values, ours decodes all; without optimisation that is most of the difference. What a
//! whole call costs, in a release build and next to other servers, is for `cargo xtask bench sql` to say.

use std::time::Instant;

use super::*;

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn cost_of_rows() {
    let cluster = Postgres::start();
    let t1 = cluster.shop("t1");
    cluster.run(
        "shop",
        "CREATE TABLE wide AS SELECT n AS id, 'Customer ' || n AS name, 'c' || n || '@example.test' AS email, 'Athens' AS city, n * 1.25 AS balance,
         timestamptz '2026-01-01' + n * interval '1 minute' AS at, n % 2 = 0 AS active FROM generate_series(1, 20000) n;
         ALTER TABLE wide ADD PRIMARY KEY (id); GRANT SELECT ON wide TO t1, t2; ANALYZE wide",
    );
    let pool = start(shop(&cluster)).await;
    let mut config = tokio_postgres::Config::new();
    config.user(&t1.user).password(&t1.password).dbname("shop").host("127.0.0.1").port(cluster.port());
    let (raw, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    println!("rows     raw tokio-postgres  engine  (median; debug build unless --release)");
    for (rows, times) in [(1, 400), (100, 200), (10_000, 20)] {
        let sql = "SELECT * FROM wide WHERE id <= $1";
        let prepared = raw.prepare(sql).await.unwrap();
        let granted = pool.prepare(of("1"), Purpose::Read, sql).await.unwrap().accesses;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..times {
            let started = Instant::now();
            let got = raw.query(&prepared, &[&rows]).await.unwrap();
            theirs.push(started.elapsed());
            assert_eq!(got.len(), rows as usize);
            let run = Run {
                sql: sql.into(),
                params: vec![Value::Integer(rows.into())],
                granted: granted.clone(),
                masked: Default::default(),
                limits: WIDE,
            };
            let started = Instant::now();
            let got = pool.run(of("1"), run).await.unwrap();
            ours.push(started.elapsed());
            assert_eq!(got.values.len(), rows as usize * 7);
        }
        println!("{rows:<7} {:>18?}  {:>8?}", median(&mut theirs), median(&mut ours));
    }
}
