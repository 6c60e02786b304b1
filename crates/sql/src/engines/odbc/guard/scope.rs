//! Where the names of a statement are looked for: each SELECT with what stands in its FROM.
//!
//! Some sources call a function that has no arguments by its name alone, and a package's as `package.function`: what is no column where it
//! stands is then a call. So a name has to be a column of something that can be seen from its place, not of anything in the statement.

use std::{cell::Cell, collections::BTreeSet};

use super::{
    resolve::{PSEUDO, Table},
    walk::Named,
};
use crate::Dialect;

/// Subqueries within subqueries that are followed to the origin of a column.
const DEPTH: usize = 64;
/// Tables and subqueries that are looked into for all names of a statement together.
const STEPS: u32 = 1_000_000;

/// One SELECT.
#[derive(Default, Debug)]
pub(super) struct Scope {
    /// The SELECT whose names it sees as well.
    pub(super) outer: Option<usize>,
    /// Tables of its FROM, and common table expressions.
    pub(super) tables: BTreeSet<Named>,
    /// Subqueries of its FROM, and the new names that tables give their columns.
    pub(super) derived: Vec<Derived>,
    /// The names of its items.
    pub(super) labels: BTreeSet<String>,
    /// Whether `*` is among its items.
    pub(super) star: bool,
}

/// A subquery or a common table expression by its name.
#[derive(Debug)]
pub(super) struct Derived {
    pub(super) name: Option<String>,
    /// The names that its columns are given beside it.
    pub(super) renamed: Vec<String>,
    /// The SELECT whose items they are otherwise.
    pub(super) body: Option<usize>,
}

/// A name in the place of a column.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Use {
    pub(super) scope: Option<usize>,
    /// Whether the names of the SELECT's own items count: in `ORDER BY`.
    pub(super) labelled: bool,
    pub(super) qualifier: Vec<String>,
    pub(super) column: String,
}

/// Every place of a statement.
#[derive(Default, Debug)]
pub(in crate::engines::odbc) struct Scopes {
    pub(super) all: Vec<Scope>,
    pub(super) ctes: Vec<Derived>,
    pub(super) uses: BTreeSet<Use>,
}

impl Scopes {
    /// A new SELECT that sees the names of `outer`.
    pub(super) fn open(&mut self, outer: Option<usize>) -> usize {
        self.all.push(Scope { outer, ..Scope::default() });
        self.all.len() - 1
    }

    pub(super) fn of(&mut self, scope: Option<usize>) -> Option<&mut Scope> {
        self.all.get_mut(scope?)
    }

    /// Whether each name is a column where it stands. `table` finds a table of the source by its name.
    pub(super) fn hold<'t>(&self, dialect: Dialect, table: impl Fn(&Named) -> Option<&'t Table>) -> bool {
        // The others call nothing without parentheses.
        if !matches!(dialect, Dialect::Ansi | Dialect::Oracle | Dialect::Postgres) {
            return true;
        }
        let search = Search { scopes: self, dialect, table, steps: Cell::new(0) };
        self.uses.iter().all(|one| search.sees(one))
    }
}

/// One look at all names of a statement.
struct Search<'s, F> {
    scopes: &'s Scopes,
    dialect: Dialect,
    table: F,
    steps: Cell<u32>,
}

impl<'t, F: Fn(&Named) -> Option<&'t Table>> Search<'_, F> {
    fn sees(&self, one: &Use) -> bool {
        let Use { scope, labelled, qualifier, column } = one;
        let get = |scope: Option<usize>| scope.and_then(|scope| self.scopes.all.get(scope));
        if qualifier.is_empty() && PSEUDO.contains(&column.as_str()) {
            return true;
        }
        if *labelled && qualifier.is_empty() && get(*scope).is_some_and(|own| own.labels.contains(column)) {
            return true;
        }
        let mut next = *scope;
        while let Some(scope) = get(next) {
            if self.gives(scope, qualifier, column, DEPTH)
                || (qualifier.is_empty() && self.row(scope, column))
            {
                return true;
            }
            next = scope.outer;
        }
        false
    }

    /// Whether to look further: subqueries that stand for each other many times over are not followed to the end.
    fn step(&self) -> bool {
        self.steps.set(self.steps.get().saturating_add(1));
        self.steps.get() <= STEPS
    }

    /// Whether a name is that of a table or subquery, which stands for a whole row, but not everywhere.
    fn row(&self, scope: &Scope, name: &String) -> bool {
        let tables = || scope.tables.iter().any(|named| named.is(std::slice::from_ref(name)));
        let derived = || scope.derived.iter().any(|derived| derived.name.as_ref() == Some(name));
        self.dialect != Dialect::Oracle && (tables() || derived())
    }

    /// Whether something in the FROM of a SELECT has this column.
    fn gives(&self, scope: &Scope, qualifier: &[String], column: &str, depth: usize) -> bool {
        let by_name = |derived: &&Derived| match qualifier {
            [] => true,
            [name] => derived.name.as_ref() == Some(name),
            _ => false,
        };
        scope.tables.iter().filter(|named| named.is(qualifier)).any(|named| {
            self.step()
                && ((self.table)(named).is_some_and(|table| table.columns.contains(column))
                    || self.cte_has(named, column, depth))
        }) || scope.derived.iter().filter(by_name).any(|derived| self.has(derived, column, depth))
    }

    /// Whether the common table expression that a name may mean has this column: of several of one name, each.
    fn cte_has(&self, named: &Named, column: &str, depth: usize) -> bool {
        let [name] = named.parts.as_slice() else { return false };
        let mut meant = self.scopes.ctes.iter().filter(|cte| cte.name.as_ref() == Some(name)).peekable();
        meant.peek().is_some() && meant.all(|cte| self.has(cte, column, depth))
    }

    fn has(&self, derived: &Derived, column: &str, depth: usize) -> bool {
        if !self.step() {
            return false;
        }
        if !derived.renamed.is_empty() {
            return derived.renamed.iter().any(|name| name == column);
        }
        let body = derived.body.and_then(|body| self.scopes.all.get(body));
        let Some((body, depth)) = body.zip(depth.checked_sub(1)) else { return false };
        body.labels.contains(column) || (body.star && self.gives(body, &[], column, depth))
    }
}
