//! Results in pages: through the whole server each page is a call of its own, and together they are one result or refused.

use countersign_testbed::Postgres;
use serde_json::{Value, json};

use crate::world::*;

const CATALOG: &str = r#"
[query.numbers]
description = "All numbers"
database = "shop"
sql = "SELECT n, word FROM numbers WHERE n > :after ORDER BY n"
expose = true
[query.numbers.params.after]
type = "integer"
default = 0
[query.capped]
description = "Some numbers, and no more"
database = "shop"
sql = "SELECT n FROM numbers ORDER BY n"
rows = 3
"#;

const NUMBERS: &str = "CREATE TABLE numbers (n INTEGER PRIMARY KEY, word TEXT);
    WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 25) INSERT INTO numbers SELECT n, 'w' || n FROM r;";

fn world() -> World {
    let shape = Shape { schema: NUMBERS.into(), shop: "rows = 10".into(), ..Shape::default() };
    World::new_with(shape, |dir| {
        std::fs::create_dir(dir.join("catalog")).unwrap();
        std::fs::write(dir.join("catalog/shop.toml"), CATALOG).unwrap();
    })
}

/// Asks for page after page. The numbers of rows of each, and the first value of every row.
fn read_all(client: &mut Client, tool: &str, arguments: &Value) -> (Vec<u64>, Vec<Value>) {
    let (mut pages, mut rows) = (Vec::new(), Vec::new());
    let mut arguments = arguments.clone();
    loop {
        let result = client.call(tool, arguments.clone());
        let content = &result["structuredContent"];
        pages.push(content["row_count"].as_u64().unwrap_or_else(|| panic!("{result}")));
        rows.extend(content["rows"].as_array().unwrap().iter().map(|row| row[0].clone()));
        assert_eq!(content["truncated"], json!(content["next_cursor"].is_string()), "{result}");
        match content["next_cursor"].as_str() {
            Some(cursor) => arguments["cursor"] = cursor.into(),
            None => return (pages, rows),
        }
    }
}

fn error_of(result: &Value) -> String {
    assert_eq!(result["isError"], true, "{result}");
    text_of(result)
}

#[test]
fn pages_are_together_the_whole_result() {
    let world = world();
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let all: Vec<Value> = (1..=25).map(Value::from).collect();
    let query = json!({"query": "SELECT n, word FROM numbers ORDER BY n"});
    let (pages, rows) = read_all(&mut ann, "query_shop", &query);
    assert_eq!((pages, &rows), (vec![10, 10, 5], &all));
    let named = json!({"name": "numbers", "params": {"after": 4}});
    let (pages, rows) = read_all(&mut ann, "run_catalog_query", &named);
    assert_eq!((pages, rows.as_slice()), (vec![10, 10, 1], &all[4..]));
    let (pages, rows) = read_all(&mut ann, "numbers", &json!({}));
    assert_eq!((pages, &rows), (vec![10, 10, 5], &all));
    // An entry with a limit of its own gives no more than that.
    let capped = ann.call("run_catalog_query", json!({"name": "capped"}));
    assert_eq!(capped["structuredContent"]["row_count"], 3);
    assert_eq!(capped["structuredContent"].get("next_cursor"), None, "{capped}");
    let refused = ann.call("run_catalog_query", json!({"name": "capped", "cursor": "A".repeat(64)}));
    assert!(error_of(&refused).contains("cursor"), "{refused}");
}

#[test]
fn a_cursor_serves_its_caller_and_query_and_an_unchanged_beginning() {
    let world = world();
    let _server = world.serve();
    let (mut ann, mut bob) = (world.client(&world.ann), world.client(&world.bob));
    let query = "SELECT n FROM numbers ORDER BY n";
    let first = ann.call("query_shop", json!({"query": query}));
    let cursor = first["structuredContent"]["next_cursor"].as_str().unwrap_or_else(|| panic!("{first}"));
    let next = json!({"query": query, "cursor": cursor});
    for (who, refused) in [
        ("another caller", bob.call("query_shop", next.clone())),
        (
            "another query",
            ann.call("query_shop", json!({"query": format!("{query} DESC"), "cursor": cursor})),
        ),
        ("another tool", ann.call("run_catalog_query", json!({"name": "numbers", "cursor": cursor}))),
        ("a made-up one", ann.call("query_shop", json!({"query": query, "cursor": "A".repeat(64)}))),
    ] {
        assert!(error_of(&refused).contains("next_cursor"), "{who}: {refused}");
    }
    let connection = rusqlite::Connection::open(world.dir.path().join("shop.db")).unwrap();
    // Rows to come may change: the pages are the beginning of the result as it is now.
    connection.execute_batch("DELETE FROM numbers WHERE n = 15").unwrap();
    let second = ann.call("query_shop", next.clone());
    assert_eq!(second["structuredContent"]["rows"][4], json!([16]), "{second}");
    // Those that were read may not.
    connection.execute_batch("DELETE FROM numbers WHERE n = 5").unwrap();
    let refused = ann.call("query_shop", next);
    assert!(error_of(&refused).contains("begin anew"), "{refused}");
    // Each of these was a call of its own, on record.
    let record = world.command(&["audit", "tail", "--json", "-n", "1000"]);
    assert!(record.lines().filter(|line| line.contains("\"query_shop\"")).count() >= 6, "{record}");
}

#[test]
fn pages_of_postgres_are_of_ones_own_tenant() {
    let cluster = Postgres::shared();
    let logins = [("acme", cluster.shop("t1")), ("globex", cluster.shop("t2"))];
    let mut extra =
        format!("[databases.pg]\nurl = \"postgres://127.0.0.1:{}/shop\"\nrows = 40\n", cluster.port());
    for (tenant, login) in &logins {
        extra.push_str(&format!(
            "[databases.pg.tenants.{tenant}]\nuser = \"{0}\"\npassword = \"file:{0}.password\"\n",
            login.user
        ));
    }
    let world = World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        for (_, login) in &logins {
            std::fs::write(dir.join(format!("{}.password", login.user)), &login.password).unwrap();
        }
    });
    let _server = world.serve();
    let query = json!({"query": "SELECT name FROM customers WHERE id > $1 ORDER BY id", "params": [0]});
    for (key, name) in [(&world.ann, "Acme"), (&world.bob, "Globex")] {
        let (pages, rows) = read_all(&mut world.client(key), "query_pg", &query);
        assert_eq!(pages, [40, 40, 20], "{name}");
        assert!(rows.iter().all(|row| row.as_str().unwrap().starts_with(name)), "{name}: {rows:?}");
    }
}
