//! What can go wrong, and what of it a caller may read: the class of an SQLSTATE, hardly ever the server's words.
//!
//! The server's text quotes values: of a row that a unique key met, of a cast that failed. A caller who chooses the cast reads columns that
//! way. So the text stays with the server, whose log has it under the call's id (`application_name`).

use std::io;

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::{ErrorField, ErrorResponseBody};

use crate::{Refusal, Rule};

/// Why a connection has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The statement was refused, by us or by the server; the connection goes on.
    #[error("{0}")]
    Refused(Refusal),
    /// The server refuses logins or ends the session. The text is the server's class and never quotes a statement.
    #[error("the server refuses service (SQLSTATE {0})")]
    Server(String),
    /// The server has no connection to spare.
    #[error("the server has no connection to spare")]
    Full,
    /// The stream failed.
    #[error("the connection failed")]
    Stream(#[from] io::Error),
    /// The server said what the protocol does not allow here.
    #[error("the server broke the protocol: {0}")]
    Protocol(&'static str),
}

impl From<Refusal> for ClientError {
    fn from(refusal: Refusal) -> ClientError {
        ClientError::Refused(refusal)
    }
}

/// What of the server's error is kept.
pub(super) struct ServerError {
    /// Five characters.
    pub(super) sqlstate: String,
    /// The server's words; shown only where [`refusal`] says so.
    message: String,
    /// The parameter that it names, from 1.
    pub(super) parameter: Option<usize>,
}

impl ServerError {
    pub(super) fn read(body: &ErrorResponseBody) -> ServerError {
        let mut error = ServerError { sqlstate: String::new(), message: String::new(), parameter: None };
        let mut fields = body.fields();
        let text = |field: &ErrorField<'_>| String::from_utf8_lossy(field.value_bytes()).into_owned();
        while let Ok(Some(field)) = fields.next() {
            match field.type_() {
                b'C' => {
                    error.sqlstate =
                        text(&field).chars().filter(char::is_ascii_alphanumeric).take(5).collect()
                }
                b'M' => error.message = text(&field).chars().take(500).collect(),
                b'W' => error.parameter = parameter(&text(&field)),
                _ => {}
            }
        }
        error
    }

    /// What the caller reads, or that the connection is of no use any more.
    pub(super) fn classify(self) -> ClientError {
        let class = self.sqlstate.get(..2).unwrap_or_default();
        match (class, self.sqlstate.as_str()) {
            (_, "53300") => ClientError::Full,
            ("08" | "28" | "3D", _) | (_, "57P01" | "57P02" | "57P03" | "57P05" | "58030" | "F0000") => {
                ClientError::Server(self.sqlstate)
            }
            _ => ClientError::Refused(self.refusal()),
        }
    }

    fn refusal(self) -> Refusal {
        let ServerError { sqlstate, message, .. } = self;
        let (rule, text) = match (sqlstate.get(..2).unwrap_or_default(), sqlstate.as_str()) {
            (_, "57014") => (Rule::Deadline, "the statement ran past its deadline"),
            (_, "55P03" | "40P01") => (Rule::Locked, "a lock was not to be had in time"),
            (_, "25006") => (Rule::ForbiddenAction, "this transaction only reads"),
            (_, "42501") => (Rule::ForbiddenAction, "the database's own grants do not allow it"),
            (_, "42P01") => (Rule::UnknownName, "a table does not exist"),
            (_, "42703") => (Rule::UnknownName, "a column does not exist"),
            (_, "42883") => (Rule::UnknownName, "no function or operator takes these types"),
            (_, "42601") => (Rule::Syntax, "the statement cannot be parsed"),
            (_, "42P18") => {
                (Rule::Parameters, "the type of a parameter cannot be told: write a cast, as in $1::text")
            }
            ("42", _) => (Rule::Failed, "the statement does not fit the schema: names or types do not match"),
            (_, "0A000") if message.starts_with("cached plan") => (Rule::SchemaChanged, "the schema changed"),
            (_, "0A000") => (Rule::Failed, "the server does not support what the statement asks for"),
            (_, "53200") => (Rule::Memory, "the server has no memory for the statement"),
            (_, "53400") | ("54", _) => (Rule::TooComplex, "the statement or its result is too large"),
            ("53", _) => (Rule::Failed, "the server has no resources for the statement"),
            ("22", _) => (Rule::Failed, "a value cannot be converted or is out of range"),
            ("23", _) => (Rule::Failed, "a constraint would be violated"),
            ("40", _) => (Rule::Failed, "it met another transaction; try again"),
            ("21", _) => (Rule::Failed, "a subquery gave more than one row"),
            _ => (Rule::Failed, "the statement failed"),
        };
        let refusal = Refusal::new(rule, format!("{text} (SQLSTATE {sqlstate})"));
        // MUTATE(A19-pg-class): the server's text, values and all, is the caller's
        match says_only_what_the_caller_wrote(&sqlstate) {
            true => refusal.with_detail(message),
            false => refusal,
        }
    }
}

/// Errors of parsing and typing, which happen before a value of any row is looked at: they quote the statement alone.
fn says_only_what_the_caller_wrote(sqlstate: &str) -> bool {
    matches!(
        sqlstate,
        "42601"
            | "42703"
            | "42883"
            | "42P18"
            | "42804"
            | "42803"
            | "42702"
            | "42725"
            | "42P10"
            | "42P19"
            | "42P20"
            | "42846"
    )
}

/// The number in `unnamed portal parameter $1`.
fn parameter(context: &str) -> Option<usize> {
    let (_, rest) = context.split_once("portal parameter $")?;
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}
