//! Which columns of a result are plain columns of a table, and are used nowhere else in the query: their values can be masked.
//!
//! ODBC does not say where a column of a result comes from, so it is read off the one select list of a plain query: an item that is a column's
//! name, or `*` of a single table. What is left of the query without these items is judged like a query of its own; a column that it uses is
//! not only projected.
//!
//! INVARIANT: a column is called projected too seldom rather than too often.

use std::collections::BTreeSet;

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor,
};

use super::{
    Found,
    resolve::{Table, resolve},
    walk::{Walk, folded},
};
use crate::{Access, Dialect, Object, Refusal};

/// What a plain query projects.
#[derive(Debug)]
pub(in crate::engines::odbc) struct Projection {
    items: Items,
    /// What the query names beside these items.
    elsewhere: Found,
}

#[derive(Debug)]
enum Items {
    /// For each item: a column's qualifier, its name and the item's label; none for an expression.
    List(Vec<Option<Item>>),
    /// All columns of the table of this name.
    Star(Vec<String>),
}

#[derive(Debug)]
struct Item {
    column: (Vec<String>, String),
    label: Option<String>,
}

/// The projection of a query; none if values of its select list may show in other ways than as they are.
pub(super) fn of(query: &Query, dialect: Dialect, functions: &BTreeSet<String>) -> Option<Projection> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    if query.with.is_some() || !is_plain(select) || sorts_by_position(query) {
        return None;
    }
    let items = items(select)?;
    let mut rest = query.clone();
    let SetExpr::Select(left) = rest.body.as_mut() else { return None };
    left.projection.retain(|item| item_of(item).is_none() && !matches!(item, SelectItem::Wildcard(_)));
    let mut walk = Walk::new(dialect, functions);
    walk.query(&rest).ok()?;
    Some(Projection { items, elsewhere: walk.found })
}

/// Whether rows are neither compared nor grouped, and all come from tables by their names.
fn is_plain(select: &Select) -> bool {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(expressions, modifiers) if expressions.is_empty() && modifiers.is_empty());
    let tables = select.from.iter().all(|from| {
        matches!(from.relation, TableFactor::Table { .. })
            && from.joins.iter().all(|join| matches!(join.relation, TableFactor::Table { .. }))
    });
    matches!(select.distinct, None | Some(Distinct::All))
        && !grouped
        && select.having.is_none()
        && select.named_window.is_empty()
        && tables
}

/// Whether anything but a column's name stands in `ORDER BY`: it could be the number of an item.
fn sorts_by_position(query: &Query) -> bool {
    let Some(order_by) = &query.order_by else { return false };
    match &order_by.kind {
        OrderByKind::All(_) => true,
        OrderByKind::Expressions(sorts) => {
            // MUTATE(A16-odbc-position): a sort by position tells the order of masked values
            !sorts.iter().all(|sort| matches!(sort.expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)))
        }
    }
}

fn items(select: &Select) -> Option<Items> {
    let stars = select
        .projection
        .iter()
        .filter(|item| !matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }));
    match (stars.count(), select.projection.as_slice(), select.from.as_slice()) {
        (0, items, _) => Some(Items::List(items.iter().map(item_of).collect())),
        (1, [SelectItem::Wildcard(_)], [from]) if from.joins.is_empty() => match &from.relation {
            TableFactor::Table { name, .. } => super::walk::parts(name).ok().map(Items::Star),
            _ => None,
        },
        _ => None,
    }
}

/// The column that an item is.
fn item_of(item: &SelectItem) -> Option<Item> {
    let (expression, label) = match item {
        SelectItem::UnnamedExpr(expression) => (expression, None),
        SelectItem::ExprWithAlias { expr, alias } => (expr, Some(folded(alias))),
        _ => return None,
    };
    let column = match expression {
        Expr::Identifier(name) => (Vec::new(), folded(name)),
        Expr::CompoundIdentifier(names) => {
            let mut names: Vec<String> = names.iter().map(folded).collect();
            let column = names.pop()?;
            (names, column)
        }
        _ => return None,
    };
    Some(Item { column, label })
}

impl Projection {
    /// The name of the one table whose columns are all projected.
    pub(in crate::engines::odbc) fn star(&self) -> Option<&[String]> {
        match &self.items {
            Items::Star(parts) => Some(parts),
            Items::List(_) => None,
        }
    }

    /// Where each column of the result comes from. `found` is what the whole query names, `labels` what the driver calls the result's
    /// columns, `all` the columns of the one table of a `*`, in their order.
    pub(in crate::engines::odbc) fn origins<'t>(
        &self,
        found: &Found,
        labels: &[String],
        all: Option<(&Table, &[String])>,
        look_up: impl Fn(&[String]) -> Result<Option<&'t Table>, Refusal>,
    ) -> Vec<Option<Object>> {
        let origins: Vec<Option<Object>> = match (&self.items, all) {
            (Items::List(items), _) => items
                .iter()
                .map(|item| item.as_ref().and_then(|item| origin(item, found, &look_up)))
                .collect(),
            (Items::Star(_), Some((table, columns))) => columns
                .iter()
                .zip(labels)
                // INVARIANT: a driver that orders columns otherwise than its list of columns does is not relied on.
                .map(|(column, label)| label.eq_ignore_ascii_case(column).then(|| column_of(table, column)))
                .collect(),
            (Items::Star(_), None) => Vec::new(),
        };
        if origins.len() == labels.len() { origins } else { Vec::new() }
    }

    /// Those of `origins` that the query uses nowhere else.
    pub(in crate::engines::odbc) fn projected<'t>(
        &self,
        origins: &[Option<Object>],
        look_up: impl Fn(&[String]) -> Result<Option<&'t Table>, Refusal>,
    ) -> BTreeSet<Object> {
        let Ok(used) = resolve(&self.elsewhere, look_up) else { return BTreeSet::new() };
        let used: BTreeSet<&Object> = used.iter().map(|access| &access.object).collect();
        let named = |label: &String| self.elsewhere.columns.iter().any(|(_, column)| column == label);
        let labelled = |position: usize| match &self.items {
            Items::List(items) => items
                .get(position)
                .and_then(Option::as_ref)
                .and_then(|item| item.label.as_ref())
                .is_some_and(named),
            Items::Star(_) => false,
        };
        // MUTATE(A16-odbc-label): a masked column is used by the label of its item
        let spoiled: BTreeSet<&Object> = (0..)
            .zip(origins)
            .filter(|(at, _)| labelled(*at))
            .filter_map(|(_, origin)| origin.as_ref())
            .collect();
        // MUTATE(A16-odbc-used): a masked column is used beside the select list
        let only = |object: &&Object| !used.contains(*object) && !spoiled.contains(*object);
        origins.iter().flatten().filter(only).cloned().collect()
    }
}

/// The one column that an item can be.
fn origin<'t>(
    item: &Item,
    found: &Found,
    look_up: &impl Fn(&[String]) -> Result<Option<&'t Table>, Refusal>,
) -> Option<Object> {
    let alone = Found {
        tables: found.tables.clone(),
        columns: BTreeSet::from([item.column.clone()]),
        ..Found::default()
    };
    let accesses = resolve(&alone, look_up).ok()?;
    let mut columns = accesses
        .into_iter()
        .map(|Access { object, .. }| object)
        .filter(|object| matches!(object, Object::Column { .. }));
    match (columns.next(), columns.next()) {
        (Some(column), None) => Some(column),
        _ => None,
    }
}

fn column_of(table: &Table, column: &str) -> Object {
    Object::Column { table: table.name.clone(), column: column.to_owned() }
}
