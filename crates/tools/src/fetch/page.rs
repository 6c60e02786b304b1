//! From the bytes of an answer to the part of its text that was asked for.

use countersign_egress::http::{Response, header};
use encoding_rs::{Encoding, UTF_8};
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

/// The text of a body, in the encoding that it begins with, that the server names, or that the page names, in this order; UTF-8 otherwise.
/// Bytes that mean nothing become U+FFFD.
///
/// SPEC: WHATWG Encoding §6.1 (`decode`) and HTML §13.2.3.2, without the guesses.
pub(super) fn decode(response: &Response, kind: &str) -> String {
    let declared = response.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let named = declared.and_then(charset).or_else(|| is_html(kind).then(|| meta(&response.body)).flatten());
    // MUTATE(F2-charset): every page is taken for UTF-8
    let encoding = named.unwrap_or(UTF_8);
    // A mark at the beginning of the text outweighs both.
    let (text, _, _) = encoding.decode(&response.body);
    text.into_owned()
}

/// The `charset` of a content type.
fn charset(content_type: &str) -> Option<&'static Encoding> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Encoding::for_label(value.trim().trim_matches('"').as_bytes())
}

/// Bytes in which a page can name its own encoding.
const PRESCAN: usize = 1024;

/// The encoding that a page names in a `<meta>` tag, as `charset=` or in a `content=` that holds it.
fn meta(page: &[u8]) -> Option<&'static Encoding> {
    let head = page.get(..PRESCAN.min(page.len()))?.to_ascii_lowercase();
    let head = String::from_utf8_lossy(&head);
    let tags = head.split("<meta").skip(1).filter_map(|rest| rest.split('>').next());
    let named = tags.filter_map(|tag| {
        let value = tag.split_once("charset")?.1.trim_start().strip_prefix('=')?;
        let value = value.trim_start().trim_start_matches(['"', '\'']);
        let end = value.find(|c: char| c.is_whitespace() || "\"';/>".contains(c)).unwrap_or(value.len());
        Encoding::for_label(value.get(..end)?.as_bytes())
    });
    // A page that could be read so far is in no encoding of two bytes: who says so means UTF-8.
    let ascii = |encoding: &'static Encoding| if encoding.is_ascii_compatible() { encoding } else { UTF_8 };
    named.map(ascii).next()
}

#[cfg(test)]
mod tests;
