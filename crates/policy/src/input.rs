//! A tool's arguments as policies see them: typed from its JSON Schema, and never more than the schema promises.
//!
//! Representable are strings, integers, booleans, lists of one of them, and objects of these one level deep. A list becomes a set: order
//! and repetition are not visible to policies. A list whose items may be of several of these types, numbers with a fraction or null
//! (values for placeholders) becomes the set of their JSON texts: `"a"` with its quotes, `1.5`, `null`. Whatever else a schema allows
//! (numbers with a fraction by themselves, unions, references, deeper nesting, nulls, integers beyond 64 bits) is left out, and the context
//! says so with `inputOpaque`.

use std::collections::BTreeMap;

use cedar_policy::RestrictedExpression as Expression;
use serde_json::{Map, Value, json};

/// A type without parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scalar {
    Text,
    Integer,
    Flag,
}

/// The type of one argument.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    Scalar(Scalar),
    List(Scalar),
    /// A list of scalars of several types, by their JSON texts.
    Texts,
    Record(BTreeMap<String, Field<Scalar>>),
}

/// A member of a record, and whether it is always there.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Field<K> {
    kind: K,
    required: bool,
}

/// The representable part of a tool's arguments.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct InputShape {
    fields: BTreeMap<String, Field<Kind>>,
}

impl InputShape {
    /// Derives the shape from a tool's input schema.
    pub(crate) fn of_schema(schema: &Value) -> InputShape {
        let fields = members(schema, |property| {
            if let Some(scalar) = scalar_of(property) {
                return Some(Kind::Scalar(scalar));
            }
            match type_of(property)? {
                "array" => list_of(property.get("items")?),
                "object" => Some(Kind::Record(members(property, scalar_of))),
                _ => None,
            }
        });
        InputShape { fields }
    }

    /// The Cedar record type, in the JSON form of Cedar schemas.
    pub(crate) fn cedar_type(&self) -> Value {
        record_type(&self.fields, |kind| match kind {
            Kind::Scalar(scalar) => scalar.cedar_type(),
            Kind::List(scalar) => json!({ "type": "Set", "element": scalar.cedar_type() }),
            Kind::Texts => json!({ "type": "Set", "element": Scalar::Text.cedar_type() }),
            Kind::Record(fields) => record_type(fields, |scalar| scalar.cedar_type()),
        })
    }

    /// The record for these arguments, and whether anything present was left out. `None` only for a broken record.
    pub(crate) fn convert(&self, arguments: &Value) -> Option<(Expression, bool)> {
        let mut opaque = false;
        let record = convert_record(&self.fields, arguments, &mut opaque, |kind, value, opaque| match kind {
            Kind::Scalar(scalar) => scalar.convert(value),
            Kind::List(scalar) => {
                let items: Option<Vec<Expression>> =
                    value.as_array()?.iter().map(|item| scalar.convert(item)).collect();
                Some(Expression::new_set(items?))
            }
            Kind::Texts => {
                let items: Option<Vec<Expression>> = value.as_array()?.iter().map(text_of).collect();
                Some(Expression::new_set(items?))
            }
            Kind::Record(fields) => {
                value.as_object()?;
                convert_record(fields, value, opaque, |scalar, value, _| scalar.convert(value))
            }
        });
        Some((record?, opaque))
    }
}

impl Scalar {
    fn cedar_type(self) -> Value {
        match self {
            Scalar::Text => json!({ "type": "String" }),
            Scalar::Integer => json!({ "type": "Long" }),
            Scalar::Flag => json!({ "type": "Boolean" }),
        }
    }

    /// `None` if the value is not of this type, or an integer that 64 bits cannot hold.
    fn convert(self, value: &Value) -> Option<Expression> {
        match self {
            Scalar::Text => value.as_str().map(|text| Expression::new_string(text.to_owned())),
            Scalar::Integer => value.as_i64().map(Expression::new_long),
            Scalar::Flag => value.as_bool().map(Expression::new_bool),
        }
    }
}

/// What a list of such items is to policies.
fn list_of(items: &Value) -> Option<Kind> {
    const SCALARS: [&str; 5] = ["string", "number", "integer", "boolean", "null"];
    if let Some(scalar) = scalar_of(items).filter(|_| !nullable(items)) {
        return Some(Kind::List(scalar));
    }
    let names = items.get("type")?.as_array()?;
    let scalars = names.iter().all(|name| name.as_str().is_some_and(|name| SCALARS.contains(&name)));
    scalars.then_some(Kind::Texts)
}

/// The JSON text of a scalar. INVARIANT: texts of different values differ, since strings keep their quotes.
fn text_of(value: &Value) -> Option<Expression> {
    let scalar = !value.is_array() && !value.is_object();
    scalar.then(|| Expression::new_string(value.to_string()))
}

/// The representable members of an object schema.
fn members<K>(schema: &Value, kind_of: impl Fn(&Value) -> Option<K>) -> BTreeMap<String, Field<K>> {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    let fields = properties.into_iter().flatten().filter_map(|(name, property)| {
        // INVARIANT: required is only what is always representable. An integer may exceed 64 bits, a list may hold such a one.
        let certain = matches!(type_of(property), Some("string" | "boolean" | "object"));
        let required = certain && required.contains(&name.as_str()) && !nullable(property);
        Some((name.clone(), Field { kind: kind_of(property)?, required }))
    });
    fields.collect()
}

/// The one type of a schema; `["string", "null"]` counts as `string`.
fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => {
            let mut others = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            let first = others.next()?;
            others.next().is_none().then_some(first)
        }
        _ => None,
    }
}

/// Whether the schema's type list allows null.
fn nullable(schema: &Value) -> bool {
    schema.get("type").is_some_and(Value::is_array)
}

fn scalar_of(schema: &Value) -> Option<Scalar> {
    match type_of(schema)? {
        "string" => Some(Scalar::Text),
        "integer" => Some(Scalar::Integer),
        "boolean" => Some(Scalar::Flag),
        _ => None,
    }
}

fn record_type<K>(fields: &BTreeMap<String, Field<K>>, cedar_type: impl Fn(&K) -> Value) -> Value {
    let attributes: Map<String, Value> = fields
        .iter()
        .map(|(name, field)| {
            let mut attribute = cedar_type(&field.kind);
            if let Value::Object(attribute) = &mut attribute {
                attribute.insert("required".into(), Value::Bool(field.required));
            }
            (name.clone(), attribute)
        })
        .collect();
    json!({ "type": "Record", "attributes": attributes })
}

/// The members of `value` that `fields` names and `convert` can represent; `opaque` rises if any is left out.
fn convert_record<K>(
    fields: &BTreeMap<String, Field<K>>,
    value: &Value,
    opaque: &mut bool,
    convert: impl Fn(&K, &Value, &mut bool) -> Option<Expression>,
) -> Option<Expression> {
    let mut pairs = Vec::new();
    for (name, value) in value.as_object()? {
        match fields.get(name).and_then(|field| convert(&field.kind, value, opaque)) {
            Some(converted) => pairs.push((name.clone(), converted)),
            None => *opaque = true,
        }
    }
    Expression::new_record(pairs).ok()
}

#[cfg(test)]
mod tests;
