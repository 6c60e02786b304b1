//! SQLite's errors as refusals: the rule is ours, SQLite's words are detail for the caller alone.

use rusqlite::{Error, ErrorCode};

use crate::{Refusal, Rule};

/// An error of preparing or of our own statements.
pub(super) fn refusal(error: &Error) -> Refusal {
    match error {
        Error::MultipleStatement => Refusal::new(
            Rule::OneStatement,
            "the text holds more than one statement; only comments may follow the first",
        ),
        Error::SqliteFailure(failure, message) => by_code(failure.code, message.as_deref(), None),
        Error::SqlInputError { error, msg, offset, .. } => by_code(error.code, Some(msg), Some(*offset)),
        _ => Refusal::new(Rule::Failed, "the engine refused the statement"),
    }
}

/// The same error of a statement that was already running: what SQLite calls a plain error is then no matter of syntax.
pub(super) fn running(error: &Error) -> Refusal {
    let refusal = refusal(error);
    match refusal.rule {
        Rule::Syntax | Rule::UnknownName => {
            Refusal { rule: Rule::Failed, message: "the statement failed while it ran".into(), ..refusal }
        }
        _ => refusal,
    }
}

pub(super) fn database(message: &str) -> Refusal {
    Refusal::new(Rule::Database, message)
}

fn by_code(code: ErrorCode, text: Option<&str>, offset: Option<i32>) -> Refusal {
    let (rule, message) = match code {
        ErrorCode::AuthorizationForStatementDenied => (Rule::ForbiddenAction, "a query may only read"),
        ErrorCode::ReadOnly => (Rule::ForbiddenAction, "the database is open for reading only"),
        ErrorCode::OperationInterrupted => (Rule::Cancelled, "the statement was interrupted"),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            (Rule::Locked, "another process holds the database locked; try again")
        }
        ErrorCode::SchemaChanged => {
            (Rule::SchemaChanged, "the schema changed since the statement was judged; prepare it again")
        }
        ErrorCode::OutOfMemory => (Rule::Memory, "the statement needs more memory than it may use"),
        ErrorCode::TooBig => (Rule::TooComplex, "a value or the statement is larger than allowed"),
        ErrorCode::ParameterOutOfRange => (Rule::Parameters, "a placeholder's number is out of range"),
        ErrorCode::Unknown => plain(text.unwrap_or_default()),
        ErrorCode::CannotOpen
        | ErrorCode::NotADatabase
        | ErrorCode::DatabaseCorrupt
        | ErrorCode::SystemIoFailure
        | ErrorCode::PermissionDenied
        | ErrorCode::DiskFull
        | ErrorCode::FileLockingProtocolFailed => (Rule::Database, "the database cannot be read"),
        _ => (Rule::Failed, "the engine refused the statement"),
    };
    let refusal = Refusal::new(rule, message);
    match (rule, text) {
        // These texts may name the file.
        (Rule::Database, _) | (_, None) => refusal,
        (_, Some(text)) => match offset {
            Some(offset) if offset >= 0 => refusal.with_detail(format!("{text} (at byte {offset})")),
            _ => refusal.with_detail(text),
        },
    }
}

/// SQLite's general error, told apart by its text. INVARIANT: only the wording of a refusal depends on it, never whether there is one.
fn plain(text: &str) -> (Rule, &'static str) {
    const TOO_COMPLEX: [&str; 5] = ["too many", "too large", "too deep", "too complex", "stack overflow"];
    if text.starts_with("no such ") {
        (Rule::UnknownName, "the statement names something that does not exist")
    } else if TOO_COMPLEX.iter().any(|phrase| text.contains(phrase)) {
        (Rule::TooComplex, "the statement is larger or deeper than allowed")
    } else if text.starts_with("variable number must be") {
        (Rule::Parameters, "a placeholder's number is out of range")
    } else {
        (Rule::Syntax, "the engine cannot parse the statement")
    }
}
