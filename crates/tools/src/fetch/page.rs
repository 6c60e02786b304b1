//! From the bytes of an answer to the part of its text that was asked for.

use countersign_egress::http::{Response, header};
use serde_json::{Value, json};

/// What the caller wants of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// Its text.
    Text,
    /// What the server sent.
    Raw,
}

/// A part of a text.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Page<'t> {
    text: &'t str,
    offset: usize,
    total: usize,
    next: Option<usize>,
}

impl<'t> Page<'t> {
    /// `limit` characters from `offset` on; nothing beyond the end.
    pub(super) fn cut(text: &'t str, offset: usize, limit: usize) -> Page<'t> {
        let total = text.chars().count();
        let offset = offset.min(total);
        let end = offset.saturating_add(limit).min(total);
        let byte = |position| text.char_indices().nth(position).map_or(text.len(), |(byte, _)| byte);
        let part = text.get(byte(offset)..byte(end)).unwrap_or_default();
        Page { text: part, offset, total, next: (end < total).then_some(end) }
    }

    pub(super) fn json(&self, response: &Response, kind: &str) -> Value {
        json!({
            "url": response.url,
            "status": response.status.as_u16(),
            "content_type": kind,
            "text": self.text,
            "offset": self.offset,
            "total_chars": self.total,
            "next_offset": self.next,
        })
    }
}

/// Whether a type is HTML.
pub(super) fn is_html(kind: &str) -> bool {
    matches!(kind, "text/html" | "application/xhtml+xml")
}

/// The text of a body: UTF-8, or what the server says of the encodings that are one byte a character. Bytes that mean nothing become U+FFFD.
pub(super) fn decode(response: &Response) -> String {
    let declared = response.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match declared.and_then(charset).as_deref() {
        Some("iso-8859-1" | "latin1" | "windows-1252" | "cp1252") => {
            response.body.iter().map(|byte| western(*byte)).collect()
        }
        _ => {
            let text = String::from_utf8_lossy(&response.body);
            text.strip_prefix('\u{feff}').map_or_else(|| text.clone().into_owned(), str::to_owned)
        }
    }
}

/// The `charset` of a content type, in lower case.
fn charset(content_type: &str) -> Option<String> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Some(value.trim().trim_matches('"').to_ascii_lowercase())
}

/// SPEC: WHATWG Encoding, index windows-1252, which browsers use for ISO-8859-1 as well.
fn western(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    let high = byte.checked_sub(0x80).and_then(|index| HIGH.get(usize::from(index)));
    high.copied().unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests;
