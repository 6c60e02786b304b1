//! Resources of the catalog through the whole server: the same answers as the tools behind them, over the same road, and never a write.

use serde_json::{Value, json};

use crate::world::*;

const CATALOG: &str = r#"
[query.get_product]
description = "One product"
database = "shop"
sql = "SELECT sku, name FROM products WHERE id = :id"
expose = true
result = { key = "product", rows = "object" }
[query.get_product.params.id]
type = "integer"
max = 100

[query.salaries]
description = "What the default policies forbid"
database = "shop"
sql = "SELECT amount FROM restricted_salaries"
expose = true

[query.rename]
description = "Changes a product"
database = "shop"
sql = "UPDATE products SET name = 'x' WHERE id = 1"
write = true
expose = true

[entity.products]
aliases = ["goods"]
database = "shop"
table = "products"
description = "What is sold"

[answer.house_rules]
description = "What holds here"
value = """
Prices are in euros.
"""

[resource.product]
uri = "shop://products/{id}"
title = "A product"
description = "One product by its number"
tool = "get_product"

[resource.salaries]
uri = "shop://salaries"
description = "What is earned"
tool = "salaries"

[resource.goods]
uri = "shop://goods"
description = "How many products"
tool = "count_entities"
arguments = { entity = "goods" }

[resource.rules]
uri = "domain://rules"
description = "What holds here"
tool = "house_rules"

[resource.tables]
uri = "schema://everything"
description = "The tables"
tool = "list_tables"
arguments = { database = "shop" }
"#;

fn world(shop: &str, more: &str) -> World {
    let shape = Shape { shop: format!("timeout = \"2s\"\nallow_writes = true\n{shop}"), ..Shape::default() };
    World::new_with(shape, |dir| {
        std::fs::create_dir(dir.join("catalog")).unwrap();
        std::fs::write(dir.join("catalog/shop.toml"), format!("{CATALOG}{more}")).unwrap();
    })
}

fn read(client: &mut Client, uri: &str) -> Value {
    client.modern("resources/read", json!({"uri": uri})).json()
}

fn text(message: &Value) -> &str {
    message["result"]["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{message}"))
}

