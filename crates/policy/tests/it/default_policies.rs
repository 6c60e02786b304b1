//! Each default policy decides something: removing it flips the test of its name. No list in the program decides in its place.

use countersign_core::{
    Access, Action, Object, Principal,
    Verdict::{self, Allow, Deny},
};
use countersign_policy::Policies;

use crate::support::*;

/// A question, and the answer while the policy is there.
type Question = (&'static str, fn(&Policies) -> Verdict, Verdict);

/// One question for each default policy, whose answer changes when the policy is removed.
const FLIPS: [Question; 21] = [
    ("call-read-low", |p| call(p, &operator(), "list_tables", NO_ARGUMENTS).verdict, Allow),
    ("call-read-high", |p| call(p, &operator(), "query_shop", NO_ARGUMENTS).verdict, Allow),
    ("call-write-low", |p| call(p, &operator(), "add_note", NO_ARGUMENTS).verdict, HELD),
    ("call-write-high", |p| call(p, &admin(), "refund_order", NO_ARGUMENTS).verdict, HELD),
    ("write-tables", |p| writes(p, table("customers")), Allow),
    ("write-columns", |p| writes(p, column("customers", "email")), Allow),
    ("write-files", |p| writes(p, path("docs", "notes/a.md")), Allow),
    ("write-hosts", |p| writes(p, Object::Host { host: "example.com".into(), port: 443 }), Allow),
    ("read-tables", |p| reads(p, table("customers")), Allow),
    ("read-columns", |p| reads(p, column("customers", "email")), Allow),
    ("use-functions", |p| uses(p, "count"), Allow),
    ("use-queries", |p| access(p, &operator(), "query_shop", &query("find_customers")).verdict, Allow),
    ("read-files", |p| reads(p, path("docs", "notes/a.md")), Allow),
    ("connect-hosts", connects, Allow),
    ("secret-files", |p| reads(p, path("docs", "deploy/.ENV")), Deny),
    ("secret-file-types", |p| reads(p, path("docs", "tls/server.key")), Deny),
    ("secret-directories", |p| reads(p, path("docs", "sub/.git/config")), Deny),
    ("restricted-tables", |p| reads(p, table("restricted_salaries")), Deny),
    ("secret-columns", |p| reads(p, column("users", "password_hash")), Deny),
    ("engine-tables", |p| reads(p, table("sqlite_master")), Deny),
    ("engine-functions", |p| uses(p, "load_extension"), Deny),
];

fn query(name: &str) -> Access {
    Access::required(Action::Use, Object::Query { database: "shop".into(), name: name.into() })
}

/// What one person must approve.
const HELD: Verdict = Verdict::Hold { approvals: 1 };

fn admin() -> Principal {
    person("acme", &["admin"])
}

fn writes(policies: &Policies, object: Object) -> Verdict {
    access(policies, &admin(), "refund_order", &Access::required(Action::Write, object)).verdict
}

fn connects(policies: &Policies) -> Verdict {
    let host = Object::Host { host: "example.com".into(), port: 443 };
    access(policies, &admin(), "refund_order", &Access::required(Action::Connect, host)).verdict
}

fn uses(policies: &Policies, name: &str) -> Verdict {
    access(policies, &operator(), "query_shop", &Access::required(Action::Use, function(name))).verdict
}

#[test]
fn write_files() {
    flips("write-files");
    assert_eq!(writes(&defaults(), path("docs", ".git/hooks/pre-commit")), Deny);
}

#[test]
fn write_hosts() {
    flips("write-hosts");
    let sent = Access::required(Action::Write, Object::Host { host: "example.com".into(), port: 443 });
    let operator = access(&defaults(), &operator(), "refund_order", &sent).verdict;
    assert_eq!(operator, Deny, "who may read a host may not send to it");
}

#[test]
fn read_files() {
    flips("read-files");
    assert_eq!(reads(&defaults(), path("vault", "a.md")), Deny, "another tenant's root");
}

#[test]
fn secret_files() {
    flips("secret-files");
    flips("secret-file-types");
    flips("secret-directories");
    for name in [
        ".env",
        "x/.env.local",
        "prod.env",
        "tls/server.key",
        "A.PEM",
        "id_rsa",
        "x/id_ed25519.pub",
        ".ssh/config",
        "home/.ssh/known_hosts",
        "sub/.git/config",
        ".git/hooks/pre-commit",
        ".aws/credentials",
        "credentials.json",
        "secrets.yaml",
        ".netrc",
        "x/.pgpass",
        ".bash_history",
        "terraform.tfstate",
        "ann.operator-key",
    ] {
        assert_eq!(reads(&defaults(), path("docs", name)), Deny, "{name}");
    }
    for name in [
        "a.md",
        "environment.md",
        "keys.md",
        "src/secrets/mod.rs",
        "password_reset.rs",
        ".gitignore",
        ".github/x.yml",
        "token.rs",
    ] {
        assert_eq!(reads(&defaults(), path("docs", name)), Allow, "{name}");
    }
}

fn flips(id: &str) {
    let (_, ask, expected) = FLIPS.iter().find(|(name, ..)| *name == id).expect("a question for the policy");
    assert_eq!(ask(&defaults()), *expected, "with `{id}`");
    let flipped = if *expected == Deny { Allow } else { Deny };
    assert_eq!(ask(&defaults_without(id)), flipped, "without `{id}`");
}

#[test]
fn every_default_policy_has_a_question() {
    let mut asked: Vec<String> = FLIPS.iter().map(|(id, ..)| (*id).to_owned()).collect();
    asked.sort();
    assert_eq!(default_ids(), asked);
}

#[test]
fn call_read_low() {
    flips("call-read-low");
}

#[test]
fn call_read_high() {
    flips("call-read-high");
}

#[test]
fn call_write_low() {
    flips("call-write-low");
}

#[test]
fn call_write_high() {
    flips("call-write-high");
}

#[test]
fn write_tables() {
    flips("write-tables");
}

#[test]
fn write_columns() {
    flips("write-columns");
}

#[test]
fn read_tables() {
    flips("read-tables");
}

#[test]
fn read_columns() {
    flips("read-columns");
}

#[test]
fn use_functions() {
    flips("use-functions");
}

#[test]
fn connect_hosts() {
    flips("connect-hosts");
}

#[test]
fn use_queries() {
    flips("use-queries");
}

#[test]
fn restricted_tables() {
    flips("restricted-tables");
}

#[test]
fn secret_columns() {
    flips("secret-columns");
}

#[test]
fn engine_tables() {
    flips("engine-tables");
}

#[test]
fn engine_functions() {
    flips("engine-functions");
}

#[test]
fn what_is_refused_and_what_is_not() {
    let policies = defaults();
    let refused = [
        table("restricted_salaries"),
        table("hr.restricted_pay"),
        table("restricted.salaries"),
        column("restricted_salaries", "amount"),
        column("users", "password_hash"),
        column("users", "passwordhash"),
        column("users", "api_token"),
        column("users", "refresh_token"),
        column("app", "client_secret"),
        column("app", "secret_sauce"),
        column("app", "stripe_api_key"),
        table("sqlite_schema"),
        table("sqlite_stat1"),
        table("temp.sqlite_master"),
        table("pragma_table_info"),
        table("dbstat"),
        column("sqlite_master", "sql"),
    ];
    for object in refused {
        assert_eq!(reads(&policies, object.clone()), Deny, "{object}");
    }
    let allowed = [
        table("customers"),
        table("Order Details"),
        table("restrictedness"),
        column("users", "login"),
        column("users", "email"),
        column("usage", "token_count"),
        column("orders", "total"),
        table("json_each"),
        table("documents_content"),
    ];
    for object in allowed {
        assert_eq!(reads(&policies, object.clone()), Allow, "{object}");
    }
}

#[test]
fn a_refusal_names_its_policy() {
    let read = Access::required(Action::Read, column("users", "password_hash"));
    let decision = access(&defaults(), &operator(), "query_shop", &read);
    assert_eq!(decision.policies, ["user/default/secret-columns"]);
    assert_eq!(decision.error, None);
}

#[test]
fn they_name_no_database_and_hold_for_another() {
    use countersign_policy::{DatabaseFact, RegistryFacts};
    let facts =
        RegistryFacts { databases: vec![DatabaseFact { name: "clinic".into(), tenant: None }], ..facts() };
    let policies = Policies::from_files(&default_files(), &facts).expect("valid for any database");
    let column = |column: &str| countersign_core::Object::Column {
        database: "clinic".into(),
        table: "patients".into(),
        column: column.into(),
    };
    assert_eq!(reads(&policies, column("name")), Allow);
    assert_eq!(reads(&policies, column("portal_secret")), Deny);
    for file in default_files() {
        assert!(!file.text.contains("Database::") && !file.text.contains("shop"), "a database is named");
    }
}

#[test]
fn nothing_changes_without_the_role_for_it_and_a_person() {
    let ask =
        |role: &str, tool: &str| call(&defaults(), &person("acme", &[role]), tool, NO_ARGUMENTS).verdict;
    for role in ["reader", "analyst"] {
        assert_eq!((ask(role, "add_note"), ask(role, "refund_order")), (Deny, Deny), "{role}");
    }
    assert_eq!((ask("operator", "add_note"), ask("operator", "refund_order")), (HELD, Deny));
    assert_eq!((ask("admin", "add_note"), ask("admin", "refund_order")), (HELD, HELD));
    assert_eq!((ask("reader", "query_shop"), ask("analyst", "query_shop")), (Deny, Allow));
}

#[test]
fn every_file_of_the_folder_is_shipped() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder of shipped policies")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(files, default_files().into_iter().map(|file| file.name).collect::<Vec<_>>());
}

