//! Catalog entries judged by a real SQLite: what is refused at load, and what callers may send.

use std::{sync::Arc, time::Duration};

use countersign_core::{
    AuthMethod, Denied, Principal, PrincipalKind, Tool, ToolError,
    call::Arguments,
    json::{self, Limits},
    plan::Planned,
};
use countersign_tools::{
    Database, DatabaseLimits, PoolConfig, SqlitePool,
    catalog::{Catalog, Prepared},
    database_tools,
};
use serde_json::{Value, json};

use crate::sqlite_pool::ROLE;

struct Shop {
    _folder: tempfile::TempDir,
    databases: Vec<Arc<Database>>,
}

impl Shop {
    async fn open() -> Shop {
        Shop::open_for(None).await
    }

    async fn open_for(tenant: Option<&str>) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.db");
        let connection = rusqlite::Connection::open(&file).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE customers (id INTEGER PRIMARY KEY, tenant TEXT, name TEXT, email TEXT);
                 CREATE TABLE secrets (id INTEGER PRIMARY KEY, value TEXT);
                 INSERT INTO customers VALUES (1, 'acme', 'Ann', 'ann@x.test'), (2, 'globex', 'Bob', 'bob@x.test');",
            )
            .unwrap();
        let args = ["--exact", "sqlite_pool::worker_entry", ROLE, "--nocapture"].map(Into::into).to_vec();
        let config = PoolConfig::new(std::env::current_exe().unwrap(), args);
        let pool = SqlitePool::start(config, file).await.unwrap();
        let limits =
            DatabaseLimits { rows: 100, bytes: 1 << 20, time: Duration::from_secs(5), query_chars: 10_000 };
        let database = Database::new("shop", Arc::new(pool), limits).of_tenant(tenant);
        Shop { _folder: folder, databases: vec![Arc::new(database)] }
    }

    async fn load(&self, text: &str) -> Result<Prepared, String> {
        let catalog = Catalog::parse(&[("t.toml", text)]).map_err(|e| e.to_string())?;
        catalog.prepare(&self.databases).await.map_err(|e| e.to_string())
    }

    async fn problem(&self, text: &str) -> String {
        match self.load(text).await {
            Ok(_) => panic!("the catalog was accepted: {text}"),
            Err(problems) => problems,
        }
    }
}

fn ann() -> Principal {
    Principal::new("keys", "ann", PrincipalKind::Person, "acme", AuthMethod::ApiKey)
}

fn arguments(value: &Value) -> Arguments {
    let text = value.to_string();
    Arguments::from_json(&json::parse(text.as_bytes(), Limits::default()).unwrap()).unwrap()
}

fn tool(prepared: &Prepared, name: &str) -> Arc<dyn Tool> {
    let found = prepared.tools().into_iter().find(|one| *one.tool.spec().name == *name);
    found.unwrap_or_else(|| panic!("no tool `{name}`")).tool
}

async fn plan(tool: &dyn Tool, principal: &Principal, value: Value) -> Result<Planned, ToolError> {
    tool.plan(principal, &arguments(&value)).await
}

/// Field and rule of a refused call.
async fn refused(tool: &dyn Tool, value: Value) -> (String, String) {
    match plan(tool, &ann(), value.clone()).await {
        Err(ToolError { denied: Denied::Invalid { field, rule }, .. }) => (field, rule),
        Err(other) => panic!("{value}: {other:?}"),
        Ok(_) => panic!("{value} was accepted"),
    }
}

/// An entry with one parameter `x` under these rules.
fn entry(rules: &str) -> String {
    format!(
        "[query.q]\ndescription = \"d\"\ndatabase = \"shop\"\nsql = \"SELECT :x AS x\"\nexpose = true\n[query.q.params.x]\n{rules}\n"
    )
}

