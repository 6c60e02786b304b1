//! The forms in which a secret turns up in results and logs: as it is, base64, hex, percent-encoded, JSON-escaped.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// Every form of `secret` to search for, without duplicates. Letter case is the search's business, so hex is listed
/// once.
pub(super) fn all(secret: &str) -> Vec<Zeroizing<String>> {
    let mut forms = vec![secret.to_owned()];
    // MUTATE(K2-base64): base64 forms are not searched for
    forms.extend(base64_forms(secret.as_bytes()));
    // MUTATE(K2-hex): the hexadecimal form is not searched for
    forms.push(hex(secret.as_bytes()));
    // MUTATE(K2-percent): percent-encoded forms are not searched for
    forms.extend(percent_forms(secret));
    // MUTATE(K2-json): JSON-escaped forms are not searched for
    forms.extend(json_forms(secret));

    let mut distinct: Vec<Zeroizing<String>> = Vec::with_capacity(forms.len());
    for form in forms.into_iter().map(Zeroizing::new) {
        if !distinct.contains(&form) {
            distinct.push(form);
        }
    }
    distinct
}

/// The characters that the secret alone decides, for each of the three places at which it can start within a group of
/// three encoded bytes, in both alphabets. Up to four bits of the first and of the last byte share a character with
/// what surrounds them and stay.
// SPEC: RFC 4648 §4, §5
fn base64_forms(secret: &[u8]) -> Vec<String> {
    let mut forms = Vec::with_capacity(6);
    for offset in 0..3_usize {
        let mut shifted = Zeroizing::new(vec![0; offset]);
        shifted.extend_from_slice(secret);
        let first = (offset * 8).div_ceil(6);
        let end = shifted.len() * 8 / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = Zeroizing::new(engine.encode(shifted.as_slice()));
            // A secret of one or two bytes decides no character at some places; an empty form would match everywhere.
            forms.extend(encoded.get(first..end).filter(|form| !form.is_empty()).map(str::to_owned));
        }
    }
    forms
}

fn hex(secret: &[u8]) -> String {
    secret.iter().fold(String::with_capacity(secret.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Every byte encoded; the reserved ones alone; as form data, where a space is `+`; and as a path or query, where the
/// delimiters that are allowed there stay.
// SPEC: RFC 3986 §2.1 to §2.3
fn percent_forms(secret: &str) -> [String; 4] {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    [
        percent(secret, |_| false),
        percent(secret, unreserved),
        Zeroizing::new(percent(secret, |byte| unreserved(byte) || byte == b' ')).replace(' ', "+"),
        percent(secret, |byte| unreserved(byte) || b"!$&'()*+,;=:@/?".contains(&byte)),
    ]
}

fn percent(secret: &str, keep: impl Fn(u8) -> bool) -> String {
    secret.bytes().fold(String::with_capacity(secret.len() * 3), |mut out, byte| {
        if keep(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// As a JSON string, in the shortest escaping, with `/` escaped, in ASCII alone; and the first twice, since results are
/// often JSON inside a JSON string.
// SPEC: RFC 8259 §7
fn json_forms(secret: &str) -> [String; 4] {
    let short = json(secret, |_| false);
    let twice = json(&short, |_| false);
    [json(secret, |c| c == '/'), json(secret, |c| !c.is_ascii()), twice, short]
}

fn json(secret: &str, escape_too: impl Fn(char) -> bool) -> String {
    // No escape is longer than six times what it stands for: the text never moves, so no copy of it stays behind.
    let mut out = String::with_capacity(secret.len() * 6);
    for c in secret.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '/' if escape_too('/') => out.push_str("\\/"),
            c if c < ' ' || escape_too(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out
}
