//! The catalog on a running server: identity, policy, injection, shapes, and reloads, each through the real binary.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::world::*;

const CATALOG: &str = r#"
[query.find_customers]
description = "Customers of the caller's tenant in a state"
database = "shop"
sql = """
SELECT c.id, c.name, c.email FROM customers c JOIN tenants t ON t.id = c.tenant_id
WHERE lower(t.name) = :tenant AND c.state = :state ORDER BY c.id
"""
rows = { param = "max_rows" }
mask = ["email"]
expose = true
result = { key = "results", count = "count", truncated = "truncated", echo = ["state"] }
[query.find_customers.params.tenant]
type = "string"
bind = "tenant"
[query.find_customers.params.state]
type = "string"
[query.find_customers.params.max_rows]
type = "integer"
min = 1
max = 50
default = 10

[query.by_name]
description = "Customers of a name"
database = "shop"
sql = "SELECT id, name FROM customers WHERE name = :name"
[query.by_name.params.name]
type = "string"

[query.get_product]
description = "One product"
database = "shop"
sql = "SELECT sku, name, price FROM products WHERE id = :id"
expose = true
result = { key = "product", rows = "object" }
[query.get_product.params.id]
type = "integer"

[query.any_ids]
description = "Products by their ids"
database = "shop"
sql = "SELECT id, name FROM products WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY id"
[query.any_ids.params.ids]
type = "array"
items = "integer"

[query.total_products]
description = "How many products"
database = "shop"
sql = "SELECT COUNT(*) FROM products"
expose = true
result = { key = "total", rows = "value" }

[query.salaries]
description = "What the default policies forbid"
database = "shop"
sql = "SELECT amount FROM restricted_salaries"
expose = true

[query.everything]
description = "The answer of a raw query"
database = "shop"
sql = "SELECT id, name, price, NULL AS absent, x'00ff' AS bytes, 9007199254740993 AS big FROM products ORDER BY id"
expose = true

[entity.products]
aliases = ["items", "Goods"]
database = "shop"
table = "products"
description = "What is sold"

[entity.salaries]
database = "shop"
table = "restricted_salaries"
description = "What is earned"

[answer.describe_server]
description = "What this server is"
value = { server = "shop", mode = "read-only" }
"#;

pub fn write(dir: &Path, text: &str) {
    std::fs::create_dir_all(dir.join("catalog")).unwrap();
    std::fs::write(dir.join("catalog/shop.toml"), text).unwrap();
}

fn world(shop: &str) -> World {
    let shape = Shape { shop: format!("timeout = \"2s\"\n{shop}"), ..Shape::default() };
    World::new_with(shape, |dir| write(dir, CATALOG))
}

fn tools(client: &mut Client) -> Vec<Value> {
    client.modern("tools/list", json!({})).json()["result"]["tools"].as_array().unwrap().clone()
}

