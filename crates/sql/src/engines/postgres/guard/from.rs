//! What stands in `FROM`: relations, joins, functions, and the names that they give.

use std::collections::{BTreeSet, btree_map::Entry};

use super::{
    lists,
    syntax::{Name, Relation},
    walk::{Fields, Walk, node, unsupported},
};
use crate::{Refusal, Rule};

/// A relation, or a common table expression in scope. What is written is never the latter.
pub(super) fn relation(walk: &mut Walk<'_>, fields: Fields<'_>, written: bool) -> Result<(), Refusal> {
    walk.fields("RangeVar", fields, &["alias"])?;
    let schema = fields.text("schemaname");
    let name = fields.text("relname").unwrap_or_default();
    let alias = fields.object("alias");
    let aliased = alias.and_then(|alias| alias.text("aliasname"));
    let renamed = alias.map(|alias| alias.names("colnames")).unwrap_or_default();
    if let Some(alias) = alias {
        column_names(walk, alias)?;
    }
    // MUTATE(A8-pg-cte-scope): a name of a common table expression hides a table everywhere
    if schema.is_none() && !written && walk.ctes.iter().any(|cte| cte == name) {
        walk.found.derived.insert(aliased.unwrap_or(name).to_owned());
        return Ok(());
    }
    // MUTATE(A8-pg-catalogs): system catalogues may be read
    if lists::is_system_relation(schema, name) {
        return Err(Refusal::new(
            Rule::SystemCatalog,
            "the statement names a system catalogue; describe tables with the tools for that",
        )
        .with_detail(name));
    }
    let (scope, outermost) = (walk.scope, walk.outermost_from);
    walk.found.relations.push(Relation {
        name: Name { schema: schema.map(str::to_owned), name: name.to_owned() },
        alias: aliased.map(str::to_owned),
        renamed: renamed.into_iter().map(str::to_owned).collect(),
        whole: walk.whole,
        scope,
        outermost,
        written,
    });
    Ok(())
}

/// A join. `NATURAL` compares all columns of both sides that share a name; an alias with a column list renames them.
pub(super) fn join(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    let natural = fields.flag("isNatural");
    let alias = fields.object("alias");
    let renamed = alias.is_some_and(|alias| !alias.list("colnames").is_empty());
    for alias in [alias, fields.object("join_using_alias")].into_iter().flatten() {
        walk.found.joins.extend(alias.text("aliasname").map(str::to_owned));
        column_names(walk, alias)?;
    }
    let using = fields.names("usingClause");
    if natural || !using.is_empty() {
        walk.operator(None, "=");
    }
    for name in using {
        walk.bare_column(name, false);
    }
    // MUTATE(A8-pg-natural): columns that a NATURAL JOIN compares do not count as read
    let outer = walk.whole;
    walk.whole = outer || natural || renamed;
    let sides = walk.fields("JoinExpr", fields, &["alias", "join_using_alias", "usingClause", "quals"]);
    walk.whole = outer;
    sides?;
    fields.get("quals").map_or(Ok(()), |quals| walk.any(quals))
}

/// The names that a function in `FROM` gives. Its parts are visited by the walk.
///
/// A function that returns one value has one column, and what is selected from it under any other name is a call of a
/// function of that name. So nothing counts as its column that might be none.
pub(super) fn function(walk: &mut Walk<'_>, fields: Fields<'_>) {
    let mut columns: BTreeSet<String> =
        lists::FUNCTION_COLUMNS.iter().map(|name| (*name).to_owned()).collect();
    let mut called = Vec::new();
    for item in fields.list("functions") {
        let Some(("List", list)) = node(item) else { continue };
        for part in list.list("items") {
            match node(part) {
                Some(("FuncCall", call)) => {
                    called.extend(call.names("funcname").last().map(|name| (*name).to_owned()))
                }
                Some(("List", definitions)) => columns.extend(defined(definitions.list("items"))),
                _ => {}
            }
        }
    }
    columns.extend(defined(fields.list("coldeflist")));
    walk.found.labels.extend(called.iter().cloned());
    let Some(alias) = fields.object("alias") else {
        walk.found.labels.extend(columns.iter().cloned());
        for name in called {
            let columns = columns.iter().chain([&name]).cloned().collect();
            give(walk, name.clone(), columns);
        }
        return;
    };
    let renamed = alias.names("colnames");
    columns.extend(renamed.iter().map(|name| (*name).to_owned()));
    walk.found.labels.extend(renamed.iter().map(|name| (*name).to_owned()));
    let name = alias.text("aliasname").unwrap_or_default().to_owned();
    walk.found.labels.insert(name.clone());
    // MUTATE(A8-pg-alias-column): the alias of a function counts as its column where the column has another name
    if renamed.is_empty() && !called.iter().any(|name| lists::names_its_value(name)) {
        columns.insert(name.clone());
    }
    give(walk, name, columns);
}

/// An alias and its columns. Of an alias that several scopes have, only what is a column in all of them.
fn give(walk: &mut Walk<'_>, alias: String, columns: BTreeSet<String>) {
    match walk.found.function_aliases.entry(alias) {
        Entry::Vacant(vacant) => drop(vacant.insert(columns)),
        // MUTATE(A8-pg-alias-scope): a column of one scope's function passes as a column of another's
        Entry::Occupied(mut known) => known.get_mut().retain(|column| columns.contains(column)),
    }
}

fn defined<'t>(definitions: &'t [super::json::Json<'t>]) -> impl Iterator<Item = String> + 't {
    definitions.iter().filter_map(|definition| match node(definition) {
        Some(("ColumnDef", column)) => column.text("colname").map(str::to_owned),
        _ => None,
    })
}

/// The alias of a subquery and its like, or the name it has without one.
pub(super) fn alias(walk: &mut Walk<'_>, fields: Fields<'_>, default: Option<&str>) {
    let alias = fields.object("alias");
    let name = alias.and_then(|alias| alias.text("aliasname")).or(default);
    walk.found.derived.extend(name.map(str::to_owned));
    if let Some(alias) = alias {
        walk.found.labels.extend(alias.names("colnames").into_iter().map(str::to_owned));
    }
}

/// `TABLESAMPLE`: the method is a function.
pub(super) fn sample(fields: Fields<'_>) -> Result<(), Refusal> {
    match fields.names("method").as_slice() {
        ["bernoulli" | "system"] | ["pg_catalog", "bernoulli" | "system"] => Ok(()),
        _ => Err(Refusal::new(Rule::ForbiddenFunction, "the sampling method is not BERNOULLI or SYSTEM")),
    }
}

fn column_names(walk: &mut Walk<'_>, alias: Fields<'_>) -> Result<(), Refusal> {
    let names = alias.names("colnames");
    if names.len() != alias.list("colnames").len() {
        return Err(unsupported("an alias of an unexpected form", "Alias"));
    }
    walk.found.labels.extend(names.into_iter().map(str::to_owned));
    Ok(())
}
