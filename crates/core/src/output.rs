//! What a tool returns and what a caller gets: two types, and only redaction turns the first into the second.
//!
//! INVARIANT: [`Output`] has no `Debug`, `Display` or `Serialize`, and no public accessor of its content; [`Reply`] has no public
//! constructor. `tests/compile-fail` proves both.

mod rows;
mod shape;

use std::sync::Arc;

use countersign_redact::{Redactor, delimit, keys};
use serde_json::Value;

pub use shape::{RowShape, Shape};

pub(crate) use rows::rows_json;
use rows::{push_cell, push_json_string};

use crate::{
    ids::CallId,
    label::{Integrity, Label},
};

/// One value of a result set.
pub enum Cell {
    /// SQL NULL.
    Null,
    /// An integer; beyond ±(2^53-1) it is sent as a string (RFC 7493 §2.2).
    Integer(i64),
    /// A floating-point number; non-finite ones are sent as null.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes; sent as base64.
    Blob(Vec<u8>),
    /// True or false.
    Boolean(bool),
    /// An exact number in decimal form; sent as a string, so that no client rounds it.
    Decimal(String),
}

/// A column of a result set.
#[derive(Clone)]
pub struct Column {
    /// As the query names it.
    pub name: String,
    /// The declared type, lower case; empty when the engine does not know.
    pub kind: String,
    /// Every value of it is replaced by a mask, and the result says so: policy lets the caller see that there is one, not what it is.
    pub masked: bool,
}

/// Why a result was cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Truncation {
    /// The row limit.
    Rows,
    /// The byte limit.
    Bytes,
    /// The deadline.
    Time,
}

impl Truncation {
    /// The reason as the caller reads it.
    pub fn name(self) -> &'static str {
        match self {
            Truncation::Rows => "rows",
            Truncation::Bytes => "bytes",
            Truncation::Time => "time",
        }
    }
}

/// A result set; `cells` holds the rows one after the other, `columns.len()` cells each.
pub struct RowSet {
    /// The columns.
    pub columns: Vec<Column>,
    /// All cells, row by row.
    pub cells: Vec<Cell>,
    /// Set when rows are missing.
    pub truncated: Option<Truncation>,
    /// What brings the rows that follow, if they can be had. INVARIANT: made by the tool itself: it holds nothing that was read.
    pub next: Option<String>,
}

impl RowSet {
    /// Number of complete rows.
    pub fn rows(&self) -> usize {
        self.cells.len().checked_div(self.columns.len()).unwrap_or(0)
    }
}

/// One piece of a tool's raw result.
pub enum Part {
    /// Text.
    Text(String),
    /// A result set: sent as structured content and as text.
    Rows(RowSet),
    /// A result set in members of the tool's choice: sent as structured content and as text.
    Shaped(RowSet, Shape),
    /// A JSON object: sent as structured content and as text.
    Json(Value),
    /// Binary content with its MIME type: `image` or `audio`.
    Media {
        /// `image` or `audio`.
        kind: &'static str,
        /// RFC 2045 type.
        mime: String,
        /// Base64 (RFC 4648 §4).
        base64: String,
    },
    /// An embedded resource.
    Resource {
        /// Its URI.
        uri: String,
        /// RFC 2045 type.
        mime: String,
        /// Text, or base64 when `binary`.
        body: String,
        /// Whether `body` is base64.
        binary: bool,
    },
}

/// A raw result: nothing of it can leave before redaction.
pub struct Output {
    parts: Vec<Part>,
    label: Label,
    is_error: bool,
}

impl Output {
    /// A result of parts, with the label of what was read.
    pub fn new(label: Label, parts: Vec<Part>) -> Output {
        Output { parts, label, is_error: false }
    }

    /// Marks the result as an error that the model should read.
    #[must_use]
    pub fn error(mut self) -> Output {
        self.is_error = true;
        self
    }
}

/// One block of a reply; every text in it is redacted.
#[derive(Clone, Debug)]
pub enum Block {
    /// Text.
    Text(String),
    /// An image or a sound.
    Media {
        /// `image` or `audio`.
        kind: &'static str,
        /// RFC 2045 type.
        mime: String,
        /// Base64.
        base64: String,
    },
    /// An embedded resource.
    Resource {
        /// Its URI.
        uri: String,
        /// RFC 2045 type.
        mime: String,
        /// Text, or base64 when `binary`.
        body: String,
        /// Whether `body` is base64.
        binary: bool,
    },
}

