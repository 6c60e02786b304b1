//! Bytes to messages. Each function has its counterpart in `write.rs`.

use std::time::Duration;

use super::{WireError, codec::Reader};
use crate::{
    Access, Action, ColumnDetail, ColumnInfo, ConnectionString, Dialect, Done, Facts, ForeignKey, Object,
    OdbcSource, Open, Operation, Refusal, Rehearsal, Request, Response, Rows, RowsDigest, Rule, Run,
    RunLimits, TableDetail, TableEstimate, TableInfo, TableKind, Truncated, Value,
    engines::postgres::guard::{GuardConfig, Syntax},
};

const UNKNOWN: WireError = WireError::Malformed("a tag is unknown");

pub(super) fn request(r: &mut Reader<'_>) -> Result<Request, WireError> {
    Ok(match r.u8()? {
        1 => Request::Open(open(r)?),
        2 => Request::Prepare { sql: r.text()?, write: r.flag()? },
        3 => Request::Run(run(r)?),
        4 => Request::Tables,
        5 => Request::Describe { table: r.text()? },
        6 => Request::Estimate { table: r.text()? },
        10 => Request::Rehearse(run(r)?),
        11 => Request::Write { run: run(r)?, expected: r.option(Reader::u64)? },
        _ => return Err(UNKNOWN),
    })
}

fn open(r: &mut Reader<'_>) -> Result<Open, WireError> {
    Ok(match r.u8()? {
        1 => Open::Sqlite { path: r.text()?.into() },
        10 => Open::SqliteWriter { path: r.text()?.into(), unfiltered: r.flag()? },
        2 => Open::Odbc(OdbcSource {
            connection: ConnectionString::new(r.text()?),
            dialect: dialect(r)?,
            functions: r.sequence(Reader::text)?,
            connect: Duration::from_millis(r.u64()?),
            writable: r.flag()?,
        }),
        3 => Open::PostgresGuard(GuardConfig {
            functions: r.sequence(Reader::text)?,
            operators: r.sequence(Reader::text)?,
            types: r.sequence(Reader::text)?,
            settings: r.sequence(Reader::text)?,
            allow_unfiltered: r.flag()?,
            max_bytes: size(r)?,
            max_nodes: size(r)?,
            max_depth: size(r)?,
        }),
        _ => return Err(UNKNOWN),
    })
}

fn size(r: &mut Reader<'_>) -> Result<usize, WireError> {
    usize::try_from(r.u32()?).map_err(|_| WireError::TooLong)
}

fn dialect(r: &mut Reader<'_>) -> Result<Dialect, WireError> {
    let number = usize::from(r.u8()?);
    Dialect::ALL.get(number).copied().ok_or(UNKNOWN)
}

fn run(r: &mut Reader<'_>) -> Result<Run, WireError> {
    Ok(Run {
        sql: r.text()?,
        params: r.sequence(value)?,
        granted: r.sequence(access)?,
        masked: r.sequence(object)?,
        limits: RunLimits {
            skip: r.u64()?,
            rows: r.u64()?,
            bytes: r.u64()?,
            time: Duration::from_millis(r.u64()?),
        },
    })
}

pub(super) fn response(r: &mut Reader<'_>) -> Result<Response, WireError> {
    Ok(match r.u8()? {
        1 => Response::Ready,
        2 => Response::Facts(facts(r)?),
        3 => Response::Refused(refusal(r)?),
        4 => Response::Rows(rows(r)?),
        5 => Response::Tables(r.sequence(|r| Ok(TableInfo { name: r.text()?, kind: kind(r)? }))?),
        6 => Response::Table(table(r)?),
        7 => Response::Syntax(Box::new(Syntax::decode(&r.blob()?)?)),
        10 => Response::Rehearsal(Rehearsal {
            affected: r.option(Reader::u64)?,
            before: r.option(rows)?,
            after: r.option(rows)?,
            warnings: r.sequence(Reader::text)?,
        }),
        11 => Response::Written { affected: r.u64()? },
        12 => Response::Estimate(TableEstimate { name: r.text()?, rows: r.option(Reader::u64)? }),
        _ => return Err(UNKNOWN),
    })
}

