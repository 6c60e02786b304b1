//! A result set in the members that a tool's callers expect, encoded with the same masks and redaction as any other.

use std::fmt::Write as _;

use countersign_redact::{Redactor, keys};
use serde_json::Value;

use super::{RowSet, push_cell, push_json_string, redact_json};

/// Which members an answer has.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The member that holds the rows, the row or the value.
    pub key: String,
    /// How rows are written.
    pub rows: RowShape,
    /// The member that holds the number of rows.
    pub count: Option<String>,
    /// The member that says whether rows are missing. Without a name it is `truncated`, and there only when they are.
    pub truncated: Option<String>,
    /// Further members that come first, such as arguments that are repeated.
    pub echo: Vec<(String, Value)>,
}

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowShape {
    /// A list of objects, one for each row.
    Objects,
    /// One object for the first row, or null.
    Object,
    /// The first value of the first row, or null.
    Value,
}

pub(super) fn shaped_json(set: &RowSet, shape: Shape, redactor: &Redactor) -> String {
    let Shape { key, rows, count, truncated, echo } = shape;
    let mut out = String::with_capacity(64 + set.cells.len() * 24);
    out.push('{');
    for (name, mut value) in echo {
        redact_json(&mut value, redactor);
        push_json_string(&mut out, &name);
        let _ = write!(out, ":{value},");
    }
    push_json_string(&mut out, &key);
    out.push(':');
    let encoder = Encoder::new(set, redactor);
    let mut all = set.cells.chunks_exact(set.columns.len().max(1));
    match rows {
        RowShape::Objects => {
            out.push('[');
            for (position, row) in all.enumerate() {
                if position > 0 {
                    out.push(',');
                }
                encoder.object(&mut out, row);
            }
            out.push(']');
        }
        RowShape::Object => match all.next() {
            Some(row) => encoder.object(&mut out, row),
            None => out.push_str("null"),
        },
        RowShape::Value => match all.next().and_then(<[_]>::first) {
            Some(cell) => encoder.cell(&mut out, cell, 0),
            None => out.push_str("null"),
        },
    }
    if let Some(name) = count {
        out.push(',');
        push_json_string(&mut out, &name);
        let _ = write!(out, ":{}", set.rows());
    }
    // INVARIANT: a cut result says so, asked or not.
    if truncated.is_some() || set.truncated.is_some() {
        out.push(',');
        push_json_string(&mut out, truncated.as_deref().unwrap_or("truncated"));
        let _ = write!(out, ":{}", set.truncated.is_some());
    }
    out.push('}');
    out
}

/// Writes cells with what holds for their columns.
struct Encoder<'r> {
    redactor: &'r Redactor,
    /// For each column: its name as JSON with a colon, whether it is masked, and whether its name is that of a secret.
    columns: Vec<(String, bool, bool)>,
}

impl<'r> Encoder<'r> {
    fn new(set: &RowSet, redactor: &'r Redactor) -> Encoder<'r> {
        let columns = set.columns.iter().map(|column| {
            let mut name = String::new();
            push_json_string(&mut name, &redactor.text(&column.name));
            name.push(':');
            (name, column.masked, keys::is_sensitive_key(&column.name))
        });
        Encoder { redactor, columns: columns.collect() }
    }

    fn object(&self, out: &mut String, row: &[super::Cell]) {
        out.push('{');
        for (index, (cell, (name, ..))) in row.iter().zip(&self.columns).enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(name);
            self.cell(out, cell, index);
        }
        out.push('}');
    }

    fn cell(&self, out: &mut String, cell: &super::Cell, index: usize) {
        // INVARIANT: a column that is not known is masked; no value of a masked column is encoded.
        match self.columns.get(index) {
            Some((_, false, hide)) => push_cell(out, cell, *hide, self.redactor),
            _ => push_json_string(out, keys::MASK),
        }
    }
}
