//! The catalog over PostgreSQL.

use serde_json::json;

use crate::{
    catalog::{names, run, write},
    world::*,
};

const POSTGRES: &str = r#"
[query.some_customers]
description = "Customers by their ids"
database = "pg"
sql = """
SELECT id, name, balance, born FROM customers
WHERE id = ANY(:ids) AND born >= :since AND balance >= :least AND name <> ':ids' -- not :since
ORDER BY id
"""
expose = true
result = { key = "customers", count = "count" }
[query.some_customers.params.ids]
type = "array"
items = "integer"
[query.some_customers.params.since]
type = "date"
default = 1970-01-01
[query.some_customers.params.least]
type = "number"
default = 0
[query.by_names]
description = "Customers by their names"
database = "pg"
sql = "SELECT id FROM customers WHERE name = ANY(:names) ORDER BY id"
[query.by_names.params.names]
type = "array"
items = "string"
"#;

#[test]
fn on_postgresql_values_keep_their_types_and_rows_their_tenant() {
    let cluster = countersign_testbed::Postgres::shared();
    let mut extra =
        format!("[databases.pg]\nurl = \"postgres://127.0.0.1:{}/shop\"\nraw = false\n", cluster.port());
    let logins = [("acme", cluster.shop("t1")), ("globex", cluster.shop("t2"))];
    for (tenant, login) in &logins {
        let user = &login.user;
        extra.push_str(&format!(
            "[databases.pg.tenants.{tenant}]\nuser = \"{user}\"\npassword = \"file:{user}.password\"\n"
        ));
    }
    let world = World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        write(dir, POSTGRES);
        for (_, login) in &logins {
            std::fs::write(dir.join(format!("{}.password", login.user)), &login.password).unwrap();
        }
    });
    assert!(world.command(&["catalog", "check"]).contains("2 queries of the catalog can run"));
    let _server = world.serve();
    let (mut ann, mut bob) = (world.client(&world.ann), world.client(&world.bob));
    let asked = json!({"ids": [3, 4], "since": "1980-01-01", "least": 3.5});
    let answer = ann.call("some_customers", asked.clone());
    let three = json!({"id": 3, "name": "Acme customer 3", "balance": "3.75", "born": "1980-01-04"});
    assert_eq!(answer["structuredContent"]["customers"][0], three, "{answer}");
    let other = bob.call("some_customers", asked);
    assert!(!other.to_string().contains("Acme"), "{other}");
    let none = ann.call("some_customers", json!({"ids": [3], "since": "2020-01-01"}));
    assert_eq!(none["structuredContent"], json!({"customers": [], "count": 0}));
    for names in
        [json!(["x\",\"Acme customer 3"]), json!(["{Acme customer 3}"]), json!(["\\\"}', 'Acme customer 3"])]
    {
        let answer = run(&mut ann, "by_names", json!({"names": names}));
        assert_eq!(answer["structuredContent"]["row_count"], 0, "{answer}");
    }
    let found = run(&mut ann, "by_names", json!({"names": ["Acme customer 3", "a\\\"b"]}));
    assert_eq!(found["structuredContent"]["rows"], json!([[3]]), "{found}");
    assert!(!names(&mut ann).contains(&"query_pg".to_owned()));
}
