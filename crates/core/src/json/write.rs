//! Writers: the canonical form that is hashed, and the conversion to `serde_json` for schema validation.

use serde_json::Number;

use super::{JsonError, Value};

/// The canonical text: members sorted by key bytes, no white space, number lexemes untouched, strings escaped minimally.
///
/// Not RFC 8785, whose numbers are doubles and collide above 2^53.
pub fn canonical(value: &Value<'_>) -> String {
    let mut out = String::with_capacity(64);
    write(value, &mut out);
    out
}

fn write(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(lexeme) => out.push_str(lexeme),
        Value::String(text) => push_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            out.push('{');
            for (position, member) in sorted.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                push_string(out, &member.key);
                out.push(':');
                write(&member.value, out);
            }
            out.push('}');
        }
    }
}

/// Appends `text` as a JSON string, escaping only what RFC 8259 §7 requires.
pub fn push_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut clean = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        // What is escaped is one byte of ASCII, so both sides of it are whole characters.
        out.push_str(text.get(clean..at).unwrap_or_default());
        clean = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => {
                const HEX: [char; 16] =
                    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
                out.push_str("\\u00");
                out.push(if control >= 16 { '1' } else { '0' });
                out.push(HEX.get(usize::from(control & 15)).copied().unwrap_or('0'));
            }
        }
    }
    out.push_str(text.get(clean..).unwrap_or_default());
    out.push('"');
}

/// Converts to `serde_json`. Integers beyond 64 bits become doubles there; the canonical text keeps them exact.
pub fn to_serde(value: &Value<'_>) -> Result<serde_json::Value, JsonError> {
    Ok(match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(truth) => serde_json::Value::Bool(*truth),
        Value::Number(lexeme) => serde_json::Value::Number(number(lexeme)?),
        Value::String(text) => serde_json::Value::String(text.to_string()),
        Value::Array(items) => {
            serde_json::Value::Array(items.iter().map(to_serde).collect::<Result<_, _>>()?)
        }
        Value::Object(members) => serde_json::Value::Object(
            members
                .iter()
                .map(|member| Ok((member.key.to_string(), to_serde(&member.value)?)))
                .collect::<Result<_, JsonError>>()?,
        ),
    })
}

fn number(lexeme: &str) -> Result<Number, JsonError> {
    if let Ok(integer) = lexeme.parse::<i64>() {
        return Ok(integer.into());
    }
    if let Ok(integer) = lexeme.parse::<u64>() {
        return Ok(integer.into());
    }
    lexeme.parse::<f64>().ok().and_then(Number::from_f64).ok_or(JsonError::Number(0))
}