/// Names as PostgreSQL and ODBC drivers spell them: with a schema, and in any case.
#[test]
fn what_is_forbidden_is_forbidden_in_every_spelling() {
    let policies = defaults();
    for name in [
        "pg_catalog.pg_authid",
        "pg_toast.pg_toast_1262",
        "information_schema.columns",
        "INFORMATION_SCHEMA.COLUMNS",
        "shop.information_schema.tables",
        "sys.objects",
        "restricted.salaries",
        "public.restricted_salaries",
        "Restricted.Salaries",
    ] {
        assert_eq!(reads(&policies, table(name)), Deny, "{name}");
        assert_eq!(reads(&policies, column(name, "id")), Deny, "{name}.id");
    }
    for name in ["accessToken", "passwordHash", "API_KEY", "clientSecret", "password"] {
        assert_eq!(reads(&policies, column("public.Users", name)), Deny, "{name}");
    }
    for name in ["pg_read_file", "set_config", "dblink_exec", "query_to_xml", "pg_sleep_for", "lo_import"] {
        assert_eq!(uses(&policies, name), Deny, "{name}");
    }
    for (table_name, column_name) in [("public.customers", "email"), ("sales.Orders", "placedAt")] {
        assert_eq!(reads(&policies, column(table_name, column_name)), Allow, "{table_name}.{column_name}");
    }
    for name in ["lower", "pg_typeof", "jsonb_agg", "app.tax_rate"] {
        assert_eq!(uses(&policies, name), Allow, "{name}");
    }
}

/// A comment that does not parse misleads whoever copies it.
#[test]
fn the_examples_in_comments_are_valid_policies() {
    let mut shipped = countersign_policy::DEFAULT_POLICIES.iter();
    let (_, text) = shipped.find(|(name, _)| *name == "default.cedar").expect("it is shipped");
    let examples: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("//   ")).collect();
    assert_eq!(examples.iter().filter(|line| line.starts_with("@id")).count(), 8);
    let policies = with_defaults(&examples.join("\n"));
    assert_eq!(reads(&policies, column("customers", "email")), Deny);
    let mask = Access::required(Action::Mask, column("customers", "email"));
    let reader = person("north", &["reader"]);
    assert_eq!(access(&policies, &reader, "query_shop", &mask).verdict, Allow);
    assert_eq!(access(&policies, &operator(), "query_shop", &mask).verdict, Allow, "an operator is a reader");
    let stranger = person("north", &["support"]);
    assert_eq!(access(&policies, &stranger, "query_shop", &mask).verdict, Deny);
}
