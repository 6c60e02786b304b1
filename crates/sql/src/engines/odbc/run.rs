//! Running a judged statement: parameters in, values out, under the limits of its run.

use std::time::{Duration, Instant};

use odbc_api::{
    Bit, Connection, Cursor, CursorRow, DataType, IntoParameter, ResultSetMetadata, parameter::InputParameter,
};

use super::{Sink, Statement, errors};
use crate::{ColumnInfo, Dialect, Done, Refusal, RowsDigest, Rule, Truncated, Value};

pub(super) type Parameters = Vec<Box<dyn InputParameter>>;

/// The columns of a query's result. No row is read.
pub(super) fn describe(connection: &Connection<'_>, sql: &str) -> Result<Vec<ColumnInfo>, Refusal> {
    let mut prepared = connection.prepare(sql).map_err(|error| errors::running(&error))?;
    let (columns, _) = columns(&mut prepared)?;
    Ok(columns)
}

/// Runs a query and hands over its rows, void at the positions `masked`. The caller rolls back.
pub(super) fn read(
    connection: &Connection<'_>,
    dialect: Dialect,
    sql: &str,
    statement: &Statement<'_>,
    masked: Vec<u32>,
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
    let limits = statement.limits;
    let (mut passed, mut sent, mut bytes) = (0u64, 0u64, 0u64);
    let mut skipped = RowsDigest::default();
    let mut truncated = None;
    while let Some(mut row) = cursor.next_row().map_err(|error| errors::running(&error))? {
        let skip = passed < limits.skip;
        if !skip && sent >= limits.rows {
            truncated = Some(Truncated::Rows);
            break;
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            if sent == 0 {
                return Err(Refusal::new(Rule::Deadline, "the statement did not end before its deadline"));
            }
            truncated = Some(Truncated::Time);
            break;
        }
        let mut values = Vec::with_capacity(kinds.len());
        for ((kind, column), position) in kinds.iter().zip(1u16..).zip(0u32..) {
            // INVARIANT: a masked value is not even fetched.
            // MUTATE(A16-odbc-void): values of masked columns are returned
            let value =
                if masked.contains(&position) { Value::Null } else { value(&mut row, column, *kind)? };
            let size = if skip { 0 } else { value.size() };
            bytes = bytes.saturating_add(size);
            // Before the row is complete, so that no row is held that cannot be sent.
            if bytes > limits.bytes {
                return Ok(Done { truncated: Some(Truncated::Bytes), skipped, masked });
            }
            values.push(value);
        }
        if skip {
            skipped = skipped.then(&values);
            passed = passed.saturating_add(1);
        } else {
            sink.row(values)?;
            sent = sent.saturating_add(1);
        }
    }
    Ok(Done { truncated, skipped, masked })
}

/// Drivers count in seconds, and zero is for ever.
pub(super) fn whole_seconds(time: Duration) -> usize {
    usize::try_from(time.as_millis().div_ceil(1000)).unwrap_or(usize::MAX).max(1)
}

pub(super) fn parameters(values: &[Value]) -> Parameters {
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
