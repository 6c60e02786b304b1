//! Strict JSON (RFC 8259) for untrusted messages: one pass, a borrowed tree, and nothing that two readers could understand differently.
//!
//! Refused, beyond bad syntax: duplicate keys at any depth, lone surrogates, numbers out of range of a double, too much depth, too many
//! nodes, too many bytes. Number lexemes are kept as written, so that 2^53 and 2^53+1 stay apart.

mod parse;
mod write;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use parse::parse;
pub use write::{canonical, push_string, to_serde};

/// What a message may not exceed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the whole text.
    pub bytes: usize,
    /// Levels of nesting.
    pub depth: usize,
    /// Values and keys in all.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes: 1 << 20, depth: 64, nodes: 100_000 }
    }
}

/// Why a text is refused. Never holds any of the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON; the byte offset where reading stopped.
    #[error("not valid JSON at byte {0}")]
    Syntax(usize),
    /// An object names a member twice.
    #[error("an object has a duplicate key at byte {0}")]
    DuplicateKey(usize),
    /// Deeper than the limit.
    #[error("nested deeper than {0} levels")]
    Depth(usize),
    /// More values than the limit.
    #[error("more than {0} values")]
    Nodes(usize),
    /// Longer than the limit.
    #[error("longer than {0} bytes")]
    Bytes(usize),
    /// A number that no double can hold.
    #[error("a number is out of range at byte {0}")]
    Number(usize),
}

/// A parsed value that borrows from the text.
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The lexeme as written.
    Number(&'a str),
    /// Unescaped text.
    String(Cow<'a, str>),
    /// Items in order.
    Array(Vec<Value<'a>>),
    /// Members in order; keys are unique.
    Object(Vec<Member<'a>>),
}

/// One member of an object.
#[derive(Clone, PartialEq, Debug)]
pub struct Member<'a> {
    /// The unescaped key.
    pub key: Cow<'a, str>,
    /// The value.
    pub value: Value<'a>,
    /// The value's text as it stood in the message, for passing on unchanged.
    pub raw: &'a str,
}

impl<'a> Value<'a> {
    /// The member of an object, by key.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.member(key).map(|member| &member.value)
    }

    /// The member of an object with its raw text, by key.
    pub fn member(&self, key: &str) -> Option<&Member<'a>> {
        match self {
            Value::Object(members) => members.iter().find(|member| member.key == key),
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The lexeme, if this is an integer written without fraction or exponent.
    pub fn as_integer(&self) -> Option<&'a str> {
        match self {
            Value::Number(lexeme) if !lexeme.contains(['.', 'e', 'E']) => Some(lexeme),
            _ => None,
        }
    }

    /// Whether this is an object.
    pub fn is_object(&self) -> bool {
        matches!(self, Value::Object(_))
    }
}
