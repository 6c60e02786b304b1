//! Reading catalogs: what is accepted, and every problem with its place.

use super::*;

const GOOD: &str = r#"
[query.find_customers]
title = "Find customers"
description = "Customers of a state, and of a city if one is given"
database = "shop"
sql = "SELECT id, name FROM customers WHERE state = :state AND (:city IS NULL OR city = :city) AND tenant = :tenant"
rows = { param = "max_rows" }
mask = ["name"]
expose = true
result = { key = "results", count = "count", truncated = "truncated", echo = ["state"] }

[query.find_customers.params.state]
type = "string"
pattern = "[A-Z]{2}"
aliases = { virginia = "VA", "new york" = "NY" }

[query.find_customers.params.city]
type = "string"
required = false

[query.find_customers.params.max_rows]
type = "integer"
min = 1
max = 1000
default = 100

[query.find_customers.params.tenant]
type = "string"
bind = "tenant"

[entity.customers]
aliases = ["Customer", "clients"]
database = "shop"
table = "main.customers"
description = "Who buys"

[answer.describe_server]
description = "What this server is"
value = { server = "shop", mode = "read-only", capabilities = ["a", "b"] }
"#;

fn problems(text: &str) -> Vec<String> {
    let errors = Catalog::parse(&[("shop.toml", text)]).expect_err("the catalog has problems");
    errors.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_catalog_is_read() {
    let catalog = Catalog::parse(&[("shop.toml", GOOD)]).unwrap();
    let query = &catalog.queries[0];
    assert_eq!(&*query.name, "find_customers");
    assert_eq!(query.rows, RowLimit::Param("max_rows".into()));
    assert_eq!(query.place().line, 2);
    let names: Vec<_> = query.params.iter().map(|p| (p.name.as_str(), p.origin.clone())).collect();
    assert_eq!(
        names,
        [
            ("city", Origin::Optional),
            ("max_rows", Origin::Default(100.into())),
            ("state", Origin::Required),
            ("tenant", Origin::Identity(Bind::Tenant)),
        ]
    );
    assert_eq!(query.params[2].schema["pattern"], "^(?:[A-Z]{2})$");
    assert_eq!(query.params[2].aliases["new york"], "NY");
    assert_eq!(catalog.entities[0].aliases, ["customer", "clients"]);
    assert_eq!(catalog.answers[0].value["capabilities"][1], "b");
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let text = r#"
[query.find]
descripton = "typo"
database = "shop"
sql = "SELECT 1"
power = "read-hgh"

[query.find.params.state]
type = "strin"

[query.find.params.n]
type = "integer"
min = 5
max = 1

[query.Bad-Name]
description = "x"
"#;
    assert_eq!(
        problems(text),
        [
            "shop.toml:2:1: `query.find.description` is missing\n  help: add `description = \"...\"`",
            "shop.toml:3:1: unknown key `query.find.descripton`\n  help: did you mean `description`?",
            "shop.toml:6:9: `query.find.power` must be one of \"read-low\", \"read-high\", \"write-low\", \"write-high\"\n  help: did you mean \"read-high\"?",
            "shop.toml:9:8: `query.find.params.state.type` must be one of \"string\", \"integer\", \"number\", \"boolean\", \"date\", \"timestamp\", \"uuid\", \"array\"\n  help: did you mean \"string\"?",
            "shop.toml:13:7: `query.find.params.n.min` must not be greater than `max`",
            "shop.toml:16:1: `query.Bad-Name` must be a name of 1-64 lower-case letters, digits and `_` that starts with a letter",
        ]
    );
}

/// Rows beyond an entry's own limit are not to be had, unless the entry says so.
#[test]
fn pages_are_for_entries_without_a_limit_and_for_those_that_say_so() {
    let entry = |more: &str| {
        format!("[query.q]\ndescription = \"d\"\ndatabase = \"shop\"\nsql = \"SELECT 1\"\n{more}\n")
    };
    for (more, paged) in [
        ("", true),
        ("paged = true", true),
        ("paged = false", false),
        ("rows = 10", false),
        ("rows = 10\npaged = true", true),
        ("result = { key = \"r\" }", false),
        ("write = true\nexpose = true", false),
        ("[query.q.params.cursor]\ntype = \"string\"", false),
    ] {
        let catalog = Catalog::parse(&[("shop.toml", &entry(more))]).unwrap();
        assert_eq!(catalog.queries[0].paged, paged, "{more}");
    }
    for more in [
        "paged = true\nresult = { key = \"r\" }",
        "paged = true\nwrite = true\nexpose = true",
        "paged = true\n[query.q.params.cursor]\ntype = \"string\"",
    ] {
        let found = problems(&entry(more));
        assert!(found.len() == 1 && found[0].contains("paged"), "{more}: {found:?}");
    }
}

#[test]
fn a_resource_has_a_uri_of_its_operators_choice_and_nobody_elses_scheme() {
    let entry = |uri: &str| format!("[resource.r]\nuri = \"{uri}\"\ntool = \"t\"\ndescription = \"d\"\n");
    for (uri, variable) in [
        ("semantic://entities", None),
        ("schema://schema/{table}", Some("table")),
        ("x+y.z-1://a.b/c_d/~e/{id}", Some("id")),
    ] {
        let catalog = Catalog::parse(&[("shop.toml", &entry(uri))]).unwrap();
        assert_eq!(catalog.resources[0].variable.as_deref(), variable, "{uri}");
    }
    for (uri, rule) in [
        ("entities", "must have a scheme and `://`"),
        ("Semantic://entities", "must begin with a scheme in lower case"),
        ("://entities", "must begin with a scheme in lower case"),
        ("https://a.example/b", "must not be of a scheme that clients or file roots serve"),
        ("file://docs/a", "must not be of a scheme that clients or file roots serve"),
        ("a://", "must be of letters, digits and `-._~/`, with a host"),
        ("a:///{id}", "must be of letters, digits and `-._~/`, with a host"),
        ("a://b c", "must be of letters, digits and `-._~/`, with a host"),
        ("a://b?c=d", "must be of letters, digits and `-._~/`, with a host"),
        ("a://b/%2e%2e", "must be of letters, digits and `-._~/`, with a host"),
        ("a://{id}", "must be of letters, digits and `-._~/`, with a host"),
        ("a://b/{id}/c", "must end with its one variable"),
        ("a://b/{+path}", "must end with its one variable"),
        ("a://b/{x}/{y}", "must be of letters, digits and `-._~/`, with a host"),
    ] {
        let found = problems(&entry(uri));
        assert!(found.len() == 1 && found[0].contains(rule), "{uri}: {found:?}");
    }
}
