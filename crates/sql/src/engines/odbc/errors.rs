//! ODBC's errors as refusals, by SQLSTATE alone.
//!
//! INVARIANT: no word of a driver reaches a caller or a log. Such texts quote values (of a failed cast, of a violated key) and parts of the connection
//! string.

use odbc_api::{Error, handles::State};

use crate::{Refusal, Rule};

/// An error of connecting.
pub(super) fn connecting(error: &Error) -> Refusal {
    match state(error) {
        Some(state) if state.starts_with("IM") => Refusal::new(
            Rule::Database,
            format!("the driver or data source cannot be loaded (SQLSTATE {state})"),
        ),
        Some(state) => {
            Refusal::new(Rule::Database, format!("the source cannot be reached (SQLSTATE {state})"))
        }
        None => Refusal::new(Rule::Database, "the source cannot be reached"),
    }
}

/// An error of a statement.
pub(super) fn running(error: &Error) -> Refusal {
    let Some(state) = state(error) else {
        return Refusal::new(Rule::Failed, "the driver failed without saying why");
    };
    let (rule, message) = match state.as_str() {
        "HYT00" | "HYT01" | "57014" => (Rule::Deadline, "the statement did not end before its deadline"),
        "HY001" | "53200" => (Rule::Memory, "the statement needs more memory than it may use"),
        "25006" => (Rule::ForbiddenAction, "the source is open for reading only"),
        "42501" => (Rule::Failed, "the source's login may not do this"),
        "42S02" | "42S22" | "42P01" | "42703" | "42883" | "0A000" => {
            (Rule::UnknownName, "the statement names something that does not exist")
        }
        "40001" | "40P01" | "55P03" => (Rule::Locked, "another session holds a lock; try again"),
        _ => match state.get(..2).unwrap_or_default() {
            "08" | "57" => (Rule::Database, "the source cannot be reached"),
            "22" => (Rule::Failed, "a value does not fit its type or the operation"),
            "23" => (Rule::Failed, "a constraint is violated"),
            "42" | "37" => (Rule::Syntax, "the source cannot parse the statement"),
            "07" => (Rule::Parameters, "the parameters do not fit the placeholders"),
            _ => (Rule::Failed, "the statement failed"),
        },
    };
    // MUTATE(A19-odbc-text): the driver's words reach the caller
    Refusal::new(rule, format!("{message} (SQLSTATE {state})"))
}

/// An error of a commit: unless the source says that it took all back, nobody knows whether it lasts.
pub(super) fn committing(error: &Error) -> Refusal {
    match state(error) {
        Some(state) if is_undone(&state) => running(error),
        _ => Refusal::new(
            Rule::Database,
            "the source failed while the transaction ended; whether it lasts is not known",
        ),
    }
}

/// Whether a commit that fails so changed nothing: a constraint that is looked at last, or a transaction that the source gave up.
fn is_undone(state: &str) -> bool {
    // MUTATE(A17-odbc-in-doubt): a commit of which nobody knows how it ended is called undone
    state.starts_with("23") || matches!(state, "40001" | "40002" | "40P01")
}

/// The SQLSTATE, if there is one and it looks like one.
fn state(error: &Error) -> Option<String> {
    let (Error::Diagnostics { record, .. }
    | Error::UnableToRepresentNull(record)
    | Error::OracleOdbcDriverDoesNotSupport64Bit(record)
    | Error::InvalidRowArraySize { record, .. }
    | Error::UnsupportedOdbcApiVersion(record)) = error
    else {
        return None;
    };
    let State(bytes) = record.state;
    let plain = bytes.iter().all(u8::is_ascii_alphanumeric);
    plain.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::is_undone;

    /// Only what the source itself took back was taken back.
    #[test]
    fn a_commit_that_fails_is_in_doubt_unless_the_source_says_otherwise() {
        for state in ["23000", "23505", "40001", "40002", "40P01"] {
            assert!(is_undone(state), "{state}");
        }
        for state in ["08S01", "08007", "40003", "57P01", "HY000", "HYT00", "25S01", "25S02", "22001"] {
            assert!(!is_undone(state), "{state}");
        }
    }
}
