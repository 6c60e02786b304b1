//! What policies see of arguments, and that the rest is flagged.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What policies see of the arguments, as JSON, and whether anything was left out.
fn convert(schema: Value, arguments: Value) -> Option<(Value, bool)> {
    let (record, opaque) = InputShape::of_schema(&schema).convert(&arguments)?;
    let context = cedar_policy::Context::from_pairs([("input".to_owned(), record)]).expect("a context");
    Some((context.to_json_value().expect("JSON")["input"].take(), opaque))
}

fn property(schema: Value) -> Value {
    json!({ "type": "object", "required": ["x"], "properties": { "x": schema } })
}

#[test]
fn what_is_representable_is_seen() {
    for (schema, value) in [
        (json!({ "type": "string" }), json!("a\"b")),
        (json!({ "type": "integer" }), json!(-7)),
        (json!({ "type": "integer" }), json!(9_007_199_254_740_993_i64)),
        (json!({ "type": "boolean" }), json!(true)),
        (json!({ "type": ["string", "null"] }), json!("a")),
        (json!({ "type": "array", "items": { "type": "string" } }), json!(["b"])),
        (json!({ "type": "object", "properties": { "y": { "type": "integer" } } }), json!({ "y": 1 })),
    ] {
        let arguments = json!({ "x": value });
        assert_eq!(
            convert(property(schema.clone()), arguments.clone()),
            Some((arguments, false)),
            "{schema}"
        );
    }
}

#[test]
fn values_of_several_types_are_seen_as_their_texts() {
    let schema = json!({ "type": "array", "items": { "type": ["string", "number", "boolean", "null"] } });
    let seen = convert(property(schema.clone()), json!({ "x": ["1", 1, 1.5, null, true] }));
    let (mut seen, opaque) = seen.expect("a record");
    let mut texts: Vec<Value> = serde_json::from_value(seen["x"].take()).expect("a list");
    texts.sort_by_key(Value::to_string);
    assert_eq!(
        (texts, opaque),
        (vec![json!("1"), json!("1.5"), json!("\"1\""), json!("null"), json!("true")], false)
    );
    assert_eq!(convert(property(schema), json!({ "x": [[1]] })), Some((json!({}), true)));
}

#[test]
fn what_is_not_is_left_out_and_said() {
    for (schema, value) in [
        (json!({ "type": "number" }), json!(1)),
        (json!({ "type": ["string", "integer"] }), json!("a")),
        (json!({ "anyOf": [{ "type": "string" }] }), json!("a")),
        (json!({ "$ref": "#/$defs/x" }), json!("a")),
        (json!({}), json!("a")),
        (json!({ "type": ["string", "null"] }), json!(null)),
        (json!({ "type": "integer" }), json!(9_223_372_036_854_775_808_u64)),
        (json!({ "type": "integer" }), json!(1.0)),
        (json!({ "type": "array" }), json!(["a"])),
        (json!({ "type": "array", "items": { "type": "integer" } }), json!([1, 1e300])),
        (json!({ "type": "array", "items": { "type": "array" } }), json!([[1]])),
    ] {
        let seen = convert(property(schema.clone()), json!({ "x": value }));
        assert_eq!(seen, Some((json!({}), true)), "{schema} {value}");
    }
}

#[test]
fn depth_beyond_one_is_left_out_and_said() {
    let deep = json!({ "type": "object", "properties": {
        "y": { "type": "integer" }, "z": { "type": "object", "properties": { "q": { "type": "integer" } } },
    }});
    let seen = convert(property(deep), json!({ "x": { "y": 1, "z": { "q": 2 } } }));
    assert_eq!(seen, Some((json!({ "x": { "y": 1 } }), true)));
}

#[test]
fn an_argument_that_the_schema_does_not_name_is_opaque() {
    let seen = convert(property(json!({ "type": "string" })), json!({ "x": "a", "y": 1 }));
    assert_eq!(seen, Some((json!({ "x": "a" }), true)));
}

#[test]
fn absent_is_not_opaque() {
    let schema = json!({ "type": "object", "properties": { "x": { "type": "number" } } });
    assert_eq!(convert(schema, json!({})), Some((json!({}), false)));
}

#[test]
fn what_is_no_object_has_no_record() {
    assert_eq!(convert(json!({}), json!([])), None);
}

/// Any JSON that a caller could send.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-i]", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A schema with every shape of property, all of them optional.
fn every_shape() -> Value {
    let scalars = json!({
        "a": { "type": "string" }, "b": { "type": "integer" }, "c": { "type": "boolean" },
        "d": { "type": "number" }, "e": { "type": ["string", "null"] }, "f": {},
    });
    let mut properties = scalars.clone();
    properties["g"] = json!({ "type": "array", "items": { "type": "string" } });
    properties["h"] = json!({ "type": "array", "items": { "type": "integer" } });
    properties["i"] = json!({ "type": "object", "properties": scalars });
    properties["d"] = json!({ "type": "array", "items": { "type": ["string", "number", "null"] } });
    json!({ "type": "object", "properties": properties })
}

proptest! {
    /// INVARIANT: what policies see has the type that they were validated against, whatever the arguments.
    #[test]
    fn what_policies_see_has_the_type_they_were_checked_against(
        arguments in prop::collection::btree_map("[a-i]", any_json(), 0..9),
    ) {
        let shape = InputShape::of_schema(&every_shape());
        let context = json!({ "type": "Record", "attributes": { "input": shape.cedar_type() } });
        let schema = cedar_policy::Schema::from_json_value(json!({ "": {
            "entityTypes": { "U": {} },
            "actions": { "a": { "appliesTo": {
                "principalTypes": ["U"], "resourceTypes": ["U"], "context": context,
            }}},
        }})).expect("a valid schema");
        let arguments = Value::Object(arguments.into_iter().collect());
        let (record, _) = shape.convert(&arguments).expect("an object");
        let context = cedar_policy::Context::from_pairs([("input".to_owned(), record)]).expect("a context");
        let uid = |text: &str| text.parse::<cedar_policy::EntityUid>().expect("an identifier");
        let (user, action) = (uid(r#"U::"u""#), uid(r#"Action::"a""#));
        let request = cedar_policy::Request::new(user.clone(), action, user, context, Some(&schema));
        prop_assert!(request.is_ok(), "{:?}", request.err());
    }
}
