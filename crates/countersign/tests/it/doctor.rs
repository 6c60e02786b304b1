//! `doctor`: what it finds, and that it says no when something is wrong.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::shop::{Ran, Shop};

fn bad(ran: &Ran) -> Vec<String> {
    let checks: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let bad = checks.iter().filter(|check| check["grade"] == "bad");
    bad.map(|check| format!("{}: {}", check["about"].as_str().unwrap(), check["found"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_fresh_installation_is_sound_but_for_the_threat_that_no_setting_mends() {
    let (shop, _) = Shop::made();
    let ran = shop.run(&["doctor", "--json"]);
    assert_eq!(bad(&ran), Vec::<String>::new());
    assert_eq!(ran.code, 0);
    let checks: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let warnings: Vec<&str> = checks
        .iter()
        .filter(|check| check["grade"] == "warning")
        .map(|check| check["about"].as_str().unwrap())
        .collect();
    assert_eq!(warnings, ["threat model"]);
}

#[test]
fn what_is_wrong_is_named() {
    let (shop, _) = Shop::made();
    shop.edit("countersign.toml", |text| text + "\n[danger]\nanonymous = true\n");
    shop.edit("policies/default.cedar", |text| text + "\npermitt (principal, action, resource);\n");
    fs::set_permissions(shop.dir().join("state"), fs::Permissions::from_mode(0o755)).unwrap();
    let ran = shop.run(&["doctor", "--json"]);
    assert_eq!(ran.code, 1);
    let bad = bad(&ran);
    assert_eq!(bad.len(), 3, "{bad:#?}");
    for expected in [
        "state: `ROOT/demo/state` can be read by others (mode 755)",
        "danger: `danger.anonymous` is on: a default is loosened",
        "policies: ",
    ] {
        assert!(bad.iter().any(|found| found.starts_with(expected)), "{expected} is not in {bad:#?}");
    }
}

#[test]
fn a_damaged_database_is_named() {
    let (shop, _) = Shop::made();
    shop.edit("shop.db", |_| "no database".repeat(9));
    let ran = shop.run(&["doctor", "--json"]);
    let expected = [
        "workers: the database `shop` cannot be used: the database cannot be read",
        "database: shop: ROOT/demo/shop.db is no SQLite database",
    ];
    assert_eq!((ran.code, bad(&ran)), (1, expected.map(str::to_owned).to_vec()));
}
