//! PostgreSQL behind the whole server: two tenants with a login each, hundreds of callers at once, attacks that work without a guard,
//! an outage in the middle of a query, and no connection that is left behind.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::{Duration, Instant},
};

use countersign_testbed::Postgres;
use serde_json::{Value, json};

use crate::world::*;

/// 300 million combinations: half a minute for the server.
const SLOW: &str =
    "SELECT count(*) FROM customers a CROSS JOIN customers b CROSS JOIN customers c CROSS JOIN orders d";

/// A world with the database `pg`: ann's tenant logs in as t1, bob's as t2.
fn world(cluster: &Postgres, settings: &str) -> World {
    let logins = [("acme", cluster.shop("t1")), ("globex", cluster.shop("t2"))];
    let mut extra = format!(
        "[limits]\nconcurrent_principal = 1000\nconcurrent_server = 1000\n\
         [databases.pg]\nurl = \"postgres://127.0.0.1:{}/shop\"\n{settings}\n",
        cluster.port()
    );
    for (tenant, login) in &logins {
        extra.push_str(&format!(
            "[databases.pg.tenants.{tenant}]\nuser = \"{0}\"\npassword = \"file:{0}.password\"\n",
            login.user
        ));
    }
    World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        for (_, login) in &logins {
            let file = dir.join(format!("{}.password", login.user));
            std::fs::write(file, &login.password).unwrap();
        }
    })
}

fn ask(client: &mut Client, sql: &str) -> Value {
    client.call("query_pg", json!({"query": sql}))
}

fn is_error(result: &Value) -> bool {
    result["isError"] == true
}

fn rows(result: &Value) -> &Value {
    assert!(!is_error(result), "{result}");
    &result["structuredContent"]["rows"]
}

