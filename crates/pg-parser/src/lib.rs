//! PostgreSQL's own grammar, standalone: statement text in, the server's raw parse tree as JSON or a syntax error out.
//!
//! The grammar is PostgreSQL 18's, from libpg_query, vendored and trimmed (see the README beside this crate) and compiled by the C
//! compiler alone. A parser of our own would accept what the server does not, or read it otherwise; a guard must see what runs.
//!
//! INVARIANT: unsafe code is in [`ffi`] alone, and nothing of it is public.
#![deny(unsafe_code)]

mod ffi;

/// The version of PostgreSQL whose grammar this is, as in the member `version` of every tree.
pub const POSTGRESQL_VERSION: u32 = 180_006;

/// Why a text has no parse tree.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SyntaxError {
    /// The grammar does not accept the text.
    #[error("{message}")]
    Rejected {
        /// PostgreSQL's own message. It may quote the text.
        message: String,
        /// The character at which the error stands, counted from 1, if one is known.
        cursor: Option<u32>,
    },
    /// The text nests deeper than the parser's stack, or its tree is larger than a reader should accept.
    #[error("the text nests too deeply or its parse tree is too large")]
    TooComplex,
    /// The text contains a NUL character, at which the grammar would end.
    #[error("the text contains a NUL character")]
    NulCharacter,
    /// The parser found no memory.
    #[error("the parser found no memory")]
    NoMemory,
    /// The parser's answer is not UTF-8, so the text's escapes make strings that no database with UTF-8 accepts.
    #[error("the text makes strings that are not UTF-8")]
    NotUtf8,
}

/// Parses any number of statements.
///
/// The JSON is `{"version":…,"stmts":[{"stmt":{…},"stmt_location":…,"stmt_len":…},…]}`. A node is an object with one member, named after
/// its type: `{"SelectStmt":{…}}`; fields whose type is fixed hold the node's fields directly. What is 0, false, null, an empty list or an
/// empty string is left out, enumerations never are. Inside lists, `{}` stands for a null. Positions in the text (`location`) are left out. Every other
/// field of every node is there.
///
/// Call it on a thread with at least 1 MiB of free stack: recursion is stopped at what the thread has left, but never below 100 KiB.
///
/// # Errors
/// [`SyntaxError`].
pub fn parse(sql: &str) -> Result<String, SyntaxError> {
    ffi::parse(sql)
}
