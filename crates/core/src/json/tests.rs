//! The reader refuses what is ambiguous and keeps what is exact.

use super::*;

fn read(text: &str) -> Result<Value<'_>, JsonError> {
    parse(text.as_bytes(), Limits::default())
}

#[test]
fn duplicate_keys_are_refused_at_every_depth() {
    for text in [
        r#"{"a":1,"a":2}"#,
        r#"{"x":{"a":1,"a":2}}"#,
        r#"[[{"x":[{"a":1,"b":2,"\u0061":3}]}]]"#,
        r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1,"c":2}"#,
    ] {
        assert!(matches!(read(text), Err(JsonError::DuplicateKey(_))), "{text}");
    }
}

#[test]
fn neighbours_of_two_to_the_53_stay_apart() {
    let a = canonical(&read("[9007199254740992]").unwrap());
    let b = canonical(&read("[9007199254740993]").unwrap());
    assert_ne!(a, b);
    assert_eq!(b, "[9007199254740993]");
}

#[test]
fn canonical_form_sorts_and_keeps_lexemes() {
    let value = read(" { \"b\" : 1.50 , \"a\" : [ \"\\u00e9\\n\" , -0 , 1e2 ] } ").unwrap();
    assert_eq!(canonical(&value), "{\"a\":[\"é\\n\",-0,1e2],\"b\":1.50}");
}

#[test]
fn bad_texts_are_refused() {
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "01",
        "1.",
        "+1",
        ".5",
        "nul",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"a\nb\"",
        "1 2",
        "NaN",
        "'a'",
        "{a:1}",
        "\u{feff}1",
        "\"\\u12g4\"",
        "\"\\u+123\"",
    ] {
        assert!(matches!(read(text), Err(JsonError::Syntax(_))), "{text:?}");
    }
    assert!(matches!(read("1e999"), Err(JsonError::Number(0))));
    assert!(matches!(parse(&[b'"', 0xff, b'"'], Limits::default()), Err(JsonError::Syntax(1))));
}

#[test]
fn depth_nodes_and_bytes_are_limited() {
    let deep = "[".repeat(65) + &"]".repeat(65);
    assert_eq!(read(&deep), Err(JsonError::Depth(64)));
    assert!(read(&("[".repeat(64) + &"]".repeat(64))).is_ok());
    assert_eq!(read(&("[".repeat(500_000))), Err(JsonError::Depth(64)));
    let wide = format!("[{}1]", "1,".repeat(100_000));
    assert_eq!(read(&wide), Err(JsonError::Nodes(100_000)));
    assert_eq!(parse(b"[1,2]", Limits { bytes: 4, ..Limits::default() }), Err(JsonError::Bytes(4)));
}

#[test]
fn raw_text_of_members_is_kept() {
    let value = read(r#"{"id": 12345678901234567890123 , "p" : { "z": 1, "y" : 2 } }"#).unwrap();
    assert_eq!(value.member("id").unwrap().raw, "12345678901234567890123");
    assert_eq!(value.member("p").unwrap().raw, r#"{ "z": 1, "y" : 2 }"#);
}

#[test]
fn agrees_with_serde_json_on_what_both_accept() {
    for text in [
        r#"{"a":[1,2.5,-3e2,"x\u0041\ud83d\ude00",true,null]}"#,
        "\"\\b\\f\\/\"",
        "[]",
        "{}",
        "18446744073709551615",
    ] {
        let ours = to_serde(&read(text).unwrap()).unwrap();
        assert_eq!(ours, serde_json::from_str::<serde_json::Value>(text).unwrap());
        let again = canonical(&read(text).unwrap());
        assert_eq!(ours, serde_json::from_str::<serde_json::Value>(&again).unwrap());
    }
}
