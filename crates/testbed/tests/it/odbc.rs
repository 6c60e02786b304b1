//! Both drivers load and answer, and they do what makes a guard necessary.

use countersign_testbed::{Driver, Odbc, Postgres};

#[test]
fn postgres_answers_and_runs_stacked_statements() {
    let (cluster, odbc) = (Postgres::shared(), Odbc::new());
    let login = cluster.shop("w1");
    let connection = format!("{}Pwd={};", odbc.postgres(cluster, &login, "shop"), login.password);
    assert_eq!(odbc.isql(&connection, "SELECT count(*) FROM customers").unwrap(), "100");
    let before = cluster.run("shop", "SELECT count(*) FROM orders WHERE status = 'stacked'");
    let attack = "SELECT 1; UPDATE orders SET status = 'stacked' WHERE id = 1";
    odbc.isql(&connection, attack).unwrap();
    let after = cluster.run("shop", "SELECT count(*) FROM orders WHERE status = 'stacked'");
    assert_eq!((before.as_str(), after.as_str()), ("0", "1"));
    let wrong = format!("{}Pwd=wrong;", odbc.postgres(cluster, &login, "shop"));
    assert!(odbc.isql(&wrong, "SELECT 1").is_err());
}

#[test]
fn sqlite_answers_also_as_a_data_source() {
    let odbc = Odbc::new();
    let file = odbc.dir().join("shop.db");
    odbc.isql(&odbc.sqlite(&file), "CREATE TABLE t (a)").unwrap();
    odbc.isql(&odbc.sqlite(&file), "INSERT INTO t VALUES (42)").unwrap();
    odbc.add_source("shop", Driver::Sqlite, &format!("Database={}", file.display()));
    assert_eq!(odbc.isql("DSN=shop;", "SELECT a FROM t").unwrap(), "42");
}
