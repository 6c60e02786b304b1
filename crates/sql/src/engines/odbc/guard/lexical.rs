//! Where strings and numbers end, and which characters a driver may change: the questions on which dialects disagree.

use super::text::{ambiguous, syntax};
use crate::Refusal;

/// The length of a string with its quotes. INVARIANT: it is the same with and without backslash escapes.
pub(super) fn extent(text: &str) -> Result<usize, Refusal> {
    let unclosed = || syntax("a string is not closed");
    let (plain, escaped) = (string_length(text, false), string_length(text, true));
    // MUTATE(A3-odbc-backslash): a backslash hides the end of a string from some dialects
    if plain != escaped {
        return Err(ambiguous(
            "a backslash before a quote ends a string in some dialects only; use a parameter",
        ));
    }
    plain.ok_or_else(unclosed)
}

fn string_length(text: &str, escapes: bool) -> Option<usize> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if escapes => {
                characters.next()?;
            }
            '\'' if characters.next_if(|(_, next)| *next == '\'').is_none() => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The length of a number: decimal with at most one point and exponent, or hexadecimal.
pub(super) fn number_length(text: &str) -> usize {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return 2 + hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
    }
    let mut length = digits(text);
    let after = |length: usize| text.get(length..).unwrap_or_default();
    if let Some(fraction) = after(length).strip_prefix('.') {
        length += 1 + digits(fraction);
    }
    if let Some(exponent) = after(length).strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let count = digits(exponent.get(sign..).unwrap_or_default());
        if count > 0 {
            length += 1 + sign + count;
        }
    }
    length
}

/// Refuses characters that a driver may turn into quotes, backslashes or semicolons when it converts to another character set.
pub(super) fn check_characters(text: &str) -> Result<(), Refusal> {
    let bad = |c: char| {
        c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r')
            || matches!(c,
                '\u{80}'..='\u{9f}' | '\u{a5}' | '\u{b4}' | '\u{2b0}'..='\u{2ff}' | '\u{37e}' | '\u{2018}'..='\u{201f}'
                | '\u{2028}' | '\u{2029}' | '\u{2032}'..='\u{2037}' | '\u{20a9}' | '\u{2215}' | '\u{2216}'
                | '\u{275b}'..='\u{275e}' | '\u{fe10}'..='\u{fe1f}' | '\u{fe50}'..='\u{fe6f}' | '\u{ff01}'..='\u{ff65}'
                | '\u{ffe6}' | '\u{fffd}')
    };
    // MUTATE(A3-odbc-homoglyphs): a quote of another alphabet becomes a quote in the driver
    match text.chars().any(bad) {
        false => Ok(()),
        true => Err(ambiguous(
            "a string or name holds a control character, or one that a driver may turn into a quote; use a parameter",
        )),
    }
}

/// Whether a character belongs to a word.
pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}