fn facts(r: &mut Reader<'_>) -> Result<Facts, WireError> {
    let operation = match r.u8()? {
        1 => Operation::Select,
        2 => Operation::Explain,
        3 => Operation::Show,
        4 => Operation::Insert,
        5 => Operation::Update,
        6 => Operation::Delete,
        _ => return Err(UNKNOWN),
    };
    Ok(Facts {
        operation,
        accesses: r.sequence(access)?,
        projected: r.sequence(object)?,
        columns: r.sequence(column)?,
        parameters: r.u32()?,
    })
}

fn access(r: &mut Reader<'_>) -> Result<Access, WireError> {
    let action = match r.u8()? {
        1 => Action::Read,
        2 => Action::Write,
        _ => return Err(UNKNOWN),
    };
    Ok(Access { action, object: object(r)? })
}

fn object(r: &mut Reader<'_>) -> Result<Object, WireError> {
    Ok(match r.u8()? {
        1 => Object::Table { table: r.text()? },
        2 => Object::Column { table: r.text()?, column: r.text()? },
        3 => Object::Function { name: r.text()? },
        _ => return Err(UNKNOWN),
    })
}

fn column(r: &mut Reader<'_>) -> Result<ColumnInfo, WireError> {
    Ok(ColumnInfo { name: r.text()?, decl_type: r.option(Reader::text)? })
}

fn refusal(r: &mut Reader<'_>) -> Result<Refusal, WireError> {
    let rule = Rule::from_number(r.u8()?).ok_or(UNKNOWN)?;
    Ok(Refusal { rule, message: r.text()?, detail: r.option(Reader::text)? })
}

fn rows(r: &mut Reader<'_>) -> Result<Rows, WireError> {
    Ok(Rows { columns: r.sequence(column)?, rows: r.sequence(|r| r.sequence(value))?, done: r.option(done)? })
}

fn done(r: &mut Reader<'_>) -> Result<Done, WireError> {
    let truncated = match r.u8()? {
        0 => None,
        1 => Some(Truncated::Rows),
        2 => Some(Truncated::Bytes),
        3 => Some(Truncated::Time),
        _ => return Err(UNKNOWN),
    };
    let skipped = RowsDigest::from_bytes(r.array()?);
    Ok(Done { truncated, skipped, masked: r.sequence(Reader::u32)? })
}

fn value(r: &mut Reader<'_>) -> Result<Value, WireError> {
    Ok(match r.u8()? {
        0 => Value::Null,
        1 => Value::Integer(r.u64()?.cast_signed()),
        2 => Value::Real(f64::from_bits(r.u64()?)),
        3 => Value::Text(r.text()?),
        4 => Value::Blob(r.blob()?),
        5 => Value::Boolean(r.flag()?),
        6 => Value::Decimal(r.text()?),
        _ => return Err(UNKNOWN),
    })
}

fn kind(r: &mut Reader<'_>) -> Result<TableKind, WireError> {
    match r.u8()? {
        1 => Ok(TableKind::Table),
        2 => Ok(TableKind::View),
        3 => Ok(TableKind::Virtual),
        _ => Err(UNKNOWN),
    }
}

fn table(r: &mut Reader<'_>) -> Result<TableDetail, WireError> {
    Ok(TableDetail {
        name: r.text()?,
        kind: kind(r)?,
        columns: r.sequence(|r| {
            Ok(ColumnDetail {
                name: r.text()?,
                decl_type: r.text()?,
                nullable: r.flag()?,
                primary_key: r.u32()?,
            })
        })?,
        foreign_keys: r.sequence(|r| {
            Ok(ForeignKey { column: r.text()?, table: r.text()?, references: r.option(Reader::text)? })
        })?,
    })
}
