//! The guard of ODBC sources: the text of a statement in, what it names or a refusal out. No I/O, no connection.
//!
//! 1. [`text`] reads the text as the strictest of all dialects would and refuses what two of them read differently.
//! 2. The parser of the source's dialect yields a tree; [`walk`] passes a closed list of what may stand in it.
//! 3. [`resolve`] finds the tables and columns among those that the source lists, and refuses names it does not know.

mod allowed;
mod escape;
mod expr;
mod functions;
mod lexical;
mod projection;
mod resolve;
mod scope;
mod tables;
#[cfg(test)]
mod tests;
mod text;
mod walk;
mod words;
mod write;

use std::collections::BTreeSet;

use sqlparser::{
    ast::Statement,
    dialect::{self, Dialect as Grammar},
    parser::{Parser, ParserError, ParserOptions},
};

pub(super) use functions::is_system;
pub(super) use projection::Projection;
pub(super) use resolve::{Table, resolve};
pub(super) use walk::Found;

use crate::{Dialect, Operation, Refusal, Rule};
use walk::Walk;

/// A statement that passed.
#[derive(Debug)]
pub(super) struct Judged {
    /// What it is.
    pub(super) operation: Operation,
    /// The text that may run: without comments and the final semicolon.
    pub(super) run: String,
    /// What it names.
    pub(super) found: Found,
    /// What it projects, if it is a plain query.
    pub(super) projection: Option<Projection>,
    /// How many placeholders it has.
    pub(super) parameters: u32,
}

/// How deep the parser may go.
const RECURSION: usize = 48;
/// Bytes of stack for that, in unoptimised code too.
const STACK: usize = 32 << 20;

/// Judges a text: one query, or one write if `write`. `functions` are the source's own that may be called.
pub(super) fn judge(
    sql: &str,
    dialect: Dialect,
    write: bool,
    functions: &BTreeSet<String>,
) -> Result<Judged, Refusal> {
    // INVARIANT: the parser's recursion is bounded, and this stack holds the deepest.
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK);
        let judging = builder.spawn_scoped(scope, || decide(sql, dialect, write, functions));
        let judged = judging.map(std::thread::ScopedJoinHandle::join);
        match judged {
            Ok(Ok(judged)) => judged,
            // No thread to be had, or the parser panicked.
            Err(_) | Ok(Err(_)) => Err(Refusal::new(Rule::TooComplex, "the statement cannot be judged")),
        }
    })
}

fn decide(sql: &str, dialect: Dialect, write: bool, functions: &BTreeSet<String>) -> Result<Judged, Refusal> {
    let text = text::read(sql, dialect, write)?;
    let statement = parse(&text.parse, dialect)?;
    let mut walk = Walk::new(dialect, functions);
    let operation = match (&statement, write) {
        (Statement::Query(query), false) => {
            walk.query(query)?;
            Operation::Select
        }
        (Statement::Insert(insert), true) => {
            walk.insert(insert)?;
            Operation::Insert
        }
        (Statement::Update(update), true) => {
            walk.update(update)?;
            Operation::Update
        }
        (Statement::Delete(delete), true) => {
            walk.delete(delete)?;
            Operation::Delete
        }
        (_, false) => {
            return Err(Refusal::new(Rule::NotAQuery, "only SELECT, VALUES and WITH … SELECT are allowed"));
        }
        (_, true) => {
            return Err(Refusal::new(Rule::NotAWrite, "only one INSERT, UPDATE or DELETE is allowed"));
        }
    };
    let projection = match &statement {
        Statement::Query(query) => projection::of(query, dialect, functions),
        _ => None,
    };
    let run = text.run.trim().to_owned();
    Ok(Judged { operation, run, found: walk.found, projection, parameters: text.parameters })
}

fn parse(text: &str, dialect: Dialect) -> Result<Statement, Refusal> {
    let options = ParserOptions::new().with_unescape(false);
    let parser = Parser::new(grammar(dialect)).with_options(options).with_recursion_limit(RECURSION);
    let mut statements =
        parser.try_with_sql(text).and_then(|mut parser| parser.parse_statements()).map_err(refusal)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(Refusal::new(Rule::Empty, "the text holds no statement")),
        (Some(_), false) => Err(Refusal::new(Rule::OneStatement, "the text holds more than one statement")),
    }
}

fn refusal(error: ParserError) -> Refusal {
    match error {
        ParserError::RecursionLimitExceeded => {
            Refusal::new(Rule::TooComplex, "the statement is deeper than allowed")
        }
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            Refusal::new(Rule::Syntax, "the statement cannot be parsed").with_detail(text)
        }
    }
}

fn grammar(dialect: Dialect) -> &'static dyn Grammar {
    match dialect {
        Dialect::Ansi => &dialect::GenericDialect,
        Dialect::Postgres => &dialect::PostgreSqlDialect {},
        Dialect::Mssql => &dialect::MsSqlDialect {},
        Dialect::Mysql => &dialect::MySqlDialect {},
        Dialect::Oracle => &dialect::OracleDialect {},
        Dialect::Sqlite => &dialect::SQLiteDialect {},
    }
}