fn uris(client: &mut Client) -> Vec<String> {
    let mut uris = Vec::new();
    for (method, member, key) in [
        ("resources/list", "resources", "uri"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate"),
    ] {
        let listed = client.modern(method, json!({})).json();
        let all = listed["result"][member].as_array().unwrap().clone();
        uris.extend(all.iter().map(|one| one[key].as_str().unwrap().to_owned()));
    }
    uris
}

#[test]
fn a_resource_is_what_its_tool_answers() {
    let world = world("", "");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    assert_eq!(
        uris(&mut ann),
        [
            "domain://rules",
            "schema://everything",
            "schema://shop",
            "shop://goods",
            "shop://salaries",
            "schema://shop/{table}",
            "shop://products/{id}"
        ]
    );
    let product = undelimited(text(&read(&mut ann, "shop://products/1")));
    assert_eq!(product, json!({"product": {"sku": "A-1", "name": "Anvil"}}));
    let goods = undelimited(text(&read(&mut ann, "shop://goods")));
    assert_eq!(goods, json!({"entity": "products", "table": "products", "total": 3}));
    let tables = read(&mut ann, "schema://everything");
    assert!(
        text(&tables).contains("customers") && !text(&tables).contains("restricted_salaries"),
        "{tables}"
    );
    // A text is one, for tools and as a resource.
    let rules = read(&mut ann, "domain://rules");
    assert_eq!(text(&rules), "Prices are in euros.\n");
    assert_eq!(rules["result"]["contents"][0]["mimeType"], "text/plain");
    assert_eq!(text_of(&ann.call("house_rules", json!({}))), "Prices are in euros.\n");
    // The rules of the parameter hold for the variable.
    for uri in ["shop://products/one", "shop://products/101", "shop://products/-1e3"] {
        let refused = read(&mut ann, uri);
        assert!(refused["error"]["message"].as_str().unwrap().contains("`/id`"), "{uri}: {refused}");
    }
    for uri in ["shop://products/", "shop://products/1/2", "shop://products/1%20OR%201=1", "shop://goods/x"] {
        assert_eq!(read(&mut ann, uri)["error"]["code"], -32602, "{uri}");
    }
    // Policy decides on what the tool touches, and the record names the resource.
    let refused = read(&mut ann, "shop://salaries");
    assert!(refused["error"]["message"].as_str().unwrap().contains("restricted_salaries"), "{refused}");
    let log = world.command(&["audit", "search", "--json", "-n", "1000"]);
    assert!(log.contains("shop://products/1") && log.contains("shop://salaries"), "{log}");
}

#[test]
fn a_resource_is_there_for_those_who_see_its_tool() {
    let world = world("tenant = \"acme\"", "");
    let forbid = "@id(\"no-rules\")\nforbid (principal, action == Action::\"house_rules\", resource);\n";
    std::fs::write(world.dir.path().join("policies/extra.cedar"), forbid).unwrap();
    let _server = world.serve();
    let (mut ann, mut bob) = (world.client(&world.ann), world.client(&world.bob));
    assert!(!uris(&mut ann).contains(&"domain://rules".to_owned()));
    assert_eq!(
        read(&mut ann, "domain://rules")["error"]["code"],
        read(&mut ann, "domain://none")["error"]["code"]
    );
    // The database is acme's: what reads it does not exist for globex.
    let seen = uris(&mut bob);
    for uri in ["schema://everything", "shop://salaries", "shop://products/{id}", "schema://shop"] {
        assert!(!seen.contains(&uri.to_owned()), "{seen:?}");
    }
    let unknown = read(&mut bob, "schema://none");
    for uri in ["schema://everything", "shop://products/1"] {
        assert_eq!(read(&mut bob, uri)["error"]["code"], unknown["error"]["code"], "{uri}");
    }
}

#[test]
fn what_cannot_be_a_resource_is_named_with_its_place() {
    for (entry, expected) in [
        ("tool = \"rename\"", "`resource.bad.tool` must name a tool that only reads"),
        ("tool = \"get_prodict\"", "did you mean `get_product`?"),
        ("tool = \"write_shop\"", "`resource.bad.tool` must name a tool of the catalog"),
        (
            "tool = \"get_product\"",
            "`resource.bad.arguments` are not what the tool takes: the member \"id\" is required",
        ),
        ("tool = \"get_product\"\narguments = { id = \"1\" }", "at `/id` must be of type integer"),
        ("tool = \"get_product\"\narguments = { id = 1, x = 2 }", "has a member that the tool does not know"),
        ("tool = \"list_tables\"\narguments = { database = \"other\" }", "must name a configured database"),
    ] {
        let more = format!("\n[resource.bad]\nuri = \"a://b\"\ndescription = \"d\"\n{entry}\n");
        let refused = world("", &more).try_command(&["catalog", "check"]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(3) && said.contains(expected), "{entry}: {said}");
        let line = CATALOG.lines().count() + 2;
        assert!(said.contains(&format!("shop.toml:{line}:1")), "{line}: {said}");
    }
    for (uri, tool, expected) in [
        ("shop://goods/{id}", "house_rules", "has the variable `id`, which must be a parameter of the tool"),
        ("shop://goods", "house_rules", "the resources `shop://goods` and `shop://goods` share a URI"),
        ("shop://products/9", "house_rules", "share a URI"),
        ("schema://shop/{table}", "get_product", "has the variable `table`"),
        ("schema://shop/users", "house_rules", "share a URI"),
    ] {
        let more = format!("\n[resource.bad]\nuri = \"{uri}\"\ndescription = \"d\"\ntool = \"{tool}\"\n");
        let refused = world("", &more).try_command(&["catalog", "check"]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(3) && said.contains(expected), "{uri}: {said}");
    }
}
