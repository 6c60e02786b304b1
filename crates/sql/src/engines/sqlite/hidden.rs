//! From the authorizer's reports to facts: what it reports, and three kinds of read that it does not.
//!
//! - `NATURAL JOIN` and `JOIN … USING` compare columns without reporting them, and a table of which nothing else is read is not reported at
//!   all: `SELECT 1 FROM users NATURAL JOIN (SELECT 'guess' AS password_hash)` is silent. So where a text contains either word, every
//!   table whose name occurs in it counts as read, with the columns whose names occur (`USING`) or all (`NATURAL`). The same holds for the
//!   definition of each view that is read.
//! - A generated column reveals the columns it is made of. They occur in the table's definition at least twice.
//! - A virtual table reads tables beneath it: its shadow tables, and tables that its definition names (a full-text index with external
//!   content). It counts as read whole, and so do the named columns of the named tables.
//!
//! INVARIANT: occurrence is tested on the bare text, blind to quotes and comments. A name that is used occurs; one that only occurs is
//! reported in vain, which errs on the safe side.

use std::collections::BTreeSet;

use super::{
    authorizer::Report,
    catalog::{Catalog, Column, PURE_MODULES, Table},
};
use crate::{Access, Refusal, Rule, TableKind};

/// All that a statement reads and calls, and the tables beneath the virtual tables it reads.
#[derive(Default, Debug)]
pub(super) struct Reads {
    /// For the facts.
    pub(super) accesses: BTreeSet<Access>,
    /// Folded names of tables that a virtual table's own statements read.
    pub(super) beneath: BTreeSet<String>,
}

/// Completes the authorizer's reports on `sql`.
pub(super) fn complete(sql: &str, reports: &BTreeSet<Report>, catalog: &Catalog) -> Result<Reads, Refusal> {
    let mut collector = Collector { catalog, reads: Reads::default(), views: BTreeSet::new() };
    for report in reports {
        collector.report(report)?;
    }
    collector.joins(&sql.to_ascii_lowercase())?;
    collector.triggers_joins(reports)?;
    collector.views_joins()?;
    Ok(collector.reads)
}

struct Collector<'a> {
    catalog: &'a Catalog,
    reads: Reads,
    /// Views whose definitions are still to be searched, or have been.
    views: BTreeSet<&'a str>,
}

impl<'a> Collector<'a> {
    fn report(&mut self, report: &Report) -> Result<(), Refusal> {
        match report {
            Report::Call { function, .. } => {
                self.reads.accesses.insert(Access::function(function));
            }
            Report::Write { table, column, .. } => self.write(table, column.as_deref()),
            Report::Read { table, column, .. } => match self.catalog.tables.get_key_value(table) {
                Some((name, entry)) => self.read(name, entry, column),
                None => self.read_unlisted(table, column)?,
            },
        }
        Ok(())
    }

    fn read(&mut self, name: &'a str, table: &'a Table, column: &str) {
        self.table(name, table);
        if !column.is_empty() {
            self.column(name, table, column);
        }
    }

    /// INVARIANT: a row that is inserted or deleted is written in all its columns.
    fn write(&mut self, table: &str, column: Option<&str>) {
        self.reads.accesses.insert(Access::table(table).written());
        let known = self.catalog.tables.get(table).into_iter().flat_map(|table| &table.columns);
        let whole = known.filter(|known| column.is_none_or(|column| column == known.name));
        let columns = whole.map(|known| Access::column(table, &known.name).written());
        self.reads.accesses.extend(columns);
        // Such as `rowid`, which no definition lists.
        self.reads.accesses.extend(column.map(|column| Access::column(table, column).written()));
    }

    /// A name that the schema does not hold: SQLite's own table, a built-in virtual table, or a common table expression.
    fn read_unlisted(&mut self, table: &str, column: &str) -> Result<(), Refusal> {
        if PURE_MODULES.contains(&table) {
            self.reads.accesses.insert(Access::function(table));
        } else if table.starts_with("sqlite_") {
            self.reads.accesses.insert(Access::table(table));
            if !column.is_empty() {
                self.reads.accesses.insert(Access::column(table, column));
            }
        } else if !column.is_empty() || table.starts_with("pragma_") || self.catalog.modules.contains(table) {
            return Err(forbidden_module(table));
        }
        // What is left is a common table expression of which no column is used: its own reads are reported apart.
        Ok(())
    }

    fn table(&mut self, name: &'a str, table: &'a Table) {
        let new = self.reads.accesses.insert(Access::table(name));
        match table.kind {
            TableKind::Table => {}
            TableKind::View => {
                self.views.insert(name);
            }
            TableKind::Virtual if new => self.virtual_table(name, table),
            TableKind::Virtual => {}
        }
    }

