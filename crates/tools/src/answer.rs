//! An engine's answers in the pipeline's words: its rows, and what its refusals are to the caller.

use countersign_core::{Cell, Column, Denied, RowSet, Subsystem, ToolError, Truncation, denied::Failure};
use countersign_sql::{Refusal, Rule, Truncated, Value};

use crate::engine::{EngineError, EngineRows};

/// `next` is the cursor of the page after it.
pub(crate) fn row_set(rows: EngineRows, next: Option<String>) -> RowSet {
    let truncated = match rows.truncated {
        None => None,
        Some(Truncated::Rows) => Some(Truncation::Rows),
        Some(Truncated::Bytes) => Some(Truncation::Bytes),
        Some(Truncated::Time) => Some(Truncation::Time),
    };
    let columns = rows
        .columns
        .into_iter()
        .enumerate()
        .map(|(position, column)| Column {
            name: column.name,
            kind: column.decl_type.unwrap_or_default().to_ascii_lowercase(),
            masked: rows.masked.contains(&position),
        })
        .collect();
    let cell = |value| match value {
        Value::Null => Cell::Null,
        Value::Integer(n) => Cell::Integer(n),
        Value::Real(x) => Cell::Real(x),
        Value::Text(text) => Cell::Text(text),
        Value::Blob(bytes) => Cell::Blob(bytes),
        Value::Boolean(truth) => Cell::Boolean(truth),
        Value::Decimal(text) => Cell::Decimal(text),
    };
    RowSet { columns, cells: rows.values.into_iter().map(cell).collect(), truncated, next }
}

/// What an engine's refusal is to the caller. `field` is the argument to blame.
pub(crate) fn tool_error(error: EngineError, field: &str) -> ToolError {
    match error {
        EngineError::Refused(refusal) => refused(refusal, field),
        EngineError::Busy { retry_after } => Denied::Limited { limit: "workers", retry_after }.into(),
        EngineError::Killed => failed(Failure::Deadline, "stopped: the statement ran past its deadline"),
        EngineError::Broken(cause) => {
            ToolError { denied: Denied::Unavailable(Subsystem::Sandbox), cause: Some(cause), detail: None }
        }
        EngineError::Unreachable(cause) => {
            ToolError { denied: Denied::Unavailable(Subsystem::Database), cause: Some(cause), detail: None }
        }
    }
}

fn refused(refusal: Refusal, field: &str) -> ToolError {
    let Refusal { rule, message, detail } = refusal;
    let error = match rule {
        // `/params/N must …`: the argument to blame is one of the parameters.
        Rule::Parameters if message.starts_with("/params/") => match message.split_once(' ') {
            Some((field, must)) => ToolError::invalid(field, must),
            None => ToolError::invalid("/params", message),
        },
        Rule::Deadline => failed(Failure::Deadline, &message),
        Rule::Cancelled => failed(Failure::Cancelled, &message),
        Rule::SchemaChanged => ToolError::failed(format!("{message}; try again")),
        Rule::Locked | Rule::Memory | Rule::Failed | Rule::RowCount => ToolError::failed(message),
        Rule::Database => ToolError::internal(message),
        _ => ToolError::invalid(format!("/{field}"), format!("{message} [{}]", rule.code())),
    };
    error.with_detail(detail)
}

fn failed(failure: Failure, public: &str) -> ToolError {
    Denied::Failed { failure, public: public.to_owned() }.into()
}
