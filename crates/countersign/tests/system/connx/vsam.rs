//! The move from `connx-database-server`.

use serde_json::{Value, json};

use super::{SOURCE, VSAM, site::Site};

const DATABASE: &str = "daea_mainframe_vsam";
const CUSTOMERS: &str = "daea_Mainframe_VSAM.dbo.CUSTOMERS_VSAM";

fn site() -> Site {
    Site::new("vsam", DATABASE, VSAM)
}

fn configured() -> Site {
    let site = site();
    let output = site.configure("CONNX_PASS=correct-horse-battery\n", &SOURCE);
    assert!(output.status.success(), "{output:?}");
    site
}

#[test]
fn the_variables_of_the_sample_become_settings() {
    let site = site();
    let missing = |dotenv: &str, variables: &[(&str, &str)]| {
        let output = site.configure(dotenv, variables);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap().trim().to_owned()
    };
    assert_eq!(missing("", &[]), "Missing required config values: CONNX_DSN, CONNX_USER, CONNX_PASS");
    assert_eq!(missing("CONNX_DSN=A\nCONNX_PASS='x'\n", &[]), "Missing required config values: CONNX_USER");
    let foreign = missing("CONNX_PASS=x\n", &[("CONNX_DSN", "A;Trace=1"), ("CONNX_USER", "u")]);
    assert!(foreign.contains("CONNX_DSN has a character"), "{foreign}");

    // The environment wins over `.env`; what is no number counts as the default.
    let dotenv =
        "CONNX_DSN=\"OLD\"\nCONNX_USER = 'connx'\nCONNX_PASS=x\nCONNX_TIMEOUT=7\nCONNX_MAX_ROWS=many\n";
    assert!(site.configure(dotenv, &[("CONNX_DSN", "MAINFRAME")]).status.success());
    let settings = site.settings();
    for line in ["url = \"odbc:DSN=MAINFRAME;UID=connx\"", "timeout = \"7s\"", "rows = 1000 "] {
        assert!(settings.contains(line), "{line}:\n{settings}");
    }
    assert!(site.configure(dotenv, &[("CONNX_DSN", "MAINFRAME"), ("CONNX_MAX_ROWS", "2")]).status.success());
    site.command(&["config", "check"], &[]);
    site.command(&["policy", "check"], &[]);
    assert!(site.command(&["catalog", "check"], &[]).contains("queries of the catalog can run"));

    let mut client = site.open(&[]);
    let cut = client.answer("query_connx", json!({"query": format!("SELECT CUSTOMERID FROM {CUSTOMERS}")}));
    assert_eq!((&cut["row_count"], &cut["truncated"]), (&json!(2), &json!(true)), "{cut}");
    drop(client);

    // The password is asked for by name, and in no file here.
    let output = site.binary(&["config", "check"], &[]).env_remove("CONNX_PASS").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("`CONNX_PASS`"), "{text}");
    assert!(!site.settings().contains("correct-horse-battery"));
}

#[test]
fn every_tool_answers_as_the_sample_did() {
    let site = configured();
    let mut client = site.open(&[]);
    assert_eq!(
        client.tools(),
        [
            "count_customers",
            "count_entities",
            "customer_cities",
            "customer_orders_for_product",
            "customers_by_state",
            "customers_missing_phone",
            "describe_entities",
            "describe_table",
            "domain_customers",
            "domain_datasets",
            "find_customers",
            "get_customer",
            "list_catalog",
            "list_tables",
            "query_connx",
            "run_catalog_query",
        ]
    );
    // The driver folds names to lower case; CONNX gives them as they are declared.
    for (tool, arguments, expected) in [
        ("count_customers", json!({}), json!({"total_customers": 3})),
        (
            "customers_by_state",
            json!({}),
            json!({"states": [{"state": "VA", "customer_count": 2}, {"state": "TX", "customer_count": 1}]}),
        ),
        (
            "customer_cities",
            json!({}),
            json!({"cities": [{"city": "Austin"}, {"city": "Norfolk"}, {"city": "Richmond"}]}),
        ),
        (
            "customers_missing_phone",
            json!({}),
            json!({"results": [{"customerid": "C2", "customername": "Bob"}], "count": 1}),
        ),
        (
            "get_customer",
            json!({"customer_id": "C3"}),
            json!({"customer": {
                "customerid": "C3", "customername": "Cem", "customeraddress": "3 Road", "customercity": "Austin",
                "customerstate": "TX", "customerzip": "73301", "customerphone": "777"
            }}),
        ),
        ("get_customer", json!({"customer_id": "C9"}), json!({"customer": null})),
        ("find_customers", json!({"state": "PR"}), json!({"results": [], "count": 0, "truncated": false})),
        (
            "customer_orders_for_product",
            json!({"customer_id": "C1", "product_name": "lamp", "max_rows": 1}),
            json!({
                "customer_id": "C1", "product_name": "lamp", "count": 1, "truncated": true,
                "orders": [{
                    "orderid": 11, "orderdate": "2026-02-03", "productquantity": 5, "productname": "Lamp",
                    "customername": "Ann"
                }]
            }),
        ),
    ] {
        assert_eq!(client.answer(tool, arguments.clone()), expected, "{tool} {arguments}");
    }
    // A state by its code or its name, in any case and with blanks around it; and a city.
    for (arguments, count, truncated) in [
        (json!({"state": "VA"}), 2, false),
        (json!({"state": "  virginia  "}), 2, false),
        (json!({"state": "Virginia", "city": "Richmond"}), 1, false),
        (json!({"state": "va", "city": null}), 2, false),
        (json!({"state": "VA", "max_rows": 1}), 1, true),
    ] {
        let found = client.answer("find_customers", arguments.clone());
        assert_eq!((&found["count"], &found["truncated"]), (&json!(count), &json!(truncated)), "{arguments}");
    }
    let query = format!(
        "select CUSTOMERSTATE as S, count(*) as N from {CUSTOMERS} where CUSTOMERSTATE = ? group by CUSTOMERSTATE;"
    );
    assert_eq!(
        client.answer("query_connx", json!({"query": query, "params": ["VA"]})),
        json!({
            "columns": [{"name": "s", "type": "text"}, {"name": "n", "type": "integer"}], "rows": [["VA", 2]],
            "row_count": 1, "truncated": false
        })
    );
}