    fn column(&mut self, name: &str, table: &Table, column: &str) {
        self.reads.accesses.insert(Access::column(name, column));
        // MUTATE(A8-generated): a generated column hides what it is made of
        let generated = table.columns.iter().any(|known| known.generated && known.name == column);
        if generated {
            let sources =
                table.columns.iter().filter(|source| occurrences(&table.definition, &source.name) >= 2);
            let sources = sources.map(|source| Access::column(name, &source.name));
            self.reads.accesses.extend(sources);
        }
    }

    fn virtual_table(&mut self, name: &str, table: &'a Table) {
        // A full-text index sorts by rank with a select from itself.
        self.reads.beneath.insert(name.to_owned());
        for column in &table.columns {
            self.reads.accesses.insert(Access::column(name, &column.name));
        }
        for (beneath, entry) in &self.catalog.tables {
            let own = entry.shadow && beneath.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
            if own {
                self.reads.beneath.insert(beneath.clone());
            } else if beneath != name && occurrences(&table.definition, beneath) > 0 {
                self.reads.beneath.insert(beneath.clone());
                self.table(beneath, entry);
                self.columns(beneath, entry, |column| occurrences(&table.definition, &column.name) > 0);
            }
        }
    }

    fn columns(&mut self, name: &str, table: &Table, include: impl Fn(&Column) -> bool) {
        for column in table.columns.iter().filter(|column| include(column)) {
            self.column(name, table, &column.name);
        }
    }

    /// Adds what a text joins without the authorizer's notice.
    fn joins(&mut self, text: &str) -> Result<(), Refusal> {
        // MUTATE(A8-joins): joined columns go unnoticed
        let (natural, using) = (text.contains("natural"), text.contains("using"));
        if !natural && !using {
            return Ok(());
        }
        for (name, table) in &self.catalog.tables {
            if occurrences(text, name) > 0 {
                self.table(name, table);
                self.columns(name, table, |column| natural || occurrences(text, &column.name) > 0);
            }
        }
        // SQLite's own tables are not in the catalogue.
        for alias in ["sqlite_schema", "sqlite_master", "sqlite_temp_schema", "sqlite_temp_master"] {
            if text.contains(alias) {
                self.reads.accesses.insert(Access::table("sqlite_schema"));
            }
        }
        let unlisted =
            |module: &&String| !PURE_MODULES.contains(&module.as_str()) && occurrences(text, module) > 0;
        match self.catalog.modules.iter().find(unlisted) {
            Some(module) => Err(forbidden_module(module)),
            None => Ok(()),
        }
    }

    /// The same for the body of every trigger that takes part.
    fn triggers_joins(&mut self, reports: &BTreeSet<Report>) -> Result<(), Refusal> {
        let bodies: BTreeSet<&str> = reports.iter().filter_map(Report::accessor).collect();
        let catalog = self.catalog;
        bodies.into_iter().filter_map(|name| catalog.triggers.get(name)).try_for_each(|body| self.joins(body))
    }

    /// The same for the definition of every view that is read, and of the views found on the way.
    fn views_joins(&mut self) -> Result<(), Refusal> {
        let mut searched: BTreeSet<&str> = BTreeSet::new();
        while let Some(view) = self.views.iter().copied().find(|view| !searched.contains(view)) {
            searched.insert(view);
            if let Some(table) = self.catalog.tables.get(view) {
                self.joins(&table.definition)?;
            }
        }
        Ok(())
    }
}

fn forbidden_module(name: &str) -> Refusal {
    let message = format!("the built-in virtual table `{name}` is not on the list of allowed ones");
    Refusal::new(Rule::ForbiddenFunction, message)
}

/// How often a folded name occurs in a folded text, not as a part of a longer plain word. A name with a quote in it may be written in more than
/// one way and counts as occurring often.
pub(super) fn occurrences(text: &str, name: &str) -> usize {
    if name.is_empty() || name.contains(['"', '\'', '`', ']']) {
        return usize::MAX;
    }
    let plain = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = text.as_bytes();
    let (first, last) = (plain(name.as_bytes().first()), plain(name.as_bytes().last()));
    text.match_indices(name)
        .filter(|(start, _)| {
            let before = start.checked_sub(1).and_then(|at| bytes.get(at));
            let after = bytes.get(start + name.len());
            let part = (first && plain(before)) || (last && plain(after));
            !part
        })
        .count()
}