/// Waits until a statement of the superuser gives `wanted`.
fn wait_for(cluster: &Postgres, sql: &str, wanted: &str, limit: Duration) {
    let started = Instant::now();
    loop {
        let found = cluster.run("postgres", sql);
        if found == wanted {
            return;
        }
        assert!(started.elapsed() < limit, "{sql}: {found}, not {wanted}, after {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const ACTIVE: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE usename IN ('t1', 't2') AND state <> 'idle'";
const CONNECTED: &str = "SELECT count(*) FROM pg_stat_activity WHERE usename IN ('t1', 't2')";

#[test]
fn a_first_walk_shows_what_may_be_read_and_answers_exactly() {
    let world = world(Postgres::shared(), "rows = 50");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let tables = text_of(&ann.call("list_tables", json!({"database": "pg"})));
    assert!(tables.contains("customers") && tables.contains("open_orders"), "{tables}");
    assert!(!tables.contains("salaries") && !tables.contains("pg_catalog"), "{tables}");
    let users = text_of(&ann.call("describe_table", json!({"database": "pg", "table": "users"})));
    assert!(users.contains("login") && !users.contains("password_hash"), "{users}");

    let sql = "SELECT id, name, balance, born, phone FROM customers WHERE id = $1";
    let result = ann.call("query_pg", json!({"query": sql, "params": [3]}));
    assert_eq!(*rows(&result), json!([[3, "Acme customer 3", "3.75", "1980-01-04", "555-0003"]]), "{result}");
    let result = ask(&mut ann, "SELECT id FROM customers ORDER BY id");
    assert_eq!(result["structuredContent"]["row_count"], 50, "{result}");
    assert_eq!(result["structuredContent"]["truncated"], true, "{result}");
    let result = ask(&mut ann, "SELECT count(*), sum(balance) FROM customers");
    assert_eq!(*rows(&result), json!([[100, "12500.00"]]), "{result}");
}

#[test]
fn a_tenant_without_a_login_is_refused() {
    let world = world(Postgres::shared(), "");
    let made = world.command(&[
        "token", "key", "create", "--for", "eve", "--tenant", "initech", "--role", "operator", "--json",
    ]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let _server = world.serve();
    let mut eve = world.client(made["key"].as_str().unwrap());
    let answer = eve
        .modern("tools/call", json!({"name": "query_pg", "arguments": {"query": "SELECT 1 AS one"}}))
        .json();
    assert!(answer["error"].is_object() || is_error(&answer["result"]), "{answer}");
    assert!(!answer.to_string().contains("t1"), "names another tenant's login: {answer}");
}

/// Statements that PostgreSQL runs for a login with the fewest rights, and what each is for an attacker.
const ATTACKS: [(&str, &str); 14] = [
    ("SELECT set_config('statement_timeout', '0', false)", "lifts the server's own time limit"),
    ("SELECT set_config('application_name', 'someone else', false)", "hides in the server's log"),
    ("SELECT pg_advisory_lock(42)", "blocks others, also after a rollback"),
    ("SELECT pg_sleep(0.1)", "holds a connection"),
    ("SELECT pg_notify('channel', 'payload')", "speaks to other sessions"),
    ("SELECT usename, query FROM pg_stat_activity", "sees who else is there"),
    ("SELECT name, setting FROM pg_settings", "reads the server's settings"),
    ("SELECT rolname FROM pg_roles", "lists the logins of others"),
    ("SELECT table_to_xml('customers', true, false, '')", "reads a table by a name in a string"),
    ("SELECT query_to_xml('SELECT * FROM customers', true, false, '')", "runs SQL from a string"),
    ("SELECT pg_get_viewdef('open_orders'::regclass)", "reads definitions past what policy shows"),
    ("SELECT 1; SELECT 2", "is two statements"),
    ("LISTEN channel", "waits for other sessions"),
    ("EXPLAIN ANALYZE SELECT count(*) FROM customers", "runs what it explains"),
];

#[test]
fn attacks_that_work_unguarded_are_refused() {
    let cluster = Postgres::shared();
    let world = world(cluster, "");
    let login = cluster.shop("t1");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    for (attack, why) in ATTACKS {
        let unguarded = cluster.psql_as(&login, "shop", attack);
        assert!(unguarded.is_ok(), "{attack} does nothing unguarded: {unguarded:?}");
        let result = ask(&mut ann, attack);
        assert!(is_error(&result), "{attack} {why}: {result}");
    }
    // A tenant's own rows are all that remains, whatever is tried around them.
    for attack in [
        "SELECT name FROM customers WHERE tenant_id = 2 OR true",
        "WITH s AS MATERIALIZED (SELECT set_config('role', 't2', true)) SELECT name FROM s, customers",
        "SELECT name FROM customers UNION ALL SELECT password_hash FROM users",
        "SELECT amount FROM restricted.salaries",
    ] {
        let text = ask(&mut ann, attack).to_string();
        assert!(
            !text.contains("Globex") && !text.contains("$2b$") && !text.contains("250000"),
            "{attack}: {text}"
        );
    }
    assert_eq!(*rows(&ask(&mut ann, "SELECT count(*) FROM customers")), json!([[100]]));
}

/// A small generator of numbers, so that every run asks the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// One of many statements, some of which fail. Each that reads rows asks for both tenants'.
fn statement(numbers: &mut Numbers) -> (String, Value) {
    let (a, b) = (numbers.below(200) + 1, numbers.below(60));
    let sql = match numbers.below(9) {
        0 => format!("SELECT id, tenant_id, name, city FROM customers WHERE id BETWEEN {a} AND {}", a + b),
        1 => "SELECT tenant_id, count(*), sum(total) FROM orders GROUP BY tenant_id ORDER BY 1".into(),
        2 => format!(
            "SELECT c.name, c.email, o.tenant_id, o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id <> {a} LIMIT {}",
            b + 1
        ),
        3 => "SELECT string_agg(name, ',') AS names FROM customers WHERE tenant_id IN (1, 2)".into(),
        4 => format!(
            "WITH x AS (SELECT * FROM customers WHERE id >= {a}) SELECT name, city FROM x ORDER BY id DESC LIMIT 5"
        ),
        5 => "SELECT login, email, tenant_id FROM users ORDER BY id".into(),
        6 => format!("SELECT name, {a} / 0 AS failed FROM customers"),
        7 => "SELECT no_such_column FROM customers".into(),
        _ => {
            let sql = "SELECT name, city, tenant_id FROM customers WHERE id = $1 OR id = $1 + 1";
            return (sql.into(), json!([a]));
        }
    };
    (sql, json!([]))
}

/// Whatever tells that a row belongs to the tenant.
const MARKS: [[&str; 3]; 2] = [["Acme", "Athens", "acme.test"], ["Globex", "Ghent", "globex.test"]];

#[test]
fn hundreds_of_callers_of_two_tenants_never_see_anothers_row() {
    const CALLERS: usize = 200;
    const CALLS: usize = 12;
    let cluster = Postgres::shared();
    let world = world(cluster, "pool = 6");
    let _server = world.serve();
    let (answered, seen) = (AtomicUsize::new(0), [AtomicUsize::new(0), AtomicUsize::new(0)]);
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (world, answered, seen) = (&world, &answered, &seen);
            scope.spawn(move || {
                let tenant = caller % 2;
                let mut client = world.client(if tenant == 0 { &world.ann } else { &world.bob });
                let mut numbers = Numbers(caller as u64 * 7_919 + 1);
                for _ in 0..CALLS {
                    let (sql, params) = statement(&mut numbers);
                    let text = patiently(&mut client, &sql, &params).to_string();
                    let foreign = MARKS[1 - tenant].iter().find(|mark| text.contains(**mark));
                    assert!(foreign.is_none(), "{sql} showed {foreign:?} to tenant {tenant}: {text}");
                    answered.fetch_add(1, SeqCst);
                    seen[tenant]
                        .fetch_add(usize::from(MARKS[tenant].iter().any(|mark| text.contains(mark))), SeqCst);
                }
                // Grouping and counting reveal foreign rows without naming them.
                let result = patiently(
                    &mut client,
                    "SELECT count(*), min(tenant_id), max(tenant_id) FROM orders",
                    &json!([]),
                );
                assert_eq!(*rows(&result), json!([[300, tenant + 1, tenant + 1]]), "{result}");
            });
        }
    });
    assert_eq!(answered.load(SeqCst), CALLERS * CALLS);
    for own in &seen {
        assert!(own.load(SeqCst) > CALLERS * CALLS / 6, "tenants hardly see their own rows: {seen:?}");
    }
    for user in ["t1", "t2"] {
        assert!(cluster.connections(user) <= 6 * 8, "{user} holds {} connections", cluster.connections(user));
    }
}

/// Asks until no limit stands in the way: a full server or queue tells after which time to ask again.
fn patiently(client: &mut Client, sql: &str, params: &Value) -> Value {
    let started = Instant::now();
    let call = json!({"name": "query_pg", "arguments": {"query": sql, "params": params}});
    loop {
        let answer = client.modern("tools/call", call.clone());
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            client.close();
        } else {
            let result = answer.json()["result"].clone();
            assert!(result.is_object(), "{answer:?}");
            if !(is_error(&result) && text_of(&result).contains("retry after")) {
                return result;
            }
        }
        assert!(started.elapsed() < Duration::from_secs(120), "never served: {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_outage_in_the_middle_of_a_query_is_told_and_heals_without_a_restart() {
    let cluster = Postgres::start();
    let world = world(&cluster, "timeout = \"30s\"\nmax_cost = 1000000000000\npool = 4");
    let _server = world.serve();
    let (key, port) = (world.ann.clone(), world.port);
    let slow = std::thread::spawn(move || {
        let result = ask(&mut Client::new(port, &key), SLOW);
        (result, Instant::now())
    });
    wait_for(&cluster, ACTIVE, "1", Duration::from_secs(10));
    let killed = Instant::now();
    cluster.stop();
    let (result, told) = slow.join().unwrap();
    assert!(told.duration_since(killed) < Duration::from_secs(2), "told after {:?}", told - killed);
    let text = text_of(&result);
    assert!(is_error(&result) && text.contains("unavailable"), "{result}");
    assert!(
        !text.contains(&cluster.port().to_string()) && !text.contains("t1"),
        "tells where and who: {text}"
    );

    let mut ann = world.client(&world.ann);
    for _ in 0..3 {
        assert!(is_error(&ask(&mut ann, "SELECT count(*) FROM customers")));
    }
    // The breaker answers from here on: nobody waits for a server that is known to be down.
    let started = Instant::now();
    for _ in 0..50 {
        assert!(is_error(&ask(&mut ann, "SELECT count(*) FROM customers")));
    }
    assert!(started.elapsed() < Duration::from_secs(2), "50 refusals took {:?}", started.elapsed());

    cluster.restart();
    let started = Instant::now();
    loop {
        let result = ask(&mut ann, "SELECT count(*) FROM customers");
        if !is_error(&result) {
            assert_eq!(*rows(&result), json!([[100]]));
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(15), "does not recover: {result}");
        std::thread::sleep(Duration::from_millis(50));
    }
    wait_for(&cluster, ACTIVE, "0", Duration::from_secs(2));
    assert!(cluster.connections("t1") <= 4, "{}", cluster.connections("t1"));
}

#[test]
fn no_connection_leaks_when_callers_leave_and_deadlines_pass() {
    let cluster = Postgres::start();
    let world = world(&cluster, "timeout = \"1s\"\nmax_cost = 1000000000000\npool = 4");
    let server = world.serve();
    std::thread::scope(|scope| {
        for caller in 0..40_u64 {
            let world = &world;
            scope.spawn(move || {
                let key = if caller % 2 == 0 { &world.ann } else { &world.bob };
                let mut client = world.client(key);
                let call = json!({"name": "query_pg", "arguments": {"query": SLOW}});
                client.send_modern(caller + 1, "tools/call", call).unwrap();
                if caller % 4 == 0 {
                    // Stays until its deadline.
                    let result = client.receive().unwrap().json()["result"].clone();
                    assert!(is_error(&result), "{result}");
                } else {
                    std::thread::sleep(Duration::from_millis(20 * caller));
                    client.close();
                }
            });
        }
    });
    wait_for(&cluster, ACTIVE, "0", Duration::from_secs(3));
    for user in ["t1", "t2"] {
        assert!(cluster.connections(user) <= 4, "{user}: {}", cluster.connections(user));
    }
    for key in [&world.ann, &world.bob] {
        assert_eq!(*rows(&ask(&mut world.client(key), "SELECT count(*) FROM customers")), json!([[100]]));
    }
    server.stop();
    wait_for(&cluster, CONNECTED, "0", Duration::from_secs(3));
}
