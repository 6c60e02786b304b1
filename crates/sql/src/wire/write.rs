//! Messages to bytes. Each function has its counterpart in `read.rs`.

use std::time::Duration;

use super::codec::{put_bytes, put_length, put_option};
use crate::{
    Access, Action, ColumnInfo, Dialect, Facts, Object, Open, Operation, Refusal, Request, Response, Rows,
    Run, TableDetail, TableKind, Truncated, Value,
};

pub(super) fn request(out: &mut Vec<u8>, request: &Request) {
    match request {
        Request::Open(open) => {
            out.push(1);
            self::open(out, open);
        }
        Request::Prepare { sql, write } => {
            out.push(2);
            put_bytes(out, sql.as_bytes());
            out.push(u8::from(*write));
        }
        Request::Run(run) => {
            out.push(3);
            self::run(out, run);
        }
        Request::Rehearse(run) => {
            out.push(10);
            self::run(out, run);
        }
        Request::Write { run, expected } => {
            out.push(11);
            self::run(out, run);
            put_option(out, *expected, |out, expected| out.extend_from_slice(&expected.to_be_bytes()));
        }
        Request::Tables => out.push(4),
        Request::Describe { table } => {
            out.push(5);
            put_bytes(out, table.as_bytes());
        }
        Request::Estimate { table } => {
            out.push(6);
            put_bytes(out, table.as_bytes());
        }
    }
}

fn open(out: &mut Vec<u8>, open: &Open) {
    match open {
        Open::Sqlite { path } => {
            out.push(1);
            // A path that is not UTF-8 names no file the worker would open.
            put_bytes(out, path.to_str().unwrap_or_default().as_bytes());
        }
        Open::SqliteWriter { path, unfiltered } => {
            out.push(10);
            put_bytes(out, path.to_str().unwrap_or_default().as_bytes());
            out.push(u8::from(*unfiltered));
        }
        Open::Odbc(source) => {
            out.push(2);
            put_bytes(out, source.connection.expose().as_bytes());
            let number = Dialect::ALL.iter().position(|dialect| *dialect == source.dialect);
            out.push(number.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX));
            put_length(out, source.functions.len());
            source.functions.iter().for_each(|function| put_bytes(out, function.as_bytes()));
            out.extend_from_slice(&milliseconds(source.connect).to_be_bytes());
            out.push(u8::from(source.writable));
        }
        Open::PostgresGuard(config) => {
            out.push(3);
            for names in [&config.functions, &config.operators, &config.types, &config.settings] {
                put_length(out, names.len());
                names.iter().for_each(|name| put_bytes(out, name.as_bytes()));
            }
            out.push(u8::from(config.allow_unfiltered));
            for size in [config.max_bytes, config.max_nodes, config.max_depth] {
                put_length(out, size);
            }
        }
    }
}

