//! Running a judged statement: parameters in, values out, under the limits of its run.

use std::time::{Duration, Instant};

use odbc_api::{
    Bit, Connection, Cursor, CursorRow, DataType, IntoParameter, ResultSetMetadata, parameter::InputParameter,
};

use super::{Sink, Statement, affected, errors};
use crate::{ColumnInfo, Dialect, Done, Refusal, Rule, Truncated, Value};

type Parameters = Vec<Box<dyn InputParameter>>;

/// The columns of a query's result. No row is read.
pub(super) fn describe(connection: &Connection<'_>, sql: &str) -> Result<Vec<ColumnInfo>, Refusal> {
    let mut prepared = connection.prepare(sql).map_err(|error| errors::running(&error))?;
    let (columns, _) = columns(&mut prepared)?;
    Ok(columns)
}

/// Runs a query and hands over its rows. The caller rolls back.
pub(super) fn read(
    connection: &Connection<'_>,
    dialect: Dialect,
    sql: &str,
    statement: &Statement<'_>,
    sink: &mut dyn Sink,
) -> Result<Done, Refusal> {
    let until = Instant::now().checked_add(statement.limits.time);
    if dialect == Dialect::Oracle {
        // SPEC: must be the first statement of its transaction.
        let read_only = connection.execute("SET TRANSACTION READ ONLY", (), None);
        read_only.map_err(|error| errors::running(&error))?;
    }
    let parameters = parameters(statement.params);
    let seconds = Some(whole_seconds(statement.limits.time));
    let cursor =
        connection.execute(sql, parameters.as_slice(), seconds).map_err(|error| errors::running(&error))?;
    let Some(mut cursor) = cursor else {
        return Err(Refusal::new(Rule::NotAQuery, "the statement has no result"));
    };
    let (infos, kinds) = columns(&mut cursor)?;
    sink.columns(infos)?;
    let (mut sent, mut bytes) = (0u64, 0u64);
    while let Some(mut row) = cursor.next_row().map_err(|error| errors::running(&error))? {
        if sent >= statement.limits.rows {
            return Ok(Done { truncated: Some(Truncated::Rows) });
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return late(sent);
        }
        let mut values = Vec::with_capacity(kinds.len());
        for (kind, column) in kinds.iter().zip(1u16..) {
            let value = value(&mut row, column, *kind)?;
            bytes = bytes.saturating_add(value.size());
            // Before the row is complete, so that no row is held that cannot be sent.
            if bytes > statement.limits.bytes {
                return Ok(Done { truncated: Some(Truncated::Bytes) });
            }
            values.push(value);
        }
        sink.row(values)?;
        sent = sent.saturating_add(1);
    }
    Ok(Done { truncated: None })
}

fn late(sent: u64) -> Result<Done, Refusal> {
    match sent {
        0 => Err(Refusal::new(Rule::Deadline, "the statement did not end before its deadline")),
        _ => Ok(Done { truncated: Some(Truncated::Time) }),
    }
}

/// Runs a write, commits it and says how many rows it changed.
pub(super) fn write(
    connection: &Connection<'_>,
    dialect: Dialect,
    sql: &str,
    statement: &Statement<'_>,
    sink: &mut dyn Sink,
) -> Result<Done, Refusal> {
    let failed = |error: odbc_api::Error| errors::running(&error);
    let (before, after) = writable(dialect);
    if let Some(before) = before {
        connection.execute(before, (), None).map_err(failed)?;
    }
    let parameters = parameters(statement.params);
    let changed = change(connection, sql, &parameters, statement.limits.time);
    if let (Err(_), Some(_)) = (&changed, after) {
        connection.rollback().map_err(failed)?;
    }
    if let Some(after) = after {
        connection.execute(after, (), None).map_err(failed)?;
    }
    let rows = changed?;
    connection.commit().map_err(failed)?;
    sink.columns(vec![affected()])?;
    sink.row(vec![rows.map_or(Value::Null, Value::Integer)])?;
    Ok(Done { truncated: None })
}

fn change(
    connection: &Connection<'_>,
    sql: &str,
    parameters: &Parameters,
    time: Duration,
) -> Result<Option<i64>, Refusal> {
    let failed = |error: odbc_api::Error| errors::running(&error);
    let mut prepared = connection.preallocate().map_err(failed)?;
    // Not every driver has timeouts; the master's deadline holds for all.
    let _ = prepared.set_query_timeout_sec(whole_seconds(time));
    let returned = prepared.execute(sql, parameters.as_slice()).map_err(failed)?.is_some();
    if returned {
        return Err(Refusal::new(Rule::NotAWrite, "the statement returned rows"));
    }
    let rows = prepared.row_count().map_err(failed)?;
    Ok(rows.and_then(|rows| i64::try_from(rows).ok()))
}

/// What lets one transaction write, and what ends that.
fn writable(dialect: Dialect) -> (Option<&'static str>, Option<&'static str>) {
    match dialect {
        // Holds for the transaction that it begins.
        Dialect::Postgres => (Some("SET TRANSACTION READ WRITE"), None),
        Dialect::Mysql => {
            (Some("SET SESSION TRANSACTION READ WRITE"), Some("SET SESSION TRANSACTION READ ONLY"))
        }
        Dialect::Sqlite => (Some("PRAGMA query_only = OFF"), Some("PRAGMA query_only = ON")),
        Dialect::Ansi | Dialect::Mssql | Dialect::Oracle => (None, None),
    }
}

