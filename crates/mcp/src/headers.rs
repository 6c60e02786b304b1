//! The headers that mirror parts of the body (2026-07-28): they must say what the body says.
//!
//! SPEC: 2026-07-28 streamable HTTP, Server Validation. A component on the way may have decided on the header, so a difference between
//! the two is an attack until proven otherwise: HTTP 400 and -32020.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign_core::json::Value;
use hyper::HeaderMap;

use crate::rpc::{HEADER_MISMATCH, RpcError};

pub(crate) const VERSION: &str = "mcp-protocol-version";
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const PARAM: &str = "mcp-param-";

/// `Mcp-Method` is there and equals the body's method.
pub(crate) fn check_method(headers: &HeaderMap, method: &str) -> Result<(), RpcError> {
    // MUTATE(MCP-method-header): the method header is not compared
    if single(headers, METHOD)? == Some(method) { Ok(()) } else { Err(mismatch("Mcp-Method")) }
}

/// `Mcp-Name` is there and equals what the method names: a tool, a prompt or a resource.
pub(crate) fn check_name(
    headers: &HeaderMap,
    method: &str,
    params: Option<&Value<'_>>,
) -> Result<(), RpcError> {
    let member = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return Ok(()),
    };
    let header = single(headers, NAME)?.and_then(decode);
    let named = params.and_then(|params| params.get(member)).and_then(Value::as_str);
    // MUTATE(MCP-name-header): the name header is not compared
    if header.is_some() && header.as_deref() == named { Ok(()) } else { Err(mismatch("Mcp-Name")) }
}

/// Every parameter that the schema marks with `x-mcp-header` has its header exactly when it has a value, and both are equal.
pub(crate) fn check_params(
    headers: &HeaderMap,
    schema: &serde_json::Value,
    arguments: Option<&Value<'_>>,
) -> Result<(), RpcError> {
    walk(headers, schema, arguments, MAX_SCHEMA_DEPTH)
}

/// How deep marked properties may lie.
const MAX_SCHEMA_DEPTH: usize = 16;

fn walk(
    headers: &HeaderMap,
    schema: &serde_json::Value,
    value: Option<&Value<'_>>,
    depth: usize,
) -> Result<(), RpcError> {
    let Some(properties) = schema.get("properties").and_then(serde_json::Value::as_object) else {
        return Ok(());
    };
    for (name, property) in properties {
        let inner = value.and_then(|value| value.get(name));
        if let Some(marked) = property.get("x-mcp-header").and_then(serde_json::Value::as_str) {
            let header = single(headers, &format!("{PARAM}{}", marked.to_ascii_lowercase()))?;
            // MUTATE(MCP-param-header): a parameter's header is not compared
            if !agrees(header, inner) {
                return Err(mismatch("Mcp-Param"));
            }
        }
        if depth > 0 {
            walk(headers, property, inner, depth - 1)?;
        }
    }
    Ok(())
}

fn agrees(header: Option<&str>, value: Option<&Value<'_>>) -> bool {
    match (header, value) {
        (None, None | Some(Value::Null)) => true,
        (None, Some(_)) | (Some(_), None | Some(Value::Null)) => false,
        (Some(header), Some(value)) => decode(header).is_some_and(|text| match value {
            Value::String(expected) => text == *expected,
            Value::Bool(truth) => text == if *truth { "true" } else { "false" },
            Value::Number(lexeme) => text == *lexeme || same_integer(&text, lexeme),
            _ => false,
        }),
    }
}

/// SPEC: integers are compared as numbers (`42.0` equals `42`), within the range that every double holds exactly.
fn same_integer(a: &str, b: &str) -> bool {
    const EXACT: f64 = 9_007_199_254_740_991.0;
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a == b && a.fract() == 0.0 && a.abs() <= EXACT,
        _ => false,
    }
}

/// The one value of a header, without surrounding white space; more than one, or other than visible ASCII, is an error.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, RpcError> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(mismatch("a header that is sent twice"));
    }
    first.to_str().map(|text| Some(text.trim_matches([' ', '\t']))).map_err(|_| mismatch("a header"))
}

/// SPEC: Value Encoding: `=?base64?…?=` holds base64 of UTF-8, padded; anything else stands for itself.
fn decode(text: &str) -> Option<String> {
    match text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}

pub(crate) fn mismatch(what: &str) -> RpcError {
    RpcError::new(
        HEADER_MISMATCH,
        400,
        format!("header mismatch: {what} is missing, malformed or differs from the body"),
    )
}
