//! What is told about a query or a table before anything is read: to those who may read it, and no row.

use countersign_testbed::Postgres;
use serde_json::{Value, json};

use crate::world::*;

const MASKED: &str = r#"
@id("plain-emails")
forbid (principal, action == Action::"read", resource is Column) when { resource.name == "email" };
@id("masked-emails")
permit (principal in Role::"operator", action == Action::"mask", resource is Column) when { resource.name == "email" };
@id("no-orders")
forbid (principal, action == Action::"read", resource is Table) when { resource.name == "public.orders" };
"#;

fn postgres(cluster: &Postgres) -> World {
    let login = cluster.shop("t1");
    let extra = format!(
        "[databases.pg]\nurl = \"postgres://127.0.0.1:{}/shop\"\n\
         [databases.pg.tenants.acme]\nuser = \"t1\"\npassword = \"file:t1.password\"\n",
        cluster.port()
    );
    let world = World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        std::fs::write(dir.join("t1.password"), &login.password).unwrap();
    });
    std::fs::write(world.dir.path().join("policies/masked.cedar"), MASKED).unwrap();
    world
}

fn explain(client: &mut Client, database: &str, sql: &str) -> Value {
    client.call("explain_query", json!({"database": database, "query": sql}))
}

fn answer(result: &Value) -> &Value {
    assert_ne!(result["isError"], true, "{}", text_of(result));
    &result["structuredContent"]
}

fn refusal(result: &Value) -> String {
    assert_eq!(result["isError"], true, "{result}");
    text_of(result)
}

#[test]
fn a_plan_is_shown_to_who_may_read_every_column_and_holds_no_value() {
    let world = postgres(Postgres::shared());
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let shown = explain(&mut ann, "pg", "SELECT name FROM customers WHERE city = 'Athens' ORDER BY name");
    let plan = &answer(&shown)["plan"];
    assert_eq!(plan[0]["step"], "Sort", "{shown}");
    assert_eq!((&plan[1]["step"], &plan[1]["on"]), (&json!("Seq Scan"), &json!("customers")), "{shown}");
    assert!(plan[1]["rows"].as_f64().unwrap() > 0.0 && plan[1]["cost"].as_f64().unwrap() > 0.0, "{shown}");
    // Neither the caller's constants nor those of row security.
    assert!(!shown.to_string().contains("Athens") && !shown.to_string().contains("tenant_id"), "{shown}");
    let sql = "SELECT id FROM customers WHERE id = $1";
    let shown = ann.call("explain_query", json!({"database": "pg", "query": sql, "params": [3]}));
    assert!(answer(&shown)["text"].as_str().unwrap().contains("on customers"), "{shown}");

    // A column that may be seen masked can be queried, and its plan is not shown: the estimates would tell what is in it.
    let masked = "SELECT email FROM customers";
    assert_eq!(ann.call("query_pg", json!({"query": masked}))["isError"], json!(false));
    assert!(refusal(&explain(&mut ann, "pg", masked)).contains("email"));
    for sql in [
        "SELECT id FROM customers WHERE email = 'c1@acme.test'",
        "SELECT total FROM orders",
        "SELECT amount FROM restricted.salaries",
        "SELECT login FROM users WHERE password_hash LIKE '$2b$%'",
        "ANALYZE SELECT id FROM customers",
        "(ANALYZE) SELECT id FROM customers",
        "DELETE FROM customers WHERE id = 1",
        "SELECT 1; DELETE FROM customers",
    ] {
        refusal(&explain(&mut ann, "pg", sql));
    }
}

#[test]
fn a_plan_of_sqlite_is_shown_alike() {
    let world = World::new(Shape::default());
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let shown = explain(&mut ann, "shop", "SELECT name FROM products WHERE id = 1");
    let answer = answer(&shown);
    assert_eq!((&answer["database"], &answer["plan"][0]["depth"]), (&json!("shop"), &json!(0)), "{shown}");
    assert!(answer["plan"][0]["step"].as_str().unwrap().contains("products"), "{shown}");
    for sql in ["SELECT amount FROM restricted_salaries", "QUERY PLAN SELECT 1", "DELETE FROM products"] {
        refusal(&explain(&mut ann, "shop", sql));
    }
}

#[test]
fn the_size_of_a_table_is_told_to_who_may_read_it() {
    let world = postgres(Postgres::shared());
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let mut stats = |table: &str| ann.call("table_stats", json!({"database": "pg", "table": table}));
    let shown = stats("customers");
    let told = answer(&shown);
    assert_eq!(
        (&told["table"], &told["rows_estimate"]),
        (&json!("public.customers"), &json!(200)),
        "{shown}"
    );
    assert!(told["table_bytes"].as_u64().unwrap() > 0 && told["last_analyze"].is_string(), "{shown}");
    // Policy hides one, the server another; both are as if they were not there.
    let mut refused = |table: &str| {
        let text = refusal(&stats(table));
        text.split(" (invalid, call").next().unwrap().to_owned()
    };
    let missing = refused("no_such_table");
    assert!(missing.contains("no such table or view"), "{missing}");
    for hidden in ["orders", "public.orders", "restricted.salaries", "pg_catalog.pg_authid"] {
        assert_eq!(refused(hidden), missing, "{hidden}");
    }
    // SQLite keeps such numbers only once it has been told to.
    let other = ann.call("table_stats", json!({"database": "shop", "table": "products"}));
    assert_eq!(answer(&other)["rows_estimate"], json!(null), "{other}");
}