/// Drivers count in seconds, and zero is for ever.
fn whole_seconds(time: Duration) -> usize {
    usize::try_from(time.as_millis().div_ceil(1000)).unwrap_or(usize::MAX).max(1)
}

fn parameters(values: &[Value]) -> Parameters {
    let parameter = |value: &Value| -> Box<dyn InputParameter> {
        match value {
            Value::Null => Box::new(Option::<String>::None.into_parameter()),
            Value::Integer(integer) => Box::new((*integer).into_parameter()),
            Value::Real(real) => Box::new((*real).into_parameter()),
            Value::Text(text) | Value::Decimal(text) => Box::new(text.clone().into_parameter()),
            Value::Boolean(truth) => Box::new(Bit::from_bool(*truth).into_parameter()),
            Value::Blob(bytes) => Box::new(bytes.clone().into_parameter()),
        }
    };
    values.iter().map(parameter).collect()
}

/// How a column's values are read.
#[derive(Clone, Copy)]
enum Kind {
    Integer,
    Decimal,
    Real,
    Boolean,
    Bytes,
    Text,
}

fn columns(result: &mut impl ResultSetMetadata) -> Result<(Vec<ColumnInfo>, Vec<Kind>), Refusal> {
    let failed = |error: odbc_api::Error| errors::running(&error);
    let count = u16::try_from(result.num_result_cols().map_err(failed)?).unwrap_or_default();
    let mut infos = Vec::new();
    let mut kinds = Vec::new();
    for number in 1..=count {
        let name = result.col_name(number).map_err(failed)?;
        let (kind, decl_type) = kind(result.col_data_type(number).map_err(failed)?);
        infos.push(ColumnInfo { name, decl_type: decl_type.map(str::to_owned) });
        kinds.push(kind);
    }
    Ok((infos, kinds))
}

fn kind(data_type: DataType) -> (Kind, Option<&'static str>) {
    match data_type {
        DataType::Integer | DataType::SmallInt | DataType::TinyInt | DataType::BigInt => {
            (Kind::Integer, Some("integer"))
        }
        DataType::Numeric { .. } | DataType::Decimal { .. } => (Kind::Decimal, Some("decimal")),
        DataType::Float { .. } | DataType::Real | DataType::Double => (Kind::Real, Some("real")),
        DataType::Bit => (Kind::Boolean, Some("boolean")),
        DataType::Binary { .. } | DataType::Varbinary { .. } | DataType::LongVarbinary { .. } => {
            (Kind::Bytes, Some("binary"))
        }
        DataType::Date => (Kind::Text, Some("date")),
        DataType::Time { .. } => (Kind::Text, Some("time")),
        DataType::Timestamp { .. } => (Kind::Text, Some("timestamp")),
        DataType::Char { .. }
        | DataType::WChar { .. }
        | DataType::Varchar { .. }
        | DataType::WVarchar { .. }
        | DataType::LongVarchar { .. }
        | DataType::WLongVarchar { .. } => (Kind::Text, Some("text")),
        DataType::Unknown | DataType::Other { .. } => (Kind::Text, None),
    }
}

/// One value. INVARIANT: a number that does not fit its kind is passed on as its exact text, never rounded.
fn value(row: &mut CursorRow<'_>, column: u16, kind: Kind) -> Result<Value, Refusal> {
    let failed = |error: odbc_api::Error| errors::running(&error);
    if let Kind::Bytes = kind {
        let mut bytes = Vec::new();
        let present = row.get_binary(column, &mut bytes).map_err(failed)?;
        return Ok(if present { Value::Blob(bytes) } else { Value::Null });
    }
    let mut units = Vec::new();
    if !row.get_wide_text(column, &mut units).map_err(failed)? {
        return Ok(Value::Null);
    }
    let text = String::from_utf16_lossy(&units);
    Ok(match kind {
        Kind::Integer => match text.trim().parse() {
            Ok(integer) => Value::Integer(integer),
            Err(_) => decimal(text),
        },
        Kind::Decimal => decimal(text),
        Kind::Real => match text.trim().parse::<f64>() {
            Ok(real) if real.is_finite() => Value::Real(real),
            _ => Value::Text(text),
        },
        Kind::Boolean => match text.trim() {
            "1" | "t" | "true" | "-1" => Value::Boolean(true),
            "0" | "f" | "false" => Value::Boolean(false),
            _ => Value::Text(text),
        },
        Kind::Bytes | Kind::Text => Value::Text(text),
    })
}

/// An exact number, if it is one: drivers write `.50` and pad with spaces.
fn decimal(text: String) -> Value {
    let trimmed = text.trim();
    let (sign, digits) = match trimmed.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", trimmed),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.bytes().filter(|byte| *byte == b'.').count() <= 1
        && digits.bytes().any(|byte| byte.is_ascii_digit());
    match plain {
        true if digits.starts_with('.') => Value::Decimal(format!("{sign}0{digits}")),
        true => Value::Decimal(format!("{sign}{}", digits.trim_end_matches('.'))),
        false => Value::Text(text),
    }
}