/// Nothing is looked up in another tenant's database: what errors say of a statement would tell what tables and columns it has.
#[tokio::test]
async fn another_tenants_database_is_as_unknown_as_one_that_does_not_exist() {
    let shop = Shop::open_for(Some("acme")).await;
    let prepared = shop.load(&entry("type = \"integer\"").replace("expose = true\n", "")).await.unwrap();
    let bob = Principal::new("keys", "bob", PrincipalKind::Person, "globex", AuthMethod::ApiKey);
    let query = "SELECT name FROM customers";
    let mut tools = database_tools(&shop.databases);
    tools.push(tool(&prepared, "run_catalog_query"));
    for (name, given) in [
        ("explain_query", json!({"database": "shop", "query": query})),
        ("list_tables", json!({"database": "shop"})),
        ("describe_table", json!({"database": "shop", "table": "customers"})),
        ("table_stats", json!({"database": "shop", "table": "customers"})),
        ("run_catalog_query", json!({"name": "q", "params": {"x": 1}})),
    ] {
        let tool = tools.iter().find(|tool| *tool.spec().name == *name).unwrap();
        assert!(plan(tool.as_ref(), &ann(), given.clone()).await.is_ok(), "{name}");
        match plan(tool.as_ref(), &bob, given).await.map(|_| ()) {
            Err(ToolError { denied: Denied::Invalid { rule, .. }, detail: None, .. }) => {
                assert!(rule.starts_with("must name a "), "{name}: {rule}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// `5.0` is a whole number to a schema; a limit on rows that is not understood would be no limit.
#[tokio::test]
async fn a_limit_on_rows_is_understood_or_refused() {
    let shop = Shop::open().await;
    let text = "[query.q]\ndescription = \"d\"\ndatabase = \"shop\"\nsql = \"SELECT id FROM customers ORDER BY id\"\n\
                rows = { param = \"most\" }\nexpose = true\n[query.q.params.most]\ntype = \"integer\"\nmin = 1\nmax = 5\n";
    let tool = tool(&shop.load(text).await.unwrap(), "q");
    assert!(plan(tool.as_ref(), &ann(), json!({"most": 1})).await.is_ok());
    for given in [json!({"most": 1.0}), json!({"most": 2.5}), json!({"most": 6})] {
        assert_eq!(refused(tool.as_ref(), given).await.0, "/most");
    }
}

#[tokio::test]
async fn each_type_takes_its_values_and_refuses_others_by_field_and_rule() {
    let shop = Shop::open().await;
    let uuid = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
    let cases: [(&str, Value, Value, &str); 22] = [
        ("type = \"string\"", json!("x"), json!(1), "must be of type string"),
        ("type = \"string\"\nmin_length = 2", json!("ab"), json!("a"), "must be at least 2 characters"),
        ("type = \"string\"\nmax_length = 2", json!("éé"), json!("abc"), "must be at most 2 characters"),
        (
            "type = \"string\"",
            json!("x".repeat(1000)),
            json!("x".repeat(1001)),
            "must be at most 1000 characters",
        ),
        (
            "type = \"string\"\npattern = \"[A-Z]{2}\"",
            json!("VA"),
            json!("VAX"),
            "must match the pattern ^(?:[A-Z]{2})$",
        ),
        ("type = \"string\"\npattern = \"a|b\"", json!("b"), json!("ab"), "must match the pattern ^(?:a|b)$"),
        (
            "type = \"string\"\npattern = \"[a-z]+\"",
            json!("ab"),
            json!("ab\n"),
            "must match the pattern ^(?:[a-z]+)$",
        ),
        ("type = \"string\"\nenum = [\"a\", \"b\"]", json!("a"), json!("c"), "must be one of [\"a\",\"b\"]"),
        ("type = \"string\"", json!("x"), json!("a\u{0}b"), "must be a string without NUL characters"),
        ("type = \"integer\"", json!(i64::MAX), json!("1"), "must be of type integer"),
        ("type = \"integer\"", json!(i64::MIN), json!(1.5), "must be of type integer"),
        ("type = \"integer\"\nmin = 1", json!(1), json!(0), "must be at least 1"),
        ("type = \"integer\"\nmax = 9", json!(9), json!(10), "must be at most 9"),
        ("type = \"number\"\nmin = 0.5", json!(0.5), json!(0.4), "must be at least 0.5"),
        ("type = \"number\"", json!(3), json!(9_007_199_254_740_993_i64), "must be a finite number"),
        ("type = \"boolean\"", json!(true), json!("true"), "must be of type boolean"),
        ("type = \"date\"", json!("2026-02-28"), json!("2026-02-30"), "must be a valid date"),
        (
            "type = \"timestamp\"",
            json!("2026-02-28T10:00:00Z"),
            json!("2026-02-28"),
            "must be a valid date-time",
        ),
        ("type = \"uuid\"", json!(uuid), json!("3f2504e0"), "must be a valid uuid"),
        (
            "type = \"array\"\nitems = \"integer\"\nmax_items = 2",
            json!([1, 2]),
            json!([1, 2, 3]),
            "must have at most 2 items",
        ),
        ("type = \"array\"\nitems = \"integer\"\nmin = 0", json!([]), json!([1, -1]), "must be at least 0"),
        (
            "type = \"array\"\nitems = \"string\"\nmin_items = 1",
            json!(["a"]),
            json!([]),
            "must have at least 1 items",
        ),
    ];
    for (rules, good, bad, rule) in cases {
        let prepared = shop.load(&entry(rules)).await.unwrap();
        let alone = tool(&prepared, "q");
        assert!(plan(&*alone, &ann(), json!({"x": good})).await.is_ok(), "{rules}: {good}");
        let (field, said) = refused(&*alone, json!({"x": bad})).await;
        assert!(field.starts_with("/x"), "{rules}: {field}");
        assert_eq!(said, rule, "{rules}");
        // The meta-tool checks the same, and names the field where it is in its own arguments.
        let meta = tool(&prepared, "run_catalog_query");
        let (field, said) = refused(&*meta, json!({"name": "q", "params": {"x": bad}})).await;
        assert!(field.starts_with("/params/x"), "{rules}: {field}");
        assert_eq!(said, rule, "{rules}");
    }
}

#[tokio::test]
async fn missing_and_unknown_parameters_are_refused() {
    let shop = Shop::open().await;
    let prepared = shop.load(&entry("type = \"string\"")).await.unwrap();
    let meta = tool(&prepared, "run_catalog_query");
    let (field, rule) = refused(&*meta, json!({"name": "q"})).await;
    assert_eq!((field.as_str(), rule.as_str()), ("/params", "the member \"x\" is required"));
    let (field, rule) = refused(&*meta, json!({"name": "q", "params": {"x": "a", "y": 1}})).await;
    assert_eq!((field.as_str(), rule.as_str()), ("/params", "has a member that the tool does not know"));
    let (field, _) = refused(&*meta, json!({"name": "p", "params": {}})).await;
    assert_eq!(field, "/name");
    for optional in ["type = \"string\"\nrequired = false", "type = \"string\"\ndefault = \"a\""] {
        let prepared = shop.load(&entry(optional)).await.unwrap();
        assert!(plan(&*tool(&prepared, "q"), &ann(), json!({})).await.is_ok(), "{optional}");
    }
}

#[tokio::test]
async fn an_identity_bound_parameter_is_in_no_schema_and_cannot_be_sent() {
    let shop = Shop::open().await;
    let prepared = shop.load(&entry("type = \"string\"\nbind = \"tenant\"")).await.unwrap();
    let alone = tool(&prepared, "q");
    let properties = alone.spec().input_schema["properties"].as_object().unwrap();
    assert_eq!(properties.keys().collect::<Vec<_>>(), ["cursor"]);
    assert!(plan(&*alone, &ann(), json!({})).await.is_ok());
    let (_, rule) = refused(&*alone, json!({"x": "globex"})).await;
    assert_eq!(rule, "has a member that the tool does not know");
    let meta = tool(&prepared, "run_catalog_query");
    let (field, _) = refused(&*meta, json!({"name": "q", "params": {"x": "globex"}})).await;
    assert_eq!(field, "/params");
}

#[tokio::test]
async fn a_caller_without_the_claim_is_refused() {
    let shop = Shop::open().await;
    let prepared = shop.load(&entry("type = \"integer\"\nmin = 1\nbind = \"claim:region\"")).await.unwrap();
    let alone = tool(&prepared, "q");
    for (claim, fits) in [(None, false), (Some("x"), false), (Some("0"), false), (Some("7"), true)] {
        let caller = match claim {
            Some(value) => ann().with_claim("region", value),
            None => ann().with_claim("other", "7"),
        };
        let planned = plan(&*alone, &caller, json!({})).await;
        assert_eq!(planned.is_ok(), fits, "{claim:?}");
        if let Err(error) = planned {
            assert_eq!(error.denied.public(), "your identity does not hold what this query needs");
        }
    }
}

#[tokio::test]
async fn aliases_are_replaced_and_their_rules_hold_for_what_they_stand_for() {
    let shop = Shop::open().await;
    let rules = "type = \"string\"\npattern = \"[A-Z]{2}\"\naliases = { virginia = \"VA\" }";
    let prepared = shop.load(&entry(rules)).await.unwrap();
    let alone = tool(&prepared, "q");
    for good in ["VA", " Virginia ", "PR"] {
        assert!(plan(&*alone, &ann(), json!({"x": good})).await.is_ok(), "{good}");
    }
    let (field, rule) = refused(&*alone, json!({"x": "Virginias"})).await;
    assert_eq!((field.as_str(), rule.as_str()), ("/x", "must match the pattern ^(?:[A-Z]{2})$"));
}

#[tokio::test]
async fn a_call_touches_what_its_statement_touches_and_the_entry_itself() {
    let shop = Shop::open().await;
    let text = "[query.names]\ndescription = \"d\"\ndatabase = \"shop\"\nsql = \"SELECT upper(name) FROM customers\"\n";
    let prepared = shop.load(text).await.unwrap();
    let planned =
        plan(&*tool(&prepared, "run_catalog_query"), &ann(), json!({"name": "names"})).await.unwrap();
    let mut touched: Vec<String> = planned.accesses.iter().map(ToString::to_string).collect();
    touched.sort();
    assert_eq!(
        touched,
        [
            "read column shop.customers.name",
            "read table shop.customers",
            "use function shop.upper",
            "use query shop.names"
        ]
    );
}

#[tokio::test]
async fn what_cannot_run_is_refused_when_it_is_loaded() {
    let shop = Shop::open().await;
    let query = |sql: &str, more: &str| {
        format!("[query.q]\ndescription = \"d\"\ndatabase = \"shop\"\nsql = \"\"\"{sql}\"\"\"\n{more}\n")
    };
    let one = "[query.q.params.x]\ntype = \"string\"";
    for (text, said) in [
        (query("DELETE FROM customers", ""), "[forbidden_action]"),
        (query("SELECT 1; SELECT 2", ""), "[one_statement]"),
        (query("SELECT * FROM no_such", ""), "[unknown_name]"),
        (query("SELECT :y", one), "uses `:y`, which is no parameter"),
        (query("SELECT 1", one), "`query.q.params.x` is not used"),
        (query("SELECT ':x'", one), "`query.q.params.x` is not used"),
        (query("SELECT ?", ""), "must name its placeholders"),
        (
            query("SELECT name FROM customers", "mask = [\"mail\"]"),
            "names a column that the result does not have",
        ),
        (query("SELECT 1 AS a, 2 AS a", "result = { key = \"r\" }"), "needs columns of different names"),
        (query("SELECT 1, 2", "result = { key = \"r\", rows = \"value\" }"), "needs exactly one column"),
        (query("SELECT 1", "power = \"read-high\""), "must be true for an entry of class read-high"),
        (query("SELECT 1", "power = \"write-low\"\nexpose = true"), "with `write = true`"),
        (query("SELECT 1", "").replace("shop", "shoq"), "did you mean `shop`?"),
        (
            "[entity.e]\ndescription = \"d\"\ndatabase = \"shop\"\ntable = \"customers; DROP\"\n".into(),
            "must be identifiers",
        ),
        (
            "[entity.e]\ndescription = \"d\"\ndatabase = \"shop\"\ntable = \"no_such\"\n".into(),
            "[unknown_name]",
        ),
    ] {
        let problems = shop.problem(&text).await;
        assert!(problems.contains(said), "{text}\n{problems}");
    }
}

#[tokio::test]
async fn entries_of_a_higher_class_run_only_under_their_own_name() {
    let shop = Shop::open().await;
    let high = "[query.high]\ndescription = \"d\"\ndatabase = \"shop\"\nsql = \"SELECT value FROM secrets\"\npower = \"read-high\"\nexpose = true\n";
    let text = format!("{high}{}", entry("type = \"string\""));
    let prepared = shop.load(&text).await.unwrap();
    assert_eq!(tool(&prepared, "high").spec().power.name(), "read-high");
    let (field, _) = refused(&*tool(&prepared, "run_catalog_query"), json!({"name": "high"})).await;
    assert_eq!(field, "/name");
}