pub fn names(client: &mut Client) -> Vec<String> {
    tools(client).iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

pub fn run(client: &mut Client, name: &str, params: Value) -> Value {
    client.call("run_catalog_query", json!({"name": name, "params": params}))
}

#[test]
fn rows_are_those_of_the_callers_own_tenant_whatever_is_sent() {
    let world = world("");
    let _server = world.serve();
    let (mut ann, mut bob) = (world.client(&world.ann), world.client(&world.bob));
    let answer = ann.call("find_customers", json!({"state": "VA"}));
    let masked = json!({"id": 1, "name": "Zed Shaw", "email": "[masked]"});
    assert_eq!(
        answer["structuredContent"],
        json!({"state": "VA", "results": [masked], "count": 1, "truncated": false})
    );
    assert!(!answer.to_string().contains("zed@x.test"));
    assert_eq!(bob.call("find_customers", json!({"state": "VA"}))["structuredContent"]["count"], 0);
    assert_eq!(bob.call("find_customers", json!({"state": "NV"}))["structuredContent"]["count"], 1);
    // The attack: saying whose rows they are. It works where the tenant is an argument like any other.
    for sent in [json!({"state": "NV", "tenant": "globex"}), json!({"state": "NV", "TENANT": "globex"})] {
        let refused = ann.call("find_customers", sent.clone());
        assert_eq!(refused["isError"], true, "{refused}");
        let refused = run(&mut ann, "find_customers", sent);
        assert!(text_of(&refused).contains("/params"), "{refused}");
    }
}

#[test]
fn a_tenant_as_a_plain_argument_shows_anybodys_rows() {
    let unbound = CATALOG.replace("bind = \"tenant\"\n", "");
    let world = World::new_with(Shape::default(), |dir| write(dir, &unbound));
    let _server = world.serve();
    let answer = world.client(&world.ann).call("find_customers", json!({"state": "NV", "tenant": "globex"}));
    assert_eq!(answer["structuredContent"]["count"], 1, "{answer}");
}

#[test]
fn policy_decides_on_a_query_as_on_the_statement_in_it() {
    let world = world("");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    for refused in [ann.call("salaries", json!({})), run(&mut ann, "salaries", json!({}))] {
        assert_eq!(refused["isError"], true, "{refused}");
        assert!(text_of(&refused).contains("restricted_salaries"), "{refused}");
    }
    let listed = ann.call("list_catalog", json!({}))["structuredContent"].clone();
    let listed: Vec<&str> =
        listed["queries"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(
        listed,
        ["any_ids", "by_name", "everything", "find_customers", "get_product", "total_products"]
    );
    let entities = ann.call("describe_entities", json!({}))["structuredContent"].clone();
    assert_eq!(
        entities,
        json!({"entities": [{
            "entity": "products", "aliases": ["items", "goods"], "table": "products", "description": "What is sold"
        }]})
    );
    let counted = ann.call("count_entities", json!({"entity": " Items "}))["structuredContent"].clone();
    assert_eq!(counted, json!({"entity": "products", "table": "products", "total": 3}));
    assert_eq!(ann.call("count_entities", json!({"entity": "salaries"}))["isError"], true);
    let unknown = text_of(&ann.call("count_entities", json!({"entity": "ships"})));
    assert!(unknown.contains("`/entity`: must name an entity"), "{unknown}");
}

#[test]
fn the_query_itself_is_an_object_of_policy() {
    let world = world("");
    let forbid = "@id(\"no-names\")\nforbid (principal, action == Action::\"use\", resource is Query)\nwhen { resource.name == \"by_name\" };\n";
    std::fs::write(world.dir.path().join("policies/extra.cedar"), forbid).unwrap();
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let refused = text_of(&run(&mut ann, "by_name", json!({"name": "Initech"})));
    assert!(refused.contains("query shop.by_name") && refused.contains("no-names"), "{refused}");
    assert_ne!(ann.query("SELECT id, name FROM customers")["isError"], true);
    let listed = ann.call("list_catalog", json!({})).to_string();
    assert!(!listed.contains("by_name"), "{listed}");
}

#[test]
fn values_never_become_sql() {
    let world = world("");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let found = run(&mut ann, "by_name", json!({"name": "O'Brien; DROP"}));
    assert_eq!(found["structuredContent"]["row_count"], 1, "{found}");
    let before = world.database_bytes();
    for value in [
        "' OR '1'='1",
        "'; DROP TABLE customers; --",
        "x' UNION SELECT id, password_hash FROM users --",
        ":name",
        "?1",
        "$1",
        "\\' OR 1=1 --",
        "\" OR \"\"=\"",
        "%",
        "*/ OR 1=1 /*",
        "') OR ('a'='a",
    ] {
        let answer = run(&mut ann, "by_name", json!({"name": value}));
        assert_eq!(answer["structuredContent"]["row_count"], 0, "{value}: {answer}");
    }
    for ids in [json!(["1) OR (1=1"]), json!([1.5]), json!("[1]"), json!([[1]])] {
        assert_eq!(run(&mut ann, "any_ids", json!({"ids": ids}))["isError"], true);
    }
    assert_eq!(run(&mut ann, "any_ids", json!({"ids": [3, 1]}))["structuredContent"]["row_count"], 2);
    assert!(world.database_bytes() == before, "the database changed");
}

#[test]
fn answers_have_the_promised_shape_and_keep_the_output_schema() {
    let world = world("");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let listed = tools(&mut ann);
    for (name, arguments, expected) in [
        ("find_customers", json!({"state": "VA"}), None),
        ("find_customers", json!({"state": "XX", "max_rows": 1}), None),
        (
            "get_product",
            json!({"id": 1}),
            Some(json!({"product": {"sku": "A-1", "name": "Anvil", "price": 10.0}})),
        ),
        ("get_product", json!({"id": 99}), Some(json!({"product": null}))),
        ("total_products", json!({}), Some(json!({"total": 3}))),
        ("everything", json!({}), None),
        ("describe_entities", json!({}), None),
        ("count_entities", json!({"entity": "goods"}), None),
        ("list_catalog", json!({}), None),
        ("describe_server", json!({}), Some(json!({"server": "shop", "mode": "read-only"}))),
    ] {
        let tool = listed.iter().find(|tool| tool["name"] == name).unwrap_or_else(|| panic!("no `{name}`"));
        let answer = ann.call(name, arguments)["structuredContent"].clone();
        let schema = jsonschema::draft202012::new(&tool["outputSchema"]).unwrap();
        assert!(schema.is_valid(&answer), "{name}: {answer} against {}", tool["outputSchema"]);
        if let Some(expected) = expected {
            assert_eq!(answer, expected, "{name}");
        }
    }
    // A schema that anything keeps would prove nothing.
    let find = listed.iter().find(|tool| tool["name"] == "find_customers").unwrap();
    let schema = jsonschema::draft202012::new(&find["outputSchema"]).unwrap();
    assert!(
        !schema.is_valid(&json!({"state": "VA", "results": [{"id": 1}], "count": 1, "truncated": false}))
    );
}

#[test]
fn a_row_limit_cuts_and_says_so() {
    let world = world("");
    let more =
        "INSERT INTO customers(tenant_id, name, state) VALUES (1, 'Second', 'VA'), (1, 'Third', 'VA');";
    rusqlite::Connection::open(world.dir.path().join("shop.db")).unwrap().execute_batch(more).unwrap();
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let cut = ann.call("find_customers", json!({"state": "VA", "max_rows": 2}))["structuredContent"].clone();
    assert_eq!((&cut["count"], &cut["truncated"]), (&json!(2), &json!(true)), "{cut}");
    let whole = ann.call("find_customers", json!({"state": "VA"}))["structuredContent"].clone();
    assert_eq!((&whole["count"], &whole["truncated"]), (&json!(3), &json!(false)), "{whole}");
    assert_eq!(ann.call("find_customers", json!({"state": "VA", "max_rows": 51}))["isError"], true);
}

#[test]
fn without_raw_sql_only_the_catalog_reaches_the_database() {
    let world = world("raw = false");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let names = names(&mut ann);
    assert!(!names.iter().any(|name| name == "query_shop"), "{names:?}");
    assert!(names.iter().any(|name| name == "find_customers"), "{names:?}");
    // What may be known of the schema stays.
    let listed = ann.modern("resources/list", json!({})).json();
    assert_eq!(listed["result"]["resources"][0]["uri"], "schema://shop", "{listed}");
    let read = ann.modern("resources/read", json!({"uri": "schema://shop"})).json();
    let text = read["result"]["contents"][0]["text"].as_str().unwrap();
    assert!(text.contains("customers") && !text.contains("restricted_salaries"), "{text}");
    let refused =
        ann.modern("tools/call", json!({"name": "query_shop", "arguments": {"query": "SELECT 1"}})).json();
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert_eq!(ann.call("total_products", json!({}))["structuredContent"]["total"], 3);
}

#[test]
fn queries_of_a_tenants_database_are_hidden_from_others() {
    let world = world("raw = false\ntenant = \"acme\"");
    let _server = world.serve();
    assert!(names(&mut world.client(&world.ann)).contains(&"total_products".to_owned()));
    let mut bob = world.client(&world.bob);
    let listed = bob.modern("resources/list", json!({})).body;
    assert!(!listed.contains("schema://shop"), "{listed}");
    let seen = names(&mut bob);
    assert!(!seen.contains(&"total_products".to_owned()), "{seen:?}");
    assert_eq!(bob.call("list_catalog", json!({}))["structuredContent"], json!({"queries": []}));
    assert_eq!(run(&mut bob, "by_name", json!({"name": "Initech"}))["isError"], true);
}

#[test]
fn a_reload_puts_a_catalog_in_place_and_a_bad_one_keeps_the_last_good() {
    let world = world("");
    let server = world.serve();
    let mut ann = world.client(&world.ann);
    let added = "[query.total_orders]\ndescription = \"How many orders\"\ndatabase = \"shop\"\nsql = \"SELECT COUNT(*) FROM orders\"\nexpose = true\nresult = { key = \"total\", rows = \"value\" }\n";
    let file = world.dir.path().join("catalog/orders.toml");
    // The last thing that a reload says.
    let ended = || {
        let log = std::fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
        log.matches("secrets-reload").count()
    };
    let hangup = || {
        let (before, started) = (ended(), std::time::Instant::now());
        server.signal("-HUP");
        while ended() == before {
            assert!(started.elapsed() < Duration::from_secs(30), "the reload does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    };

    std::fs::write(&file, added).unwrap();
    hangup();
    assert_eq!(ann.call("total_orders", json!({}))["structuredContent"], json!({"total": 3}));

    // Broken text, a statement that the database refuses, a name that is taken, and a policy that names what is gone.
    for bad in [
        "[query.total_orders".to_owned(),
        added.replace("orders\"\nexpose", "nothing\"\nexpose"),
        added.replace("total_orders", "list_tables"),
    ] {
        std::fs::write(&file, &bad).unwrap();
        hangup();
        assert_eq!(ann.call("total_orders", json!({}))["structuredContent"], json!({"total": 3}), "{bad}");
    }
    std::fs::write(&file, added).unwrap();
    let policy = "@id(\"orders\")\nforbid (principal, action == Action::\"total_orders\", resource)\nwhen { principal.subject == \"nobody\" };\n";
    std::fs::write(world.dir.path().join("policies/orders.cedar"), policy).unwrap();
    hangup();
    std::fs::remove_file(&file).unwrap();
    hangup();
    // A connection that is idle for long is closed, and two reloads can take long.
    let mut ann = world.client(&world.ann);
    assert_eq!(ann.call("total_orders", json!({}))["structuredContent"], json!({"total": 3}));

    // A forbid that is gone waits for the operator's word, and the catalog with it.
    std::fs::remove_file(world.dir.path().join("policies/orders.cedar")).unwrap();
    hangup();
    assert!(names(&mut ann).contains(&"total_orders".to_owned()));
    world.accept();
    hangup();
    // The commands took their time as well.
    let mut ann = world.client(&world.ann);
    assert!(!names(&mut ann).contains(&"total_orders".to_owned()));
    let log = world.command(&["audit", "search", "--json", "--decision", "event", "-n", "1000"]);
    assert!(log.contains("catalog-reload") && log.contains("catalog-rejected"), "{log}");
}

#[test]
fn the_commands_show_what_can_run_and_where_problems_are() {
    let world = world("");
    let checked = world.command(&["catalog", "check", "--json"]);
    let checked: Value = serde_json::from_str(&checked).unwrap();
    let find =
        checked["queries"].as_array().unwrap().iter().find(|one| one["name"] == "find_customers").unwrap();
    assert_eq!(find["columns"][0], json!({"name": "id", "type": "INTEGER"}));
    assert!(find["touches"].as_array().unwrap().contains(&json!("read column shop.customers.email")));
    assert_eq!(find["line"], 2);
    assert!(world.command(&["catalog", "check"]).contains("7 queries of the catalog can run"));
    assert!(world.command(&["catalog", "list"]).contains("find_customers"));

    write(world.dir.path(), &CATALOG.replace("FROM products WHERE id = :id", "FROM product WHERE id = :id"));
    let refused = world.try_command(&["catalog", "check"]);
    assert_eq!(refused.status.code(), Some(3));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("shop.toml:34:7: `get_product` is refused by its database"), "{text}");
    std::fs::remove_dir_all(world.dir.path().join("catalog")).unwrap();
    assert_eq!(world.try_command(&["catalog", "check"]).status.code(), Some(4));
}
