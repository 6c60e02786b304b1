//! From names to objects: what a statement touches, in the words of the source's own catalogue.
//!
//! INVARIANT: never less than it can reveal. A name that could be a column of several tables counts for all of them; one that is no column of
//! any table, and that the statement did not define itself, is refused: it could be a function or a hidden column.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, walk::Named};
use crate::{Access, Refusal, Rule};

/// A table or view of the source, with its columns; all names folded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::engines::odbc) struct Table {
    /// Its name in policies and records.
    pub(in crate::engines::odbc) name: String,
    /// Its columns.
    pub(in crate::engines::odbc) columns: BTreeSet<String>,
}

/// Names without parentheses that are no columns.
pub(super) const PSEUDO: &[&str] = &["default", "rownum", "sysdate", "systimestamp"];

/// A table of the statement, and the names it goes by.
struct Used<'a> {
    named: &'a Named,
    table: &'a Table,
}

impl Used<'_> {
    /// Whether a qualifier means it.
    fn is(&self, qualifier: &[String]) -> bool {
        self.named.is(qualifier)
    }
}

/// What a statement touches. `look_up` finds a table by the parts of its name.
pub(in crate::engines::odbc) fn resolve<'t>(
    found: &Found,
    mut look_up: impl FnMut(&[String]) -> Result<Option<&'t Table>, Refusal>,
) -> Result<BTreeSet<Access>, Refusal> {
    let mut used = Vec::new();
    for named in &found.tables {
        let is_cte = matches!(named.parts.as_slice(), [name] if found.ctes.contains(name));
        match look_up(&named.parts)? {
            Some(table) => used.push(Used { named, table }),
            None if is_cte => {}
            None => {
                return Err(Refusal::new(
                    Rule::UnknownTable,
                    "the statement names a table that the source does not list",
                ));
            }
        }
    }
    let mut accesses: BTreeSet<Access> = used.iter().map(|used| Access::table(&used.table.name)).collect();
    let all = |accesses: &mut BTreeSet<Access>, used: &Used<'_>| {
        accesses.extend(used.table.columns.iter().map(|column| Access::column(&used.table.name, column)));
    };
    for qualifier in &found.stars {
        used.iter().filter(|used| used.is(qualifier)).for_each(|used| all(&mut accesses, used));
    }
    for (qualifier, column) in &found.columns {
        let mut known = false;
        for used in used.iter().filter(|used| used.table.columns.contains(column)) {
            // MUTATE(A8-odbc-columns): a column without its table's name counts for none
            if used.is(qualifier) {
                accesses.insert(Access::column(&used.table.name, column));
                known = true;
            }
        }
        // A table's name in the place of a column is its whole row.
        for used in used.iter().filter(|used| used.is(std::slice::from_ref(column))) {
            all(&mut accesses, used);
            known = true;
        }
        let own = found.defined.contains(column)
            || found.ctes.contains(column)
            || used.iter().any(|used| used.table.columns.contains(column));
        let pseudo = qualifier.is_empty() && PSEUDO.contains(&column.as_str());
        // The qualifier of a derived table: its columns were found inside it.
        let derived = match qualifier.as_slice() {
            [] => own,
            [name] => {
                own && (found.defined.contains(name) || found.ctes.contains(name))
                    && !used.iter().any(|used| used.is(qualifier))
            }
            _ => false,
        };
        // MUTATE(A8-odbc-unknown): a name that is no column passes, be it a function in disguise
        if !known && !derived && !pseudo {
            let message = "the statement names a column that none of its tables has";
            return Err(Refusal::new(Rule::UnknownName, message));
        }
    }
    let by_name: BTreeMap<&Named, &Table> = used.iter().map(|used| (used.named, used.table)).collect();
    let table = |named: &Named| by_name.get(named).copied();
    // MUTATE(A8-odbc-scope): a name that is a column elsewhere in the statement passes, be it a function where it stands
    if !found.scopes.hold(found.dialect, table) {
        let message = "the statement names a column that no table has where it stands";
        return Err(Refusal::new(Rule::UnknownName, message));
    }
    accesses.extend(found.functions.iter().map(Access::function));
    if let Some((named, columns)) = &found.written {
        let Some(table) = look_up(&named.parts)? else {
            return Err(Refusal::new(
                Rule::UnknownTable,
                "the statement writes a table that the source does not list",
            ));
        };
        accesses.insert(Access::table(&table.name).written());
        // MUTATE(A5-odbc-whole-row): who may not write a column deletes it with its row
        if columns.is_empty() {
            accesses.extend(table.columns.iter().map(|column| Access::column(&table.name, column).written()));
        }
        for column in columns {
            if !table.columns.contains(column) {
                return Err(Refusal::new(
                    Rule::UnknownName,
                    "the statement writes a column that the table does not have",
                ));
            }
            accesses.insert(Access::column(&table.name, column).written());
        }
    }
    Ok(accesses)
}
