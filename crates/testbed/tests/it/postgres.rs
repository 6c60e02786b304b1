//! A cluster starts quickly, holds the samples, comes back after an outage, and is gone with its process.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use countersign_testbed::{Options, Postgres};

#[test]
fn tenants_see_their_own_rows_alone() {
    let cluster = Postgres::shared();
    for (user, tenant, other) in [("t1", "1", "Globex"), ("t2", "2", "Acme"), ("w1", "1", "Globex")] {
        let login = cluster.shop(user);
        let tenants = cluster.psql_as(&login, "shop", "SELECT DISTINCT tenant_id FROM customers").unwrap();
        assert_eq!(tenants, tenant);
        // What makes another tenant's rows appear where policies read a setting: nothing here.
        let attack = "WITH s AS MATERIALIZED (SELECT set_config('app.tenant_id','3',true)) SELECT name FROM s, customers";
        assert!(!cluster.psql_as(&login, "shop", attack).unwrap().contains(other));
        let member = cluster.psql_as(&login, "shop", "SELECT set_config('role','t2',true)");
        assert_eq!(member.is_ok(), user == "t2", "{member:?}");
    }
    let hidden = cluster.psql_as(&cluster.shop("t1"), "shop", "SELECT password_hash FROM users");
    assert!(hidden.unwrap_err().contains("permission denied"));
    assert_eq!(
        cluster.psql_as(&cluster.shop("shop_owner"), "shop", "SELECT count(*) FROM customers").unwrap(),
        "200"
    );
}

#[test]
fn the_corpus_is_loaded() {
    let cluster = Postgres::shared();
    let login = cluster.corpus("app_reader");
    assert_eq!(cluster.psql_as(&login, "corpus", "SELECT count(*) FROM products").unwrap(), "3");
    let leak = "SELECT set_config('app.tenant_id','2',false); SELECT name FROM customers";
    assert!(cluster.psql_as(&login, "corpus", leak).unwrap().contains("Initech"));
}

#[test]
fn an_outage_ends_connections_and_a_restart_heals() {
    let cluster = Postgres::start();
    let login = cluster.shop("t1");
    let port = cluster.port();
    cluster.stop();
    assert!(cluster.psql_as(&login, "shop", "SELECT 1").is_err());
    cluster.restart();
    assert_eq!(cluster.port(), port);
    assert_eq!(cluster.psql_as(&login, "shop", "SELECT count(*) FROM customers").unwrap(), "100");
    assert_eq!(cluster.connections("t1"), 0);
}

#[test]
fn tcp_needs_tls_where_asked() {
    let cluster = Postgres::start_with(&Options { tls: true, ..Options::default() });
    let psql = |host: &str, mode: &str| {
        let conninfo = format!(
            "host={host} port={} user=postgres dbname=postgres sslmode={mode} sslrootcert={}",
            cluster.port(),
            cluster.ca().display()
        );
        let mut command = Command::new("psql");
        command.args(["-X", "-A", "-t", "-c", "SELECT 1", &conninfo]).stdin(Stdio::null());
        command.env("PGPASSWORD", &cluster.superuser().password).output().unwrap().status.success()
    };
    assert!(psql("127.0.0.1", "verify-full") && psql("localhost", "verify-full"));
    assert!(!psql("127.0.0.1", "disable"));
}

/// Run by the test below, in a process that is killed.
#[test]
fn child_that_is_killed() {
    if std::env::var_os("TESTBED_CHILD").is_none() {
        return;
    }
    let cluster = Postgres::start();
    println!("\nrunning {} {}", cluster.port(), cluster.socket_dir().display());
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn nothing_is_left_when_the_process_is_killed() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "postgres::child_that_is_killed", "--nocapture"])
        .env("TESTBED_CHILD", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines
        .map_while(Result::ok)
        .find(|line| line.starts_with("running 1") || line.contains("countersign-pg-"));
    let line = line.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut words = line.split(' ').skip(1);
    let port: u16 = words.next().unwrap().parse().unwrap();
    let dir = words.next().unwrap();
    let start = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() || std::path::Path::new(dir).exists() {
        assert!(start.elapsed() < Duration::from_secs(10), "the server on {port} outlives its process");
        std::thread::sleep(Duration::from_millis(20));
    }
}