/// What the caller gets. Built by the pipeline alone.
#[derive(Clone, Debug)]
pub struct Reply {
    call: CallId,
    blocks: Vec<Block>,
    structured: Option<Arc<str>>,
    label: Label,
    is_error: bool,
    rows: u64,
    bytes: u64,
    truncated: Option<&'static str>,
}

impl Reply {
    /// The call that this answers.
    pub fn call(&self) -> CallId {
        self.call
    }

    pub(crate) fn of_call(mut self, call: CallId) -> Reply {
        self.call = call;
        self
    }

    /// The content blocks, in order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The structured content as JSON text.
    pub fn structured(&self) -> Option<&str> {
        self.structured.as_deref()
    }

    /// The label of what was read.
    pub fn label(&self) -> Label {
        self.label
    }

    /// A structured answer from the record of an earlier call.
    pub(crate) fn replayed(answer: Value, label: Label, redactor: &Redactor) -> Result<Reply, String> {
        Reply::redacted(Output::new(label, vec![Part::Json(answer)]), redactor)
    }

    /// Whether the tool reported an error.
    pub fn is_error(&self) -> bool {
        self.is_error
    }

    /// Rows returned.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of text in all blocks.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Why the result is incomplete, if it is.
    pub fn truncated(&self) -> Option<&'static str> {
        self.truncated
    }

    /// Redacts, neutralises and delimits an output: the only way from [`Output`] to [`Reply`].
    pub(crate) fn redacted(output: Output, redactor: &Redactor) -> Result<Reply, String> {
        let mut reply = Reply {
            call: CallId::new(0, [0; 10]),
            blocks: Vec::with_capacity(output.parts.len()),
            structured: None,
            label: output.label,
            is_error: output.is_error,
            rows: 0,
            bytes: 0,
            truncated: None,
        };
        let untrusted = output.label.integrity > Integrity::Trusted;
        for part in output.parts {
            let block = match part {
                Part::Text(text) => Block::Text(present(&redactor.text(&text), untrusted)?),
                Part::Rows(rows) => {
                    reply.rows = rows.rows() as u64;
                    reply.truncated = rows.truncated.map(Truncation::name);
                    let json = rows_json(&rows, redactor);
                    let block = Block::Text(present(&json, untrusted)?);
                    reply.structured = Some(json.into());
                    block
                }
                Part::Shaped(rows, shape) => {
                    reply.rows = rows.rows() as u64;
                    reply.truncated = rows.truncated.map(Truncation::name);
                    let json = shape::shaped_json(&rows, shape, redactor);
                    let block = Block::Text(present(&json, untrusted)?);
                    reply.structured = Some(json.into());
                    block
                }
                Part::Json(mut value) => {
                    redact_json(&mut value, redactor);
                    let json = value.to_string();
                    let block = Block::Text(present(&json, untrusted)?);
                    reply.structured = Some(json.into());
                    block
                }
                Part::Media { kind, mime, base64 } => Block::Media { kind, mime, base64 },
                Part::Resource { uri, mime, body, binary } => {
                    let body = if binary { body } else { redactor.text(&body).into_owned() };
                    Block::Resource { uri: redactor.text(&uri).into_owned(), mime, body, binary }
                }
            };
            reply.bytes += match &block {
                Block::Text(text) => text.len(),
                Block::Media { base64, .. } => base64.len(),
                Block::Resource { body, .. } => body.len(),
            } as u64;
            reply.blocks.push(block);
        }
        Ok(reply)
    }
}

fn present(text: &str, untrusted: bool) -> Result<String, String> {
    if untrusted { delimit::delimit(text).map_err(|e| e.to_string()) } else { Ok(text.to_owned()) }
}

/// Redacts every string and masks every string under a sensitive key, at any depth.
fn redact_json(value: &mut Value, redactor: &Redactor) {
    match value {
        Value::String(text) => {
            if let std::borrow::Cow::Owned(clean) = redactor.text(text) {
                *text = clean;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact_json(item, redactor)),
        Value::Object(members) => {
            let dirty: Vec<String> = members
                .keys()
                .filter(|key| matches!(redactor.text(key), std::borrow::Cow::Owned(_)))
                .cloned()
                .collect();
            for key in dirty {
                if let Some(member) = members.remove(&key) {
                    members.insert(redactor.text(&key).into_owned(), member);
                }
            }
            for (key, member) in members.iter_mut() {
                if member.is_string() && keys::is_sensitive_key(key) {
                    *member = Value::String(keys::MASK.into());
                } else {
                    redact_json(member, redactor);
                }
            }
        }
        Value::Number(number) => {
            if let std::borrow::Cow::Owned(clean) = redactor.text(&number.to_string()) {
                *value = Value::String(clean);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}
