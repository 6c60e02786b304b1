//! JSON-RPC as we write it: error codes, the frames of results, errors and notifications, and a small object writer.

use std::{borrow::Cow, fmt::Write as _};

use countersign_core::json::push_string;

/// The text is not JSON, or not JSON that two readers understand alike.
pub(crate) const PARSE_ERROR: i32 = -32700;
/// JSON, but no request, notification or response.
pub(crate) const INVALID_REQUEST: i32 = -32600;
/// No such method in this revision.
pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
/// Parameters break a rule.
pub(crate) const INVALID_PARAMS: i32 = -32602;
/// Something inside broke, or a part that must work does not.
pub(crate) const INTERNAL_ERROR: i32 = -32603;
/// No such resource (revisions before 2026-07-28).
pub(crate) const RESOURCE_NOT_FOUND: i32 = -32002;
/// Headers and body say different things (2026-07-28).
pub(crate) const HEADER_MISMATCH: i32 = -32020;
/// The call needs a capability that the client did not declare (2026-07-28).
pub(crate) const MISSING_CAPABILITY: i32 = -32021;
/// The protocol version is not one of ours (2026-07-28).
pub(crate) const UNSUPPORTED_VERSION: i32 = -32022;

/// A request's id exactly as it goes back: the lexeme of an integer, or a string in its shortest JSON form.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Id(pub(crate) Box<str>);

/// An error answer. `status` is the HTTP status that goes with it.
#[derive(Clone, Debug)]
pub(crate) struct RpcError {
    pub(crate) code: i32,
    pub(crate) message: Cow<'static, str>,
    /// JSON text of `data`.
    pub(crate) data: Option<String>,
    pub(crate) status: u16,
}

impl RpcError {
    pub(crate) fn new(code: i32, status: u16, message: impl Into<Cow<'static, str>>) -> RpcError {
        RpcError { code, message: message.into(), data: None, status }
    }

    /// Invalid parameters of a known method: an answer of the method, so the HTTP exchange itself succeeded.
    pub(crate) fn params(message: impl Into<Cow<'static, str>>) -> RpcError {
        RpcError::new(INVALID_PARAMS, 200, message)
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> RpcError {
        RpcError::new(INVALID_REQUEST, 400, message)
    }

    #[must_use]
    pub(crate) fn with_data(mut self, write: impl FnOnce(&mut Object<'_>)) -> RpcError {
        let mut data = String::new();
        let mut object = Object::open(&mut data);
        write(&mut object);
        object.close();
        self.data = Some(data);
        self
    }

    /// The whole error message. SPEC: basic, Error Responses: the id is left out when it could not be read, and never null.
    pub(crate) fn frame(&self, id: Option<&Id>) -> String {
        let mut out = String::with_capacity(96 + self.message.len());
        let mut frame = Object::open(&mut out);
        frame.raw("jsonrpc", "\"2.0\"");
        if let Some(id) = id {
            frame.raw("id", &id.0);
        }
        frame.object("error", |error| {
            error.number("code", i64::from(self.code));
            error.text("message", &self.message);
            if let Some(data) = &self.data {
                error.raw("data", data);
            }
        });
        frame.close();
        out
    }
}

/// A whole notification.
pub(crate) fn notification(method: &str, write: impl FnOnce(&mut Object<'_>)) -> String {
    let mut out = String::with_capacity(160);
    let mut frame = Object::open(&mut out);
    frame.raw("jsonrpc", "\"2.0\"");
    frame.text("method", method);
    frame.object("params", write);
    frame.close();
    out
}

/// A whole request to the client. The id is a string of ours, so that it cannot be taken for one of the client's.
pub(crate) fn request(id: &str, method: &str, params: &str) -> String {
    let mut out = String::with_capacity(64 + params.len());
    let mut frame = Object::open(&mut out);
    frame.raw("jsonrpc", "\"2.0\"");
    frame.text("id", id);
    frame.text("method", method);
    frame.raw("params", params);
    frame.close();
    out
}

/// Writes one JSON object member by member.
pub(crate) struct Object<'o> {
    out: &'o mut String,
    empty: bool,
}

impl<'o> Object<'o> {
    pub(crate) fn open(out: &'o mut String) -> Object<'o> {
        out.push('{');
        Object { out, empty: true }
    }

    pub(crate) fn close(self) {
        self.out.push('}');
    }

    fn name(&mut self, name: &str) -> &mut String {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        push_string(self.out, name);
        self.out.push(':');
        self.out
    }

    /// A member whose value is JSON text already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.name(name).push_str(json);
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        push_string(self.name(name), text);
    }

    pub(crate) fn flag(&mut self, name: &str, truth: bool) {
        self.raw(name, if truth { "true" } else { "false" });
    }

    pub(crate) fn number(&mut self, name: &str, number: i64) {
        let _ = write!(self.name(name), "{number}");
    }

    pub(crate) fn object(&mut self, name: &str, write: impl FnOnce(&mut Object<'_>)) {
        let mut inner = Object::open(self.name(name));
        write(&mut inner);
        inner.close();
    }

    pub(crate) fn array<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut String, T),
    ) {
        let out = self.name(name);
        out.push('[');
        for (position, item) in items.into_iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            write(out, item);
        }
        out.push(']');
    }
}
