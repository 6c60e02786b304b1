//! ODBC's escapes in braces: dates, times, outer joins and functions pass, calls of procedures do not.

use super::{lexical::extent, text::ambiguous};
use crate::{Refusal, Rule};

/// An escape that stays open until its brace closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// `{d '…'}`, `{t '…'}`, `{ts '…'}`: complete in itself.
    Value,
    /// `{oj a LEFT OUTER JOIN b ON …}`.
    OuterJoin,
    /// `{fn name(…)}`: the name must be on the list of functions, like any other.
    Function,
}

/// The start of an escape, or all of it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) kind: Kind,
    /// How many bytes were read.
    pub(super) length: usize,
    /// What the parser sees instead of it, if it is complete.
    pub(super) value: Option<String>,
}

/// Reads the escape that `text` starts with. `word` is the word before it; `operand` says whether an operand may stand here.
pub(super) fn open(text: &str, word: Option<&str>, operand: bool) -> Result<Opened, Refusal> {
    let inner = text.strip_prefix('{').unwrap_or_default().trim_start_matches(' ');
    let start = text.len() - inner.len();
    let name = inner.get(..inner.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(inner.len()));
    let name = name.unwrap_or_default();
    let length = start + name.len();
    let rest = text.get(length..).unwrap_or_default();
    match name.to_ascii_lowercase().as_str() {
        "d" | "t" | "ts" => value(rest, length),
        "oj" if word == Some("FROM") && rest.starts_with(' ') => {
            Ok(Opened { kind: Kind::OuterJoin, length, value: None })
        }
        // MUTATE(A3-odbc-escapes): a call of a procedure is passed on
        "fn" if operand && is_call(rest) => Ok(Opened { kind: Kind::Function, length, value: None }),
        _ => Err(Refusal::new(
            Rule::ForbiddenAction,
            "of ODBC's escapes only {d …}, {t …}, {ts …}, {oj …} after FROM and {fn name(…)} are allowed",
        )),
    }
}

/// Whether a name and its parenthesis follow.
fn is_call(rest: &str) -> bool {
    let inner = rest.trim_start_matches(' ');
    let name = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    name > 0
        && rest.starts_with(' ')
        && inner.get(name..).is_some_and(|after| after.trim_start().starts_with('('))
}

fn value(rest: &str, before: usize) -> Result<Opened, Refusal> {
    let malformed = || ambiguous("a date or time escape holds one string of digits");
    let literal = rest.trim_start_matches(' ');
    if !literal.starts_with('\'') {
        return Err(malformed());
    }
    let length = extent(literal)?;
    let (quoted, after) = literal.split_at_checked(length).ok_or_else(malformed)?;
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '\'' | '-' | ':' | '.' | ' ');
    let after_spaces = after.trim_start_matches(' ');
    if !quoted.chars().all(plain) || !after_spaces.starts_with('}') {
        return Err(malformed());
    }
    let spaces = (rest.len() - literal.len()) + (after.len() - after_spaces.len());
    Ok(Opened { kind: Kind::Value, length: before + spaces + length + 1, value: Some(quoted.to_owned()) })
}
