//! A result set as JSON text, redacted.

use std::{borrow::Cow, fmt::Write as _};

use base64::Engine as _;
use countersign_redact::{Redactor, keys};

use super::{Cell, Column, RowSet};

/// The largest integer that every JSON reader keeps exactly.
const EXACT: u64 = (1 << 53) - 1;

/// `{"columns":[{"name","type","masked"?}],"rows":[[…]],"row_count":n,"truncated":bool,"truncated_by":…,"next_cursor":…}`, each string redacted.
pub(crate) fn rows_json(set: &RowSet, redactor: &Redactor) -> String {
    let mut out = String::with_capacity(64 + set.cells.len() * 12);
    out.push_str("{\"columns\":[");
    let mut masked = Vec::with_capacity(set.columns.len());
    for (position, column) in set.columns.iter().enumerate() {
        out.push_str(if position == 0 { "{\"name\":" } else { ",{\"name\":" });
        push_json_string(&mut out, &redactor.text(&column.name));
        out.push_str(",\"type\":");
        push_json_string(&mut out, &redactor.text(&column.kind));
        if column.masked {
            out.push_str(",\"masked\":true");
        }
        out.push('}');
        masked.push(keys::is_sensitive_key(&column.name));
    }
    out.push_str("],\"rows\":[");
    let width = set.columns.len().max(1);
    for (position, rows) in set.cells.chunks(width * ROWS_AT_ONCE).enumerate() {
        if position > 0 {
            out.push(',');
        }
        push_rows(&mut out, rows, &set.columns, &masked, redactor);
    }
    let _ = write!(out, "],\"row_count\":{},\"truncated\":{}", set.rows(), set.truncated.is_some());
    if let Some(reason) = set.truncated {
        let _ = write!(out, ",\"truncated_by\":\"{}\"", reason.name());
    }
    if let Some(next) = &set.next {
        out.push_str(",\"next_cursor\":");
        push_json_string(&mut out, next);
    }
    out.push('}');
    out
}

/// Rows that are redacted together.
const ROWS_AT_ONCE: usize = 64;

/// Rows as arrays. Almost no rows hold a secret, so they are written as they are and looked at as one text; only if there is something to
/// redact in them are they written anew, value by value.
///
/// INVARIANT: a value stands in that text as it is, or, where JSON had to escape it, in `escaped`. So what redaction would find in a value it
/// finds in one of the two.
fn push_rows(out: &mut String, cells: &[Cell], columns: &[Column], masked: &[bool], redactor: &Redactor) {
    let start = out.len();
    let mut escaped = String::new();
    push_arrays(out, cells, columns, masked, |out, cell, hide| {
        if let Some(text) = push_raw(out, cell, hide) {
            escaped.push_str(text);
            escaped.push('\n');
        }
    });
    let clean = |text: &str| matches!(redactor.text(text), Cow::Borrowed(_));
    // MUTATE(K2-rows): result sets are not redacted
    if !clean(out.get(start..).unwrap_or_default()) || !clean(&escaped) {
        out.truncate(start);
        push_arrays(out, cells, columns, masked, |out, cell, hide| push_cell(out, cell, hide, redactor));
    }
}

fn push_arrays(
    out: &mut String,
    cells: &[Cell],
    columns: &[Column],
    masked: &[bool],
    mut push: impl FnMut(&mut String, &Cell, bool),
) {
    for (position, row) in cells.chunks_exact(columns.len().max(1)).enumerate() {
        out.push_str(if position == 0 { "[" } else { ",[" });
        for (index, ((cell, hide), column)) in row.iter().zip(masked).zip(columns).enumerate() {
            if index > 0 {
                out.push(',');
            }
            match column.masked {
                // INVARIANT: no value of a masked column is encoded, whatever its type; not even whether it is null.
                true => push_json_string(out, keys::MASK),
                false => push(out, cell, *hide),
            }
        }
        out.push(']');
    }
}

/// A value that is not redacted yet; returns the text that was escaped, if one was.
fn push_raw<'c>(out: &mut String, cell: &'c Cell, hide: bool) -> Option<&'c str> {
    match cell {
        Cell::Integer(n) if n.unsigned_abs() <= EXACT => {
            let _ = write!(out, "{n}");
        }
        Cell::Integer(n) => {
            let _ = write!(out, "\"{n}\"");
        }
        Cell::Real(x) if x.is_finite() => {
            let _ = write!(out, "{x:?}");
        }
        Cell::Null | Cell::Real(_) => out.push_str("null"),
        Cell::Boolean(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Cell::Text(_) | Cell::Blob(_) | Cell::Decimal(_) if hide => push_json_string(out, keys::MASK),
        Cell::Text(text) | Cell::Decimal(text) => {
            let start = out.len();
            push_json_string(out, text);
            return (out.len() - start != text.len() + 2).then_some(text);
        }
        Cell::Blob(bytes) => push_json_string(out, &base64(bytes)),
    }
    None
}

pub(super) fn push_cell(out: &mut String, cell: &Cell, hide: bool, redactor: &Redactor) {
    match cell {
        Cell::Null => out.push_str("null"),
        Cell::Integer(n) if n.unsigned_abs() <= EXACT => push_number(out, format_args!("{n}"), redactor),
        Cell::Integer(n) => push_json_string(out, &redactor.text(&n.to_string())),
        Cell::Real(x) if x.is_finite() => push_number(out, format_args!("{x:?}"), redactor),
        Cell::Real(_) => out.push_str("null"),
        Cell::Boolean(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Cell::Text(_) | Cell::Blob(_) | Cell::Decimal(_) if hide => push_json_string(out, keys::MASK),
        Cell::Text(text) | Cell::Decimal(text) => push_json_string(out, &redactor.text(text)),
        Cell::Blob(bytes) => push_json_string(out, &redactor.text(&base64(bytes))),
    }
}

/// A number, unless its digits are a known secret: then it is what redaction makes of it, as a string.
fn push_number(out: &mut String, number: std::fmt::Arguments<'_>, redactor: &Redactor) {
    let start = out.len();
    let _ = out.write_fmt(number);
    let clean = match redactor.text(out.get(start..).unwrap_or_default()) {
        Cow::Borrowed(_) => return,
        Cow::Owned(clean) => clean,
    };
    out.truncate(start);
    push_json_string(out, &clean);
}

pub(super) fn push_json_string(out: &mut String, text: &str) {
    crate::json::push_string(out, text);
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests;