#[test]
fn entities_and_resources_keep_their_names() {
    let site = configured();
    let mut client = site.open(&[]);
    let described = client.answer("describe_entities", json!({}));
    let names: Vec<_> =
        described["entities"].as_array().unwrap().iter().map(|one| one["entity"].as_str().unwrap()).collect();
    assert_eq!(names, ["customers", "orders", "products"]);
    for (entity, table, total, aliases) in [
        (
            "customers",
            "CUSTOMERS_VSAM",
            3,
            &["customer", "customers", "Client", "clients", "accounts", "buyers", "companies"][..],
        ),
        ("orders", "ORDERS_VSAM", 3, &["order", "orders", "purchases", "transactions", "sales"]),
        ("products", "PRODUCTS_VSAM", 2, &["product", "products", "items", "inventory", "goods"]),
    ] {
        for alias in aliases {
            let counted = client.answer("count_entities", json!({"entity": alias}));
            let table = format!("daea_Mainframe_VSAM.dbo.{table}");
            assert_eq!(counted, json!({"entity": entity, "table": table, "total": total}), "{alias}");
        }
    }
    for unknown in ["ships", " "] {
        client.refusal("count_entities", json!({"entity": unknown}));
    }

    let (uris, templates) = client.uris();
    assert_eq!(
        uris,
        [
            "domain://datasets",
            "schema://connx",
            "schema://domain/customers",
            "schema://schema",
            "semantic://entities"
        ]
    );
    assert_eq!(templates, ["schema://connx/{table}", "schema://schema/{table}"]);
    assert_eq!(client.read("semantic://entities"), described);
    assert_eq!(client.read("domain://datasets"), client.answer("domain_datasets", json!({})));
    assert_eq!(client.read("domain://datasets")["datasets"][0]["logical_name"], "customers");
    assert_eq!(client.read("schema://domain/customers")["primary_key"], "CUSTOMERID");
    let listed = client.read("schema://schema");
    assert_eq!(listed, client.answer("list_tables", json!({"database": "connx"})));
    let table = format!("{DATABASE}.dbo.orders_vsam");
    assert!(listed["tables"].as_array().unwrap().iter().any(|one| one["name"] == *table), "{listed}");
    let described = client.read(&format!("schema://schema/{table}"));
    let columns: Vec<&Value> =
        described["columns"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(columns, ["orderid", "customerid", "productid", "orderdate", "productquantity"]);
    for uri in ["schema://nothing", "semantic://entities/", "semantic://entities?x", "schema://domain/orders"]
    {
        assert_eq!(client.missing(uri), -32002, "{uri}");
    }
}

/// What the sample's two checks let through (a text that begins with `select` and holds no semicolon) takes effect past Countersign, and does not
/// get through it.
#[test]
fn what_the_sample_lets_through_is_refused() {
    let site = configured();
    site.ask("CREATE FUNCTION dbo.f() RETURNS int LANGUAGE sql AS 'UPDATE dbo.products_vsam SET productid = 9 RETURNING 1'");
    let attacks = [
        (
            "SELECT * INTO dbo.pwned FROM dbo.customers_vsam",
            "SELECT to_regclass('dbo.pwned')::text",
            "dbo.pwned",
        ),
        ("SELECT dbo.f()", "SELECT min(productid) FROM dbo.products_vsam", "9"),
    ];
    let mut client = site.open(&[]);
    for (attack, question, _) in attacks {
        let before = site.ask(question);
        let refused = client.refusal("query_connx", json!({"query": attack}));
        assert!(refused.contains('['), "{attack}: {refused}");
        assert_eq!(site.ask(question), before, "{attack}");
    }
    for refused in [
        "SELECT CUSTOMERID FROM dbo.customers_vsam FOR UPDATE",
        "SELECT 1 DELETE FROM dbo.customers_vsam",
        "SELECT 1; DELETE FROM dbo.customers_vsam",
        "UPDATE dbo.customers_vsam SET customerphone = ''",
        "{call dbo.f()}",
    ] {
        client.refusal("query_connx", json!({"query": refused}));
    }
    // What the sample refused for its two checks' sake is answered.
    for query in [
        "WITH c AS (SELECT CUSTOMERID FROM dbo.customers_vsam) SELECT COUNT(*) AS n FROM c",
        "-- how many\nSELECT COUNT(*) AS n FROM dbo.customers_vsam;",
        "SELECT COUNT(*) AS n FROM dbo.customers_vsam WHERE CUSTOMERNAME <> 'a;b'",
    ] {
        assert_eq!(client.answer("query_connx", json!({"query": query}))["rows"], json!([[3]]), "{query}");
    }
    drop(client);
    for (attack, question, after) in attacks {
        site.unguarded(attack).unwrap();
        assert_eq!(site.ask(question), after, "the attack works: {attack}");
    }
    let audit = site.path().join("audit");
    let verified =
        std::process::Command::new(crate::world::BINARY).args(["audit", "verify"]).arg(audit).output();
    assert!(verified.unwrap().status.success());
}
