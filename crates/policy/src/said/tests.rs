//! What is written is read back.

use super::*;

#[test]
fn what_a_record_says_is_read_back() {
    let objects = [
        Object::Table { database: "shop".into(), table: "public.Order Details".into() },
        Object::Column { database: "shop".into(), table: "public.users".into(), column: "e mail".into() },
        Object::Function { database: "shop".into(), name: "app.tax".into() },
        Object::Query { database: "shop".into(), name: "find".into() },
        Object::File { root: "docs".into(), path: "a/b c.md".into() },
        Object::File { root: "docs".into(), path: String::new() },
        Object::Host { host: "2001:db8::1".into(), port: 443 },
        Object::Command { name: "git".into() },
        Object::Interpreter { name: "python".into() },
    ];
    for object in objects {
        for action in ACTIONS {
            let access = Access::required(action, object.clone());
            assert_eq!(access_of(&access.to_string()), Some(access));
        }
    }
}

#[test]
fn what_names_nothing_is_nothing() {
    for text in [
        "",
        "read",
        "read table",
        "read table shop",
        "eat table shop.t",
        "read chair shop.t",
        "connect host a:b",
    ] {
        assert_eq!(access_of(text), None, "{text:?}");
    }
}
