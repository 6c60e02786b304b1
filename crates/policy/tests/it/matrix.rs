//! Who may do what, as one table: principals by tools and objects, under the default policies.

use std::fmt::Write;

use countersign_core::{Access, Action, Object, Principal, PrincipalKind, Verdict};
use countersign_policy::{Matrix, Policies, Questions, access_of};

use crate::support::*;

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow => "allow".into(),
        Verdict::Deny => "-".into(),
        Verdict::Hold { approvals } => format!("hold {approvals}"),
    }
}

#[test]
fn authorization_matrix() {
    let policies = with_defaults(
        r#"
@id("support-may-write")
permit (principal in Role::"support", action in [Action::"add_note", Action::"refund_order"], resource);
"#,
    );
    let principals: [(&str, Principal); 8] = [
        ("operator", operator()),
        ("reader", person("acme", &["reader"])),
        ("reader of globex", person("globex", &["reader"])),
        ("support", person("acme", &["support"])),
        ("no role", person("acme", &[])),
        ("service reader", of_kind(PrincipalKind::Service, &["reader"])),
        ("shared support", of_kind(PrincipalKind::Shared, &["support", "reader"])),
        ("anonymous support", of_kind(PrincipalKind::Anonymous, &["support", "reader"])),
    ];
    let ledger = Object::Table { database: "ledger".into(), table: "entries".into() };
    let accesses = [
        Access::required(Action::Read, table("customers")),
        Access::required(Action::Read, table("restricted_salaries")),
        Access::required(Action::Read, column("customers", "email")),
        Access::required(Action::Read, column("users", "api_token")),
        Access::required(Action::Read, column("app", "client_secret")),
        Access::required(Action::Read, table("sqlite_master")),
        Access::required(Action::Read, ledger),
        Access::required(Action::Write, table("customers")),
        Access::required(Action::Use, function("count")),
        Access::required(Action::Use, function("load_extension")),
        Access::required(Action::Read, path("docs", "a.md")),
        Access::required(Action::Read, path("docs", ".env")),
        Access::required(Action::Read, path("vault", "a.md")),
        Access::required(Action::Write, path("docs", "a.md")),
    ];
    let mut rows = String::new();
    for (label, principal) in &principals {
        for tool in &facts().tools {
            let name = &tool.spec.name;
            let listed = word(listed(&policies, principal, name).verdict);
            let called = word(call(&policies, principal, name, NO_ARGUMENTS).verdict);
            writeln!(rows, "{label:<18} {:<34} list {listed:<6} call {called}", format!("call {name}"))
                .unwrap();
        }
        for wanted in &accesses {
            let verdict = word(access(&policies, principal, "query_shop", wanted).verdict);
            writeln!(rows, "{label:<18} {:<34} {verdict}", wanted.to_string()).unwrap();
        }
    }
    insta::assert_snapshot!(rows);
}

/// One object of each kind, and those that the shipped policies single out.
const PROBES: [&str; 22] = [
    "read table shop.customers",
    "read table shop.restricted_salaries",
    "read table shop.sqlite_master",
    "read column shop.customers.email",
    "read column shop.users.password_hash",
    "mask column shop.customers.email",
    "write table shop.customers",
    "write column shop.customers.email",
    "write column shop.users.password_hash",
    "use function shop.count",
    "use function shop.load_extension",
    "use query shop.find_customers",
    "read table ledger.entries",
    "read file docs/a.md",
    "read file docs/.env",
    "read file docs/tls/server.key",
    "read file docs/.git/config",
    "write file docs/a.md",
    "connect host example.com:443",
    "write host example.com:443",
    "execute command git",
    "execute interpreter python",
];

fn shipped(policies: &Policies) -> Matrix {
    let accesses = PROBES.map(|text| access_of(text).expect("an access"));
    let questions = Questions { facts: &facts(), tenant: "acme", roles: &[], accesses: &accesses, at: AT };
    policies.matrix(&questions)
}

/// What the shipped roles may, under the shipped policies.
#[test]
fn shipped_roles() {
    let matrix = shipped(&defaults());
    for role in ["admin", "analyst", "operator", "reader"] {
        assert!(matrix.roles.iter().any(|known| known == role), "the matrix does not show `{role}`");
    }
    for tool in &facts().tools {
        let row = format!("call {}", tool.spec.name);
        assert!(matrix.rows.iter().any(|known| known.what == row), "the matrix does not show `{row}`");
    }
    insta::assert_snapshot!(matrix);
}

#[test]
fn no_shipped_policy_can_go_unnoticed() {
    let whole = shipped(&defaults());
    for id in default_ids() {
        assert_ne!(shipped(&defaults_without(&id)), whole, "the matrix does not show `{id}`");
    }
}

#[test]
fn differences_are_named_by_row_and_role() {
    let (old, new) = (shipped(&defaults()), shipped(&defaults_without("call-read-high")));
    assert_eq!(
        old.differences(&new),
        [
            "call query_shop as admin: allow -> -",
            "call query_shop as analyst: allow -> -",
            "call query_shop as operator: allow -> -",
        ]
    );
    assert_eq!(old.differences(&old), Vec::<String>::new());
}
