//! What a request carries: text of a type that the operator listed, and what that type says it is.

use countersign_core::{ToolError, json};

/// A body of a known type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Body {
    /// The value of `Content-Type`.
    pub(super) kind: String,
    pub(super) text: String,
}

/// The body of a call, if it is what `kind` says, and no longer than `limit` bytes. `kind` is one of the listed types.
pub(super) fn typed(kind: &str, text: &str, limit: u64) -> Result<Body, ToolError> {
    let refuse = |rule: String| Err(ToolError::invalid("/body", rule));
    // MUTATE(F2-send-size): a body of any length is sent
    if text.len() as u64 > limit {
        return refuse(format!("is longer than {limit} bytes"));
    }
    match kind {
        // MUTATE(F2-send-typed): a body is sent as what it is not
        _ if is_json(kind) => {
            let limits = json::Limits { bytes: text.len(), ..json::Limits::default() };
            if let Err(error) = json::parse(text.as_bytes(), limits) {
                return refuse(format!("is not JSON, as `content_type` says: {error}"));
            }
        }
        FORM if text.bytes().any(|byte| !byte.is_ascii_graphic()) => {
            return refuse("is no encoded form: it holds white space or characters outside ASCII".into());
        }
        _ if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n')) => {
            return refuse("holds control characters".into());
        }
        _ => {}
    }
    // JSON and forms have one encoding; of all else it must be said.
    let kind = if is_json(kind) || kind == FORM { kind.to_owned() } else { format!("{kind}; charset=utf-8") };
    Ok(Body { kind, text: text.to_owned() })
}

const FORM: &str = "application/x-www-form-urlencoded";

fn is_json(kind: &str) -> bool {
    kind == "application/json" || kind.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(kind: &str, text: &str) -> Result<String, String> {
        typed(kind, text, 20).map(|body| body.kind).map_err(|error| format!("{:?}", error.denied))
    }

    #[test]
    fn a_body_is_what_its_type_says() {
        assert_eq!(kind("application/json", r#"{"a": 1}"#).unwrap(), "application/json");
        assert_eq!(kind("application/a+json", "[1]").unwrap(), "application/a+json");
        assert_eq!(kind(FORM, "a=1&b=%20").unwrap(), FORM);
        assert_eq!(kind("text/plain", "zwölf\n").unwrap(), "text/plain; charset=utf-8");
        for (of, text, rule) in [
            ("application/json", "{", "not JSON"),
            ("application/json", r#"{"a":1,"a":2}"#, "duplicate"),
            ("application/json", "", "not JSON"),
            ("application/a+json", "x", "not JSON"),
            (FORM, "a=1 2", "no encoded form"),
            (FORM, "a=\u{e4}", "no encoded form"),
            ("text/plain", "a\0b", "control"),
            ("text/plain", "123456789012345678901", "longer than 20 bytes"),
        ] {
            let refused = kind(of, text).unwrap_err();
            assert!(refused.contains(rule), "{of} {text}: {refused}");
        }
    }
}
