//! The JSON Schema of `countersign.toml`, for editors, made from the page of settings.

use serde_json::{Map, Value, json};

use super::settings::{Default, SETTINGS};

/// The schema (draft 2020-12).
pub(crate) fn schema() -> Value {
    let mut root = table();
    for setting in SETTINGS {
        let mut schema = setting.kind.schema();
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".into(), setting.help.into());
            if let Default::Is(text) = setting.default {
                // Defaults of the page are written in the part of TOML that is JSON as well.
                object.extend(
                    serde_json::from_str(text).ok().map(|value: Value| ("default".to_owned(), value)),
                );
            }
        }
        let parts: Vec<&str> = setting.key.split('.').collect();
        place(&mut root, &parts, schema, matches!(setting.default, Default::Required));
    }
    if let Some(object) = root.as_object_mut() {
        object.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        object.insert("title".into(), "countersign.toml".into());
    }
    root
}

fn table() -> Value {
    json!({"type": "object", "properties": {}, "additionalProperties": false})
}

/// Puts the schema of a setting at its place below `node`.
fn place(node: &mut Value, parts: &[&str], schema: Value, required: bool) {
    let (Some((part, rest)), Some(object)) = (parts.split_first(), node.as_object_mut()) else { return };
    let slot = if *part == "*" {
        let any = object.entry("additionalProperties").or_insert(Value::Bool(false));
        if !any.is_object() {
            *any = if rest.is_empty() { Value::Null } else { table() };
        }
        any
    } else {
        if required
            && rest.is_empty()
            && let Some(list) = object.entry("required").or_insert_with(|| json!([])).as_array_mut()
        {
            list.push((*part).into());
        }
        let properties = object.entry("properties").or_insert_with(|| Value::Object(Map::new()));
        let Some(properties) = properties.as_object_mut() else { return };
        properties.entry(*part).or_insert_with(|| if rest.is_empty() { Value::Null } else { table() })
    };
    if rest.is_empty() {
        *slot = schema;
    } else {
        place(slot, rest, schema, required);
    }
}
