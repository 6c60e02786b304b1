//! Who may do what, as one table: principals by tools and objects, under the default policies.

use std::fmt::Write;

use countersign_core::{Access, Action, Object, Principal, PrincipalKind, Verdict};

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
