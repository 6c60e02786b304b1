//! What a statement names, before any catalogue is asked: the judgement of the text alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::Operation;

/// A name, perhaps with its schema, as the server folds it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Name {
    /// The schema, if the text names one.
    pub schema: Option<String>,
    /// The last part.
    pub name: String,
}

/// A table, view or the like that stands in `FROM`, `JOIN` or `USING`, or that is written. Names of common table expressions are none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Relation {
    /// Its name.
    pub name: Name,
    /// The name by which its columns are qualified, if it has another one.
    pub alias: Option<String>,
    /// The names that its alias gives to its first columns. All its columns then count as read.
    pub renamed: Vec<String>,
    /// Whether all its columns count as read: a `NATURAL JOIN` compares them, or a join's alias renames them.
    pub whole: bool,
    /// The scope whose `FROM` it stands in.
    pub scope: u32,
    /// Whether that is the `FROM` of the outermost, plain `SELECT`.
    pub outermost: bool,
    /// Whether it is what an `INSERT`, `UPDATE` or `DELETE` writes.
    pub written: bool,
}

/// Which columns a use means.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Columns {
    /// All: `*` or `t.*`.
    All,
    /// One. A name that is a relation's alias and no column means its whole row.
    Named(String),
}

/// A use of columns.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ColumnUse {
    /// What stands before the name: `t` of `t.c`, or `s.t` of `s.t.c`.
    pub qualifier: Option<Name>,
    /// What is used.
    pub columns: Columns,
    /// The scope it stands in.
    pub scope: u32,
    /// Whether the use is a whole item of the outermost select list, so that the value shows in the result and nowhere else.
    pub projected: bool,
    /// Whether the column is written (a target of `INSERT` or `UPDATE`), not read. It belongs to the written relation.
    pub written: bool,
}

/// What a statement names. Where a name could mean several things, it counts as all of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Syntax {
    /// What kind of statement it is.
    pub operation: Operation,
    /// The highest number of a placeholder.
    pub parameters: u32,
    /// The scopes: for each the one around it. The first is the statement's own and is around itself. A name can mean what stands in its
    /// scope or in one around that, never what stands within.
    pub scopes: Vec<u32>,
    /// The tables and views named.
    pub relations: Vec<Relation>,
    /// The columns used.
    pub columns: BTreeSet<ColumnUse>,
    /// The functions called; `current_user` and its like are among them.
    pub functions: BTreeSet<Name>,
    /// The operators used, also those behind `BETWEEN`, `IN`, `LIKE` and `USING`; built-in ones with their schema are left out.
    pub operators: BTreeSet<Name>,
    /// The types named that are not PostgreSQL's own.
    pub types: BTreeSet<Name>,
    /// Aliases of subqueries, and names and aliases of common table expressions.
    pub derived: BTreeSet<String>,
    /// Aliases of joins, which hold the columns of what they join.
    pub joins: BTreeSet<String>,
    /// Aliases of functions in `FROM`, each with the columns that it is known to have.
    pub function_aliases: BTreeMap<String, BTreeSet<String>>,
    /// Names that the text gives to columns of subqueries and of the result.
    pub labels: BTreeSet<String>,
    /// The setting that `SHOW` names.
    pub setting: Option<String>,
    /// The same for statements that differ in literals, white space and comments alone; never the same for two schemas.
    pub fingerprint: u128,
}

impl Syntax {
    /// Whether `inner` is `outer` or stands within it.
    pub(super) fn sees(&self, inner: u32, outer: u32) -> bool {
        let mut scope = inner;
        // Scopes only ever stand within earlier ones, but what comes over a wire may claim anything.
        for _ in 0..=self.scopes.len() {
            if scope == outer {
                return true;
            }
            match usize::try_from(scope).ok().and_then(|at| self.scopes.get(at)) {
                Some(around) if *around != scope => scope = *around,
                _ => return false,
            }
        }
        false
    }
}
