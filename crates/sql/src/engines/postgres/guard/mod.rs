//! PostgreSQL's guard: pure, without a connection. Text in; what it names, or a refusal.
//!
//! [`judge`] parses with PostgreSQL's own grammar and walks every field of the tree: nodes, functions, operators and types are on lists,
//! and anything else is refused. [`resolve`] then asks a [`Catalogue`] what the names mean: views become the tables beneath them, `*` becomes
//! columns, and `t.f` is refused if `f` is no column of `t`, since it would be a call. docs/sql-postgres.md lists the rules.
//!
//! Both only ever add: where a name could mean several things it counts as all of them. What they cannot see is left to the connection: a
//! role without rights, a read-only transaction, timeouts.
//!
//! INVARIANT: text is judged in a process that can be killed; the parser is C.

mod calls;
mod catalogue;
mod codec;
mod fingerprint;
mod from;
mod json;
mod lists;
mod nodes;
mod resolve;
mod select;
mod sizes;
mod statement;
mod syntax;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeSet;

pub use catalogue::{Catalogue, Column, Function, FunctionKey, Kind, RelationInfo, RelationKey, TypeInfo};
pub use resolve::resolve;
pub use syntax::{ColumnUse, Columns, Name, Relation, Syntax};

use crate::{Refusal, Rule};
use countersign_pg_parser::SyntaxError;
use json::Unread;
use statement::Mode;
use walk::{Walk, node};

/// What an operator may allow beyond the lists, and how large a statement may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardConfig {
    /// Functions that are not built in, as `schema.name`: all functions of that name.
    pub functions: BTreeSet<String>,
    /// Operators that are neither built in nor of an extension, by symbol.
    pub operators: BTreeSet<String>,
    /// Types that are not built in, as `schema.name`. Enumerations and types of extensions need not be named, unless a cast that is not
    /// the extension's calls a function.
    pub types: BTreeSet<String>,
    /// Settings that `SHOW` and `current_setting` may name, in lower case.
    pub settings: BTreeSet<String>,
    /// Whether `UPDATE` and `DELETE` may lack a `WHERE`.
    pub allow_unfiltered: bool,
    /// Bytes of text at most.
    pub max_bytes: usize,
    /// Nodes of the parse tree at most.
    pub max_nodes: usize,
    /// Depth of the parse tree at most, in nodes.
    pub max_depth: usize,
}

impl Default for GuardConfig {
    fn default() -> GuardConfig {
        GuardConfig {
            functions: BTreeSet::new(),
            operators: BTreeSet::new(),
            types: BTreeSet::new(),
            settings: BTreeSet::new(),
            allow_unfiltered: false,
            max_bytes: 100_000,
            max_nodes: 50_000,
            max_depth: 200,
        }
    }
}

impl GuardConfig {
    fn allows_function_named(&self, name: &str) -> bool {
        self.functions.iter().any(|function| function.split_once('.').is_some_and(|(_, last)| last == name))
    }

    fn allows_setting(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        lists::is_setting(&name) || self.settings.contains(&name)
    }
}

/// Judges a query: one `SELECT`, `VALUES`, `TABLE`, `WITH … SELECT`, `EXPLAIN` of these, or `SHOW`.
///
/// # Errors
/// The rule it breaks.
pub fn judge(sql: &str, config: &GuardConfig) -> Result<Syntax, Refusal> {
    judged(sql, config, Mode::Read)
}

/// Judges a write: one `INSERT`, `UPDATE` or `DELETE`. `ON CONFLICT` is allowed; `RETURNING` is not.
///
/// # Errors
/// The rule it breaks.
pub fn judge_write(sql: &str, config: &GuardConfig) -> Result<Syntax, Refusal> {
    judged(sql, config, Mode::Write)
}

fn judged(sql: &str, config: &GuardConfig, mode: Mode) -> Result<Syntax, Refusal> {
    if sql.len() > config.max_bytes {
        return Err(Refusal::new(
            Rule::TooLong,
            format!("the statement is longer than {} bytes", config.max_bytes),
        ));
    }
    let text = countersign_pg_parser::parse(sql).map_err(unparsed)?;
    // Each node is two values deep (itself and its field), and a list of them three.
    let tree = json::read(&text, config.max_depth.saturating_mul(4), config.max_nodes.saturating_mul(16))
        .map_err(unread)?;
    let json::Json::Object(root) = &tree else { return Err(unread(Unread::Malformed)) };
    let statements = walk::Fields(root).list("stmts");
    let statement = match statements {
        [] => return Err(Refusal::new(Rule::Empty, "the text holds no statement")),
        [statement] => statement,
        // MUTATE(A3-pg-one): of several statements the first is judged
        _ => return Err(Refusal::new(Rule::OneStatement, "the text holds more than one statement")),
    };
    let json::Json::Object(statement) = statement else { return Err(unread(Unread::Malformed)) };
    let Some(outermost) = walk::Fields(statement).get("stmt") else { return Err(unread(Unread::Malformed)) };
    let Some((name, fields)) = node(outermost) else { return Err(unread(Unread::Malformed)) };
    let mut walk = Walk::new(config, statement::empty(fingerprint::fingerprint(outermost)));
    statement::judge(&mut walk, name, fields, mode)?;
    Ok(walk.found)
}

fn unparsed(error: SyntaxError) -> Refusal {
    match error {
        SyntaxError::Rejected { message, .. } => {
            Refusal::new(Rule::Syntax, "the statement cannot be parsed").with_detail(message)
        }
        SyntaxError::TooComplex => {
            Refusal::new(Rule::TooComplex, "the statement nests too deeply or has too many parts")
        }
        SyntaxError::NulCharacter => {
            Refusal::new(Rule::NulCharacter, "the statement contains a NUL character")
        }
        SyntaxError::NotUtf8 => Refusal::new(Rule::Syntax, "the statement makes text that is not UTF-8"),
        SyntaxError::NoMemory => Refusal::new(Rule::Memory, "the parser found no memory"),
    }
}

fn unread(why: Unread) -> Refusal {
    match why {
        Unread::TooComplex => {
            Refusal::new(Rule::TooComplex, "the statement nests too deeply or has too many parts")
        }
        Unread::Malformed => Refusal::new(Rule::UnsupportedSyntax, "the parse tree has an unexpected form"),
    }
}
