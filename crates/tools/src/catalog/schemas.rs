//! JSON Schemas of arguments and answers, and arguments as the engine's values.

use countersign_core::{Denied, Principal, ToolError, schema::Validator};
use countersign_sql::{ColumnInfo, Value};
use serde_json::{Map, Value as Json, json};

use super::{
    entry::{Bind, Kind, Origin, Param, Query, ResultShape, Rows, Scalar},
    prepared::{PreparedQuery, is_sent},
};

/// JSON Schema of the arguments: an object of the parameters that callers send, and nothing else.
pub(super) fn input(params: &[Param]) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for param in params.iter().filter(|param| is_sent(&param.origin)) {
        let mut schema = param.schema.clone();
        if let Some(schema) = schema.as_object_mut() {
            if !param.description.is_empty() {
                schema.insert("description".into(), param.description.as_str().into());
            }
            match &param.origin {
                Origin::Required => required.push(param.name.as_str()),
                Origin::Default(default) => drop(schema.insert("default".into(), default.clone())),
                Origin::Optional => allow_null(schema),
                Origin::Identity(_) => {}
            }
            if !param.aliases.is_empty() {
                loosen_for_aliases(schema);
            }
        }
        properties.insert(param.name.clone(), schema);
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// Clients that spell out every argument send null for one that they leave out.
fn allow_null(schema: &mut Map<String, Json>) {
    if let Some(word) = schema.get("type").cloned() {
        schema.insert("type".into(), json!([word, "null"]));
    }
    if let Some(Json::Array(values)) = schema.get_mut("enum") {
        values.push(Json::Null);
    }
}

/// What a caller sends may be an alias; the value that it stands for is checked against the parameter's own rules.
fn loosen_for_aliases(schema: &mut Map<String, Json>) {
    for rule in ["pattern", "enum", "minLength"] {
        schema.remove(rule);
    }
}

/// JSON Schema of the answer.
pub(super) fn output(entry: &Query, columns: &[ColumnInfo]) -> Json {
    match &entry.result {
        Some(result) => shaped(result, columns),
        // An engine that does not say what the columns are promises nothing about them.
        None if columns.is_empty() => crate::query::output_schema(),
        None if entry.write => crate::write::output_schema(),
        None => {
            let names: Vec<Json> = columns
                .iter()
                .map(|column| json!({"type": "object", "properties": {"name": {"const": column.name}}}))
                .collect();
            let mut schema = crate::query::output_schema();
            let wide = json!({"type": "array", "minItems": columns.len(), "maxItems": columns.len(), "items": value_schema(None)});
            if let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) {
                if let Some(Json::Object(listed)) = properties.get_mut("columns") {
                    listed.insert("prefixItems".into(), names.into());
                }
                if let Some(Json::Object(rows)) = properties.get_mut("rows") {
                    rows.insert("items".into(), wide);
                }
            }
            schema
        }
    }
}

