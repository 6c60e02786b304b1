//! `config show|check|schema`, and what every command says to a configuration that is wrong.

use crate::shop::{Shop, run};

#[test]
fn the_written_configuration_is_valid_and_commented() {
    let (shop, _) = Shop::made();
    let ran = shop.run(&["config", "check"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "ROOT/demo/countersign.toml is valid\n"));
    let text = std::fs::read_to_string(shop.dir().join("countersign.toml")).unwrap();
    let comments = text.lines().filter(|line| line.starts_with('#')).count();
    assert!(comments > 15, "{text}");
}

#[test]
fn show_says_where_every_setting_comes_from() {
    let (shop, _) = Shop::made();
    shop.edit("countersign.toml", |text| {
        let lines = text.lines().map(|line| if line.starts_with("uid = ") { "uid = 7" } else { line });
        lines.collect::<Vec<_>>().join("\n")
    });
    let ran = shop.run(&["config", "show"]);
    assert_eq!(ran.code, 0);
    insta::assert_snapshot!(ran.out, @"");
}

#[test]
fn a_wrong_configuration_stops_every_command() {
    let (shop, _) = Shop::made();
    shop.edit("countersign.toml", |text| {
        text.replace("[policy]", "[polcy]").replace("rows = 1000", "rows = \"many\"")
            + "\n[redact.secrets]\nX = \"env:X\"\n"
    });
    let ran = shop.run(&["config", "check"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    insta::assert_snapshot!(ran.err, @"");
    for args in [
        &["serve"][..],
        &["stdio"],
        &["doctor"],
        &["tools", "list"],
        &["policy", "check"],
        &["token", "key", "list"],
    ] {
        let other = shop.run(args);
        assert_eq!((other.code, &other.err), (3, &ran.err), "{args:?}");
    }
}

#[test]
fn no_configuration_at_all() {
    let ran = run(&["config", "show"]);
    assert_eq!(ran.code, 3);
    insta::assert_snapshot!(ran.err, @"");
}

#[test]
fn the_schema_accepts_the_written_configuration() {
    let (shop, _) = Shop::made();
    let schema = serde_json::from_str(&shop.run(&["config", "schema"]).out).unwrap();
    let text = std::fs::read_to_string(shop.dir().join("countersign.toml")).unwrap();
    let value: serde_json::Value = toml::from_str(&text).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&value));
}
