//! What the guard knows of a database: plain data that the connection reads from the server's catalogues.

use std::collections::{BTreeMap, BTreeSet};

use super::syntax::Syntax;
use crate::Refusal;

/// A database's relations, functions, operators and types, as far as the guard asks for them. `pg_catalog` is left out: its parts are on
/// the guard's own lists.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Catalogue {
    /// The schemas whose tables callers may name, in the order in which names without a schema are looked for; `pg_catalog`, which the server
    /// puts first, is left out.
    pub search_path: Vec<String>,
    /// Tables, views and the like.
    pub relations: BTreeMap<RelationKey, RelationInfo>,
    /// Functions, aggregates and procedures: one entry for all that share schema and name.
    pub functions: BTreeMap<FunctionKey, Function>,
    /// Operators as (schema, symbol), and whether every one of that symbol belongs to an extension. Those may be used: extensions are
    /// installed by the database's owner, and their operators compute.
    pub operators: BTreeMap<(String, String), bool>,
    /// Types as (schema, name).
    pub types: BTreeMap<(String, String), TypeInfo>,
}

/// A relation's schema and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RelationKey {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
}

/// A function's schema and name.
pub type FunctionKey = RelationKey;

impl RelationKey {
    /// A key from its parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> RelationKey {
        RelationKey { schema: schema.into(), name: name.into() }
    }

    /// `schema.name`, as facts and policies write it. A part that holds a dot or a quote is quoted, so that no two keys are written alike.
    pub fn written(&self) -> String {
        format!("{}.{}", part(&self.schema), part(&self.name))
    }
}

fn part(name: &str) -> String {
    if name.contains(['.', '"']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() }
}

/// What a relation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A table, partitioned or not.
    Table,
    /// A view.
    View,
    /// A materialised view.
    MaterializedView,
    /// A foreign table: its rows come from another server or a file.
    Foreign,
    /// A sequence.
    Sequence,
}

/// A relation.
#[derive(Clone, PartialEq, Debug)]
pub struct RelationInfo {
    /// Its object identifier.
    pub oid: u32,
    /// What it is.
    pub kind: Kind,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// For views: what [`judge`](super::judge) says of the text of `pg_get_viewdef`, taken with an empty search path.
    pub body: Option<Result<Syntax, Refusal>>,
    /// For views: whether it reads with its owner's rights. All do but those with `security_invoker`.
    pub owner_rights: bool,
}

/// A column.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as the server writes it.
    pub type_name: String,
    /// For a generated column: the columns of the same table that it is made of.
    pub sources: BTreeSet<String>,
}

impl Column {
    /// A column that is not generated.
    pub fn new(name: impl Into<String>, type_name: impl Into<String>) -> Column {
        Column { name: name.into(), type_name: type_name.into(), sources: BTreeSet::new() }
    }
}

/// Functions that share schema and name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Function {
    /// The owner of one of them.
    pub owner: String,
    /// Whether any runs with its owner's rights.
    pub security_definer: bool,
    /// Whether any is volatile.
    pub volatile: bool,
    /// Whether all belong to extensions.
    pub extension: bool,
    /// Names of their columns, if they return rows.
    pub columns: BTreeSet<String>,
}

/// A type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TypeInfo {
    /// Whether it is an enumeration.
    pub enumeration: bool,
    /// Whether any cast to or from it calls a function, casts of extensions aside.
    pub casts: bool,
    /// Whether it is a base type that belongs to an extension, such as `vector` or `hstore`.
    pub extension: bool,
}