fn shaped(result: &ResultShape, columns: &[ColumnInfo]) -> Json {
    let members: Map<String, Json> =
        columns.iter().map(|column| (column.name.clone(), value_schema(Some(column)))).collect();
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let row =
        json!({"type": "object", "properties": members, "required": names, "additionalProperties": false});
    let row = if columns.is_empty() { json!({"type": "object"}) } else { row };
    let held = match result.rows {
        Rows::Objects => json!({"type": "array", "items": row}),
        Rows::Object => {
            let mut row = row;
            row.as_object_mut().map(|row| row.insert("type".into(), json!(["object", "null"])));
            row
        }
        Rows::Value => value_schema(columns.first()),
    };
    let mut properties = Map::from_iter([(result.key.clone(), held)]);
    let mut required = vec![result.key.clone()];
    if let Some(count) = &result.count {
        properties.insert(count.clone(), json!({"type": "integer", "minimum": 0}));
        required.push(count.clone());
    }
    let truncated = result.truncated.clone().unwrap_or_else(|| "truncated".into());
    properties.insert(truncated.clone(), json!({"type": "boolean"}));
    if result.truncated.is_some() {
        required.push(truncated);
    }
    for name in &result.echo {
        let schema = json!({"type": ["string", "number", "boolean", "array", "null"]});
        properties.insert(name.clone(), schema);
        required.push(name.clone());
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// JSON Schema of one value. An engine's types do not bind: integers beyond 2^53-1, exact decimals, dates, bytes and masks are strings.
fn value_schema(column: Option<&ColumnInfo>) -> Json {
    let mut schema = json!({"type": ["string", "number", "boolean", "null"]});
    if let (Some(kind), Some(schema)) = (column.and_then(|c| c.decl_type.as_deref()), schema.as_object_mut())
    {
        schema.insert("description".into(), kind.to_ascii_lowercase().into());
    }
    schema
}

/// Arguments that were checked, as values in the engine's order; and what the answer repeats.
pub(super) struct Bound {
    pub(super) values: Vec<Value>,
    pub(super) rows: Option<u64>,
    pub(super) echo: Vec<(String, Json)>,
}

/// Checks the arguments of an entry and fills in defaults and what is bound to the caller's identity.
///
/// # Errors
/// The field, under `prefix`, and the rule that it breaks.
pub(super) fn bind(
    query: &PreparedQuery,
    principal: &Principal,
    arguments: &Json,
    prefix: &str,
) -> Result<Bound, ToolError> {
    query.validator.check(arguments).map_err(|denied| match denied {
        Denied::Invalid { field, rule } => ToolError::invalid(format!("{prefix}{field}"), rule),
        other => other.into(),
    })?;
    let entry = &query.entry;
    let mut all = Vec::with_capacity(entry.params.len());
    for (param, rules) in entry.params.iter().zip(&query.rules) {
        all.push(resolve(param, rules, principal, arguments, prefix)?);
    }
    let values = query.order.iter().filter_map(|position| {
        let (param, value) = (entry.params.get(*position)?, all.get(*position)?);
        Some(encode(param, value, query.database.engine().dialect()).ok_or_else(|| unfit(param, prefix)))
    });
    let values = values.collect::<Result<Vec<_>, _>>()?;
    let named =
        |name: &str| entry.params.iter().position(|param| param.name == name).and_then(|at| all.get(at));
    let rows = match &entry.rows {
        super::RowLimit::Database => None,
        super::RowLimit::Fixed(rows) => Some(*rows),
        super::RowLimit::Param(name) => {
            let given = named(name).filter(|rows| !rows.is_null());
            let rows = given.and_then(Json::as_u64);
            // MUTATE(A11-row-limit): a limit on rows that is written `5.0` is none
            if given.is_some() && rows.is_none() {
                let rule = "must be a whole number, written without a fraction";
                return Err(ToolError::invalid(format!("{prefix}/{name}"), rule));
            }
            rows
        }
    };
    let echo = entry.result.iter().flat_map(|result| &result.echo);
    let echo = echo.map(|name| (name.clone(), named(name).cloned().unwrap_or_default())).collect();
    Ok(Bound { values, rows, echo })
}

/// The value of one parameter.
fn resolve(
    param: &Param,
    rules: &Validator,
    principal: &Principal,
    arguments: &Json,
    prefix: &str,
) -> Result<Json, ToolError> {
    let sent = || arguments.get(&param.name).filter(|value| !value.is_null());
    let value = match &param.origin {
        // INVARIANT: a bound parameter is of the identity, whatever the arguments hold.
        Origin::Identity(bound) => return of_identity(param, bound, rules, principal),
        Origin::Required => sent().cloned().ok_or_else(|| unfit(param, prefix))?,
        Origin::Default(default) => sent().unwrap_or(default).clone(),
        Origin::Optional => sent().cloned().unwrap_or_default(),
    };
    if param.aliases.is_empty() || value.is_null() {
        return Ok(value);
    }
    let Some(written) = value.as_str() else { return Err(unfit(param, prefix)) };
    let spelled = param.aliases.get(&written.trim().to_lowercase());
    let meant = spelled.map_or_else(|| Json::from(written.trim()), |meant| Json::from(meant.as_str()));
    match rules.check(&meant) {
        Ok(()) => Ok(meant),
        Err(Denied::Invalid { rule, .. }) => {
            Err(ToolError::invalid(format!("{prefix}/{}", param.name), rule))
        }
        Err(other) => Err(other.into()),
    }
}

/// What an identity holds, if it keeps the parameter's rules.
fn of_identity(
    param: &Param,
    bound: &Bind,
    rules: &Validator,
    principal: &Principal,
) -> Result<Json, ToolError> {
    let held = match bound {
        Bind::Tenant => Some(principal.tenant()),
        Bind::Subject => Some(principal.subject()),
        Bind::Claim(name) => principal.claim(name),
    };
    // The name of the claim is the operator's business; the caller learns that the identity lacks something.
    let lacking = || ToolError::failed("your identity does not hold what this query needs");
    let held = held.ok_or_else(lacking)?;
    let value = match param.kind {
        Kind::One(Scalar::Integer | Scalar::Number | Scalar::Boolean) => {
            serde_json::from_str(held).map_err(|_| lacking())?
        }
        Kind::One(_) => Json::from(held),
        Kind::Array(_) => serde_json::from_str(held).map_err(|_| lacking())?,
    };
    rules.check(&value).map_err(|_| lacking())?;
    Ok(value)
}

fn unfit(param: &Param, prefix: &str) -> ToolError {
    let rule = match param.kind {
        Kind::One(Scalar::String) => "must be a string without NUL characters",
        Kind::One(Scalar::Integer) => "must be a whole number of 64 bits, written without a fraction",
        Kind::One(Scalar::Number) => "must be a finite number",
        Kind::One(Scalar::Boolean) => "must be true or false",
        Kind::One(Scalar::Date | Scalar::Timestamp | Scalar::Uuid) => "must be a string in its format",
        Kind::Array(_) => "must be a list of such values, without NUL characters",
    };
    ToolError::invalid(format!("{prefix}/{}", param.name), rule)
}

/// A checked value as the engine takes it.
fn encode(param: &Param, value: &Json, dialect: &str) -> Option<Value> {
    match (param.kind, value) {
        (_, Json::Null) => Some(Value::Null),
        (Kind::One(scalar), value) => one(scalar, value),
        (Kind::Array(scalar), Json::Array(items)) => {
            let items = items.iter().map(|item| one(scalar, item)).collect::<Option<Vec<_>>>()?;
            encode_array(param, dialect).ok().map(|encode| Value::Text(encode(&items)))
        }
        (Kind::Array(_), _) => None,
    }
}

fn one(scalar: Scalar, value: &Json) -> Option<Value> {
    match scalar {
        Scalar::Integer => value.as_i64().map(Value::Integer),
        // INVARIANT: an integer that a double would round is refused.
        Scalar::Number
            if value.as_i64().is_some_and(|n| n.unsigned_abs() > 1 << 53)
                || value.as_u64().is_some_and(|n| n > 1 << 53) =>
        {
            None
        }
        Scalar::Number => value.as_f64().filter(|number| number.is_finite()).map(Value::Real),
        Scalar::Boolean => value.as_bool().map(Value::Boolean),
        Scalar::String | Scalar::Date | Scalar::Timestamp | Scalar::Uuid => {
            value.as_str().filter(|text| !text.contains('\0')).map(|text| Value::Text(text.to_owned()))
        }
    }
}

/// How an array is written as one text: JSON for SQLite (`json_each(:ids)`), an array literal for PostgreSQL (`= ANY(:ids)`).
pub(super) fn encode_array(param: &Param, dialect: &str) -> Result<fn(&[Value]) -> String, ()> {
    match (param.kind, dialect) {
        (Kind::One(_), _) | (_, "SQLite") => Ok(json_array),
        (_, "PostgreSQL") => Ok(array_literal),
        _ => Err(()),
    }
}

fn json_array(items: &[Value]) -> String {
    let item = |value: &Value| match value {
        Value::Integer(n) => Json::from(*n),
        Value::Real(x) => Json::from(*x),
        Value::Boolean(truth) => Json::from(*truth),
        Value::Text(text) | Value::Decimal(text) => Json::from(text.as_str()),
        Value::Null | Value::Blob(_) => Json::Null,
    };
    Json::Array(items.iter().map(item).collect()).to_string()
}

/// SPEC: PostgreSQL 8.15.6: every element in double quotes, with backslashes before quotes and backslashes.
fn array_literal(items: &[Value]) -> String {
    let item = |value: &Value| match value {
        Value::Integer(n) => n.to_string(),
        Value::Real(x) => format!("{x:?}"),
        Value::Boolean(truth) => truth.to_string(),
        Value::Text(text) | Value::Decimal(text) => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        Value::Null | Value::Blob(_) => "NULL".into(),
    };
    format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
}

/// The members of an answer, for the pipeline's encoder.
pub(super) fn shape(result: &ResultShape, echo: Vec<(String, Json)>) -> countersign_core::Shape {
    use countersign_core::RowShape;
    countersign_core::Shape {
        key: result.key.clone(),
        rows: match result.rows {
            Rows::Objects => RowShape::Objects,
            Rows::Object => RowShape::Object,
            Rows::Value => RowShape::Value,
        },
        count: result.count.clone(),
        truncated: result.truncated.clone(),
        echo,
    }
}
