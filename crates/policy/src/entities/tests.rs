//! Identities are unique, whatever the names are.

use std::sync::Arc;

use countersign_core::{AuthMethod, Object, Principal, PrincipalKind};

use super::*;

fn names() -> Names {
    Names::new().expect("the fixed names are valid")
}

fn column(database: &str, table: &str, column: &str) -> EntityUid {
    let object = Object::Column { database: Arc::from(database), table: table.into(), column: column.into() };
    names().object(&object, None, &TrustedHosts::default()).uid
}

#[test]
fn dots_and_percents_in_names_do_not_make_two_columns_one() {
    let ids = [
        column("d", "a", "b.c"),
        column("d", "a.b", "c"),
        column("d", "a", "b%2ec"),
        column("d", "a", "b%252ec"),
        column("d", "a.b.c", ""),
        column("d", "", "a.b.c"),
    ];
    for (n, left) in ids.iter().enumerate() {
        for right in &ids[n + 1..] {
            assert_ne!(left, right);
        }
    }
}

#[test]
fn people_can_write_the_plain_ones() {
    assert_eq!(column("shop", "users", "email").to_string(), r#"Column::"shop.users.email""#);
}

#[test]
fn issuer_and_subject_do_not_run_into_each_other() {
    let user = |issuer: &str, subject: &str| {
        let principal = Principal::new(issuer, subject, PrincipalKind::Person, "t", AuthMethod::ApiKey);
        names().principal(&principal, &Roles::default()).uid
    };
    assert_ne!(user("a|b", "c"), user("a", "b|c"));
    assert_ne!(user("a", r#"" || true"#), user("a", ""));
}