fn run(out: &mut Vec<u8>, run: &Run) {
    put_bytes(out, run.sql.as_bytes());
    put_length(out, run.params.len());
    run.params.iter().for_each(|param| value(out, param));
    put_length(out, run.granted.len());
    run.granted.iter().for_each(|granted| access(out, granted));
    put_length(out, run.masked.len());
    run.masked.iter().for_each(|masked| object(out, masked));
    out.extend_from_slice(&run.limits.skip.to_be_bytes());
    out.extend_from_slice(&run.limits.rows.to_be_bytes());
    out.extend_from_slice(&run.limits.bytes.to_be_bytes());
    out.extend_from_slice(&milliseconds(run.limits.time).to_be_bytes());
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn response(out: &mut Vec<u8>, response: &Response) {
    match response {
        Response::Ready => out.push(1),
        Response::Facts(facts) => {
            out.push(2);
            self::facts(out, facts);
        }
        Response::Syntax(syntax) => {
            out.push(7);
            put_bytes(out, &syntax.encode());
        }
        Response::Refused(refusal) => {
            out.push(3);
            self::refusal(out, refusal);
        }
        Response::Rows(rows) => {
            out.push(4);
            self::rows(out, rows);
        }
        Response::Tables(tables) => {
            out.push(5);
            put_length(out, tables.len());
            for table in tables {
                put_bytes(out, table.name.as_bytes());
                out.push(kind(table.kind));
            }
        }
        Response::Rehearsal(rehearsal) => {
            out.push(10);
            put_option(out, rehearsal.affected, |out, count| out.extend_from_slice(&count.to_be_bytes()));
            put_option(out, rehearsal.before.as_ref(), rows);
            put_option(out, rehearsal.after.as_ref(), rows);
            put_length(out, rehearsal.warnings.len());
            rehearsal.warnings.iter().for_each(|warning| put_bytes(out, warning.as_bytes()));
        }
        Response::Written { affected } => {
            out.push(11);
            out.extend_from_slice(&affected.to_be_bytes());
        }
        Response::Table(table) => {
            out.push(6);
            self::table(out, table);
        }
        Response::Estimate(estimate) => {
            out.push(12);
            put_bytes(out, estimate.name.as_bytes());
            put_option(out, estimate.rows, |out, rows| out.extend_from_slice(&rows.to_be_bytes()));
        }
    }
}

fn facts(out: &mut Vec<u8>, facts: &Facts) {
    out.push(match facts.operation {
        Operation::Select => 1,
        Operation::Explain => 2,
        Operation::Show => 3,
        Operation::Insert => 4,
        Operation::Update => 5,
        Operation::Delete => 6,
    });
    put_length(out, facts.accesses.len());
    facts.accesses.iter().for_each(|item| access(out, item));
    put_length(out, facts.projected.len());
    facts.projected.iter().for_each(|item| object(out, item));
    columns(out, &facts.columns);
    out.extend_from_slice(&facts.parameters.to_be_bytes());
}

fn access(out: &mut Vec<u8>, access: &Access) {
    out.push(match access.action {
        Action::Read => 1,
        Action::Write => 2,
    });
    object(out, &access.object);
}

fn object(out: &mut Vec<u8>, object: &Object) {
    match object {
        Object::Table { table } => {
            out.push(1);
            put_bytes(out, table.as_bytes());
        }
        Object::Column { table, column } => {
            out.push(2);
            put_bytes(out, table.as_bytes());
            put_bytes(out, column.as_bytes());
        }
        Object::Function { name } => {
            out.push(3);
            put_bytes(out, name.as_bytes());
        }
    }
}

fn columns(out: &mut Vec<u8>, columns: &[ColumnInfo]) {
    put_length(out, columns.len());
    for column in columns {
        put_bytes(out, column.name.as_bytes());
        put_option(out, column.decl_type.as_ref(), |out, decl| put_bytes(out, decl.as_bytes()));
    }
}

fn refusal(out: &mut Vec<u8>, refusal: &Refusal) {
    out.push(refusal.rule.number());
    put_bytes(out, refusal.message.as_bytes());
    put_option(out, refusal.detail.as_ref(), |out, detail| put_bytes(out, detail.as_bytes()));
}

fn rows(out: &mut Vec<u8>, rows: &Rows) {
    columns(out, &rows.columns);
    put_length(out, rows.rows.len());
    for row in &rows.rows {
        put_length(out, row.len());
        row.iter().for_each(|item| value(out, item));
    }
    put_option(out, rows.done.as_ref(), |out, done| {
        out.push(match done.truncated {
            None => 0,
            Some(Truncated::Rows) => 1,
            Some(Truncated::Bytes) => 2,
            Some(Truncated::Time) => 3,
        });
        out.extend_from_slice(done.skipped.bytes());
        put_length(out, done.masked.len());
        done.masked.iter().for_each(|position| out.extend_from_slice(&position.to_be_bytes()));
    });
}

fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0),
        Value::Integer(integer) => {
            out.push(1);
            out.extend_from_slice(&integer.to_be_bytes());
        }
        Value::Real(real) => {
            out.push(2);
            out.extend_from_slice(&real.to_bits().to_be_bytes());
        }
        Value::Text(text) => {
            out.push(3);
            put_bytes(out, text.as_bytes());
        }
        Value::Blob(bytes) => {
            out.push(4);
            put_bytes(out, bytes);
        }
        Value::Boolean(truth) => out.extend_from_slice(&[5, u8::from(*truth)]),
        Value::Decimal(text) => {
            out.push(6);
            put_bytes(out, text.as_bytes());
        }
    }
}

fn kind(kind: TableKind) -> u8 {
    match kind {
        TableKind::Table => 1,
        TableKind::View => 2,
        TableKind::Virtual => 3,
    }
}

fn table(out: &mut Vec<u8>, table: &TableDetail) {
    put_bytes(out, table.name.as_bytes());
    out.push(kind(table.kind));
    put_length(out, table.columns.len());
    for column in &table.columns {
        put_bytes(out, column.name.as_bytes());
        put_bytes(out, column.decl_type.as_bytes());
        out.push(u8::from(column.nullable));
        out.extend_from_slice(&column.primary_key.to_be_bytes());
    }
    put_length(out, table.foreign_keys.len());
    for key in &table.foreign_keys {
        put_bytes(out, key.column.as_bytes());
        put_bytes(out, key.table.as_bytes());
        put_option(out, key.references.as_ref(), |out, name| put_bytes(out, name.as_bytes()));
    }
}
