//! The strict JSON-RPC envelope: what is not exactly one request, notification or response is refused here, before anything runs.
//!
//! Refused beyond bad JSON (duplicate keys, depth and size are `countersign_core::json`'s): batches, ids that are neither string nor
//! integer, members that JSON-RPC does not know, parameters that are no object.

#[cfg(test)]
mod tests;

use countersign_core::json::{self, Limits, Member, Value, push_string};

use crate::rpc::{Id, PARSE_ERROR, RpcError};

/// One message as it arrived.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    Request(Request<'a>),
    Notification { method: String, params: Option<Value<'a>> },
    Response(Response<'a>),
}

/// A request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) id: Id,
    pub(crate) method: String,
    pub(crate) params: Option<Value<'a>>,
}

/// The client's answer to a question of ours.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    pub(crate) id: Id,
    /// `Err` when the client answered with an error, which is not looked into.
    pub(crate) result: Result<Value<'a>, ()>,
}

/// A refusal, with the id where it could be read.
#[derive(Debug)]
pub(crate) struct Malformed {
    pub(crate) id: Option<Id>,
    pub(crate) error: RpcError,
}

/// The longest id that is echoed, in bytes of its JSON form.
const MAX_ID: usize = 256;
/// The longest method name that is looked at.
const MAX_METHOD: usize = 128;

/// Reads one message.
pub(crate) fn parse(text: &[u8], limits: Limits) -> Result<Message<'_>, Malformed> {
    let value = json::parse(text, limits)
        .map_err(|e| Malformed { id: None, error: RpcError::new(PARSE_ERROR, 400, e.to_string()) })?;
    match value {
        Value::Object(members) => message(members),
        // SPEC: 2025-06-18 removed batching; 2025-03-26 allowed it, and we do not offer it in any revision.
        // MUTATE(B2-batch): a batch is taken for its first message
        Value::Array(_) => Err(refuse(None, "batches are not supported: send one message at a time")),
        _ => Err(refuse(None, "a message must be a JSON object")),
    }
}

fn message(members: Vec<Member<'_>>) -> Result<Message<'_>, Malformed> {
    let (mut version, mut id, mut method, mut params, mut result, mut error) =
        (None, None, None, None, None, None);
    let mut unknown = false;
    for member in members {
        match member.key.as_ref() {
            "jsonrpc" => version = Some(member.value),
            "id" => id = Some(member.value),
            "method" => method = Some(member.value),
            "params" => params = Some(member.value),
            "result" => result = Some(member.value),
            "error" => error = Some(member.value),
            _ => unknown = true,
        }
    }
    let id = match id.map(|value| read_id(&value)) {
        Some(Ok(id)) => Some(id),
        Some(Err(rule)) => return Err(refuse(None, rule)),
        None => None,
    };
    if version.as_ref().and_then(Value::as_str) != Some("2.0") {
        return Err(refuse(id, "`jsonrpc` must be \"2.0\""));
    }
    if unknown {
        return Err(refuse(
            id,
            "a message may hold `jsonrpc`, `id`, `method`, `params`, `result` and `error` only",
        ));
    }
    match (method, result, error) {
        (Some(method), None, None) => call(id, &method, params),
        (None, Some(result), None) if params.is_none() => response(id, Ok(result)),
        (None, None, Some(_)) if params.is_none() => response(id, Err(())),
        _ => Err(refuse(id, "a message must have either `method`, or one of `result` and `error`")),
    }
}

fn call<'a>(id: Option<Id>, method: &Value<'a>, params: Option<Value<'a>>) -> Result<Message<'a>, Malformed> {
    let Some(method) = method.as_str() else {
        return Err(refuse(id, "`method` must be a string"));
    };
    if method.is_empty() || method.len() > MAX_METHOD {
        return Err(refuse(id, "`method` must be 1 to 128 bytes long"));
    }
    if params.as_ref().is_some_and(|params| !params.is_object()) {
        return Err(refuse(id, "`params` must be an object"));
    }
    let method = method.to_owned();
    Ok(match id {
        Some(id) => Message::Request(Request { id, method, params }),
        None => Message::Notification { method, params },
    })
}

fn response(id: Option<Id>, result: Result<Value<'_>, ()>) -> Result<Message<'_>, Malformed> {
    match id {
        Some(id) => Ok(Message::Response(Response { id, result })),
        None => Err(refuse(None, "a response must have an `id`")),
    }
}

/// SPEC: basic, Requests: an id is a string or an integer and never null. The integer's lexeme goes back as it came.
pub(crate) fn read_id(value: &Value<'_>) -> Result<Id, &'static str> {
    let text: Box<str> = match value {
        Value::String(text) => {
            let mut quoted = String::with_capacity(text.len() + 2);
            push_string(&mut quoted, text);
            quoted.into()
        }
        other => other.as_integer().ok_or("`id` must be a string or an integer")?.into(),
    };
    if text.len() > MAX_ID { Err("`id` must be at most 256 bytes long") } else { Ok(Id(text)) }
}

fn refuse(id: Option<Id>, rule: &'static str) -> Malformed {
    Malformed { id, error: RpcError::invalid(rule) }
}

/// Reads any bytes as the data plane does and says whether they were a message. For tests that feed it garbage.
pub fn fuzz_entry(text: &[u8]) -> bool {
    parse(text, Limits::default()).is_ok()
}
