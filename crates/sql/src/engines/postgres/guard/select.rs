//! `SELECT` and `WITH`: scopes of common table expressions, and what is only projected.

use super::{
    json::Json,
    walk::{Fields, Walk, node, string},
};
use crate::{Refusal, Rule};

/// `NOT MATERIALIZED` expressions in one statement at most: each reference copies its query into the plan.
const MAX_INLINED: usize = 3;

/// A `SELECT`, `VALUES`, `TABLE` or set operation.
pub(super) fn select(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    // MUTATE(A6-pg-into): SELECT INTO is let through to the table of fields
    if fields.get("intoClause").is_some() {
        return Err(Refusal::new(Rule::SelectInto, "SELECT INTO creates a table"));
    }
    if !fields.list("lockingClause").is_empty() {
        return Err(Refusal::new(Rule::RowLock, "FOR UPDATE, FOR SHARE and their like lock rows"));
    }
    let outermost = std::mem::take(&mut walk.outermost);
    let whole = std::mem::take(&mut walk.whole);
    let outermost_from = std::mem::take(&mut walk.outermost_from);
    let visible = walk.ctes.len();
    let around = walk.enter_scope();
    let done = inside(walk, fields, outermost, around);
    walk.scope = around;
    walk.ctes.truncate(visible);
    walk.outermost_from = outermost_from;
    walk.whole = whole;
    done
}

fn inside(walk: &mut Walk<'_>, fields: Fields<'_>, outermost: bool, around: u32) -> Result<(), Refusal> {
    if let Some(clause) = fields.object("withClause") {
        // Common table expressions do not see the FROM of their SELECT, but what is around it.
        let scope = std::mem::replace(&mut walk.scope, around);
        with(walk, clause, stops_early(fields))?;
        walk.scope = scope;
    }
    let plain = outermost && is_plain(fields);
    for item in fields.list("targetList") {
        target(walk, item, fields, plain)?;
    }
    walk.outermost_from = outermost && fields.text("op") == Some("SETOP_NONE");
    walk.all(fields.list("fromClause"))?;
    walk.outermost_from = false;
    walk.fields("SelectStmt", fields, &["withClause", "targetList", "fromClause"])
}

/// Whether values of select-list items show as they are, and nowhere else.
fn is_plain(fields: Fields<'_>) -> bool {
    fields.text("op") == Some("SETOP_NONE")
        && ["distinctClause", "groupClause"].iter().all(|clause| fields.list(clause).is_empty())
        && fields.list("sortClause").iter().all(|item| !sorts_by_position(item))
}

/// `ORDER BY 2` sorts by an item of the select list without naming it.
fn sorts_by_position(item: &Json<'_>) -> bool {
    !matches!(node(item).and_then(|(_, sort)| sort.node("node")), Some(("ColumnRef", _)))
}

/// `ORDER BY label` sorts by the item of that label.
fn sorts_by_label(select: Fields<'_>, label: &str) -> bool {
    select.list("sortClause").iter().any(|item| {
        let Some((_, column)) = node(item).and_then(|(_, sort)| sort.node("node")) else { return true };
        matches!(column.list("fields"), [only] if string(only) == Some(label))
    })
}

fn target(walk: &mut Walk<'_>, item: &Json<'_>, select: Fields<'_>, plain: bool) -> Result<(), Refusal> {
    let Some(("ResTarget", target)) = node(item) else { return walk.any(item) };
    match target.node("val") {
        Some(("ColumnRef", column)) => {
            walk.label(target.text("name"));
            walk.fields("ResTarget", target, &["val"])?;
            let sorted = target.text("name").is_some_and(|label| sorts_by_label(select, label));
            // MUTATE(A16-pg-projected): a column that sorts the result counts as only projected
            walk.column(column, plain && !sorted)
        }
        _ => walk.any(item),
    }
}

/// `WITH`. Without `RECURSIVE` an item sees only those before it: its own name inside it is the table of that name.
pub(super) fn with(walk: &mut Walk<'_>, fields: Fields<'_>, stops_early: bool) -> Result<(), Refusal> {
    walk.fields("WithClause", fields, &["ctes"])?;
    let recursive = fields.flag("recursive");
    let items: Vec<Fields<'_>> = fields
        .list("ctes")
        .iter()
        .filter_map(|item| node(item).filter(|(name, _)| *name == "CommonTableExpr").map(|(_, item)| item))
        .collect();
    let inlined =
        items.iter().filter(|item| item.text("ctematerialized") == Some("CTEMaterializeNever")).count();
    walk.sizes.inlined += inlined;
    if walk.sizes.inlined > MAX_INLINED {
        return Err(Refusal::new(
            Rule::SizeArgument,
            format!("more than {MAX_INLINED} common table expressions are NOT MATERIALIZED"),
        ));
    }
    if recursive {
        walk.ctes.extend(items.iter().filter_map(|item| item.text("ctename")).map(str::to_owned));
    }
    for item in items {
        let name = item.text("ctename").unwrap_or_default();
        match item.node("ctequery") {
            Some(("SelectStmt", query)) => {
                if recursive && !stops_early && runs_forever(query, name) {
                    return Err(Refusal::new(
                        Rule::UnboundedRecursion,
                        "a recursive query has nothing that ends it: give its recursive part a WHERE",
                    ));
                }
            }
            // MUTATE(A6-pg-cte): common table expressions may write
            _ => return Err(Refusal::new(Rule::DataModifyingCte, "a common table expression writes")),
        }
        walk.found.derived.insert(name.to_owned());
        for label in item.names("aliascolnames") {
            walk.label(Some(label));
        }
        for clause in [item.object("search_clause"), item.object("cycle_clause")].into_iter().flatten() {
            for field in ["search_seq_column", "cycle_mark_column", "cycle_path_column"] {
                walk.label(clause.text(field));
            }
        }
        walk.visit("CommonTableExpr", item)?;
        if !recursive {
            walk.ctes.push(name.to_owned());
        }
    }
    Ok(())
}

/// Whether the query that reads a recursive expression takes only some of its rows, as they come.
fn stops_early(select: Fields<'_>) -> bool {
    let bare = |item: &Json<'_>| {
        matches!(node(item).and_then(|(_, target)| target.node("val")), Some(("ColumnRef", _)))
    };
    matches!(select.node("limitCount"), Some(("A_Const", _)))
        && ["sortClause", "groupClause", "distinctClause", "windowClause"]
            .iter()
            .all(|clause| select.list(clause).is_empty())
        && select.list("fromClause").len() == 1
        && select.list("targetList").iter().all(bare)
}

/// `… UNION ALL SELECT n + 1 FROM itself`: no condition, no join, no limit.
fn runs_forever(query: Fields<'_>, name: &str) -> bool {
    let Some(step) = query.object("rarg").filter(|_| query.text("op") == Some("SETOP_UNION")) else {
        return false;
    };
    let unending =
        ["whereClause", "havingClause", "limitCount"].iter().all(|field| step.get(field).is_none());
    let itself = |item: &Json<'_>| matches!(node(item), Some(("RangeVar", table)) if table.text("relname") == Some(name) && table.get("schemaname").is_none());
    unending
        && query.get("limitCount").is_none()
        && !step.list("fromClause").is_empty()
        && step.list("fromClause").iter().all(itself)
}
