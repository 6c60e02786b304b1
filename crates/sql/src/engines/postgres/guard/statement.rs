//! The outermost statement: exactly one, and of a kind that the caller may run.

use super::{
    GuardConfig, from, lists, select,
    syntax::{ColumnUse, Columns, Syntax},
    walk::{Fields, Walk, node, unsupported},
};
use crate::{Operation, Refusal, Rule};

/// What a caller may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Queries.
    Read,
    /// One `INSERT`, `UPDATE` or `DELETE`.
    Write,
}

/// Judges a statement by its node.
pub(super) fn judge(walk: &mut Walk<'_>, name: &str, fields: Fields<'_>, mode: Mode) -> Result<(), Refusal> {
    match (mode, name) {
        (Mode::Read, "SelectStmt") => {
            walk.outermost = true;
            walk.visit(name, fields)
        }
        (Mode::Read, "ExplainStmt") => explain(walk, fields),
        (Mode::Read, "VariableShowStmt") => show(walk, fields),
        // INVARIANT: nobody who approves a write sees the rows that it would return, so it returns none.
        // MUTATE(A5-pg-returning): a write that returns rows is judged by its rows alone
        (Mode::Write, "InsertStmt" | "UpdateStmt" | "DeleteStmt")
            if fields.get("returningClause").is_some() =>
        {
            Err(Refusal::new(Rule::NotAWrite, "a write returns no rows: leave RETURNING out"))
        }
        (Mode::Write, "InsertStmt") => insert(walk, fields),
        (Mode::Write, "UpdateStmt") => update(walk, fields),
        (Mode::Write, "DeleteStmt") => delete(walk, fields),
        // MUTATE(A2-pg-kinds): every kind of statement passes
        (Mode::Read, _) => {
            Err(Refusal::new(Rule::NotAQuery, "only SELECT, VALUES, EXPLAIN of these, and SHOW are allowed")
                .with_detail(name))
        }
        (Mode::Write, _) => {
            Err(Refusal::new(Rule::NotAWrite, "only INSERT, UPDATE and DELETE are allowed here")
                .with_detail(name))
        }
    }
}

fn explain(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    walk.found.operation = Operation::Explain;
    for option in fields.list("options") {
        let name = match node(option) {
            Some(("DefElem", option)) => option.text("defname").unwrap_or_default(),
            _ => "",
        };
        // MUTATE(A2-pg-explain): EXPLAIN ANALYZE, which executes, passes
        if !lists::is_explain_option(name) {
            return Err(Refusal::new(
                Rule::ExplainOption,
                "EXPLAIN takes VERBOSE, COSTS, FORMAT, SUMMARY, BUFFERS and GENERIC_PLAN here; ANALYZE executes",
            )
            .with_detail(name));
        }
    }
    match fields.node("query") {
        Some(("SelectStmt", query)) => {
            walk.fields("ExplainStmt", fields, &["query"])?;
            // Not the outermost select: a plan tells of every column, so none of them is only projected.
            // MUTATE(A16-explain): a plan is shown for columns that may only be seen masked
            walk.visit("SelectStmt", query)
        }
        _ => Err(Refusal::new(Rule::NotAQuery, "EXPLAIN of anything but a query")),
    }
}

fn show(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    walk.found.operation = Operation::Show;
    walk.fields("VariableShowStmt", fields, &[])?;
    let name = fields.text("name").unwrap_or_default();
    // MUTATE(A8-pg-settings): every setting may be shown
    if !walk.config.allows_setting(name) {
        return Err(Refusal::new(Rule::ForbiddenSetting, "the setting is not on the list").with_detail(name));
    }
    walk.found.setting = Some(name.to_ascii_lowercase());
    Ok(())
}

fn insert(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    walk.found.operation = Operation::Insert;
    clause(walk, fields)?;
    // The source does not see the target.
    if let Some(source) = fields.get("selectStmt") {
        walk.any(source)?;
    }
    walk.enter_scope();
    targets(walk, fields)?;
    let columns = fields.list("cols");
    if columns.is_empty() {
        writes_all(walk);
    }
    for column in columns {
        written(walk, column)?;
    }
    if let Some(conflict) = fields.object("onConflictClause") {
        for column in conflict.list("targetList") {
            written(walk, column)?;
        }
        for element in conflict.object("infer").map(|infer| infer.list("indexElems")).unwrap_or_default() {
            if let Some((_, element)) = node(element)
                && let Some(name) = element.text("name")
            {
                walk.bare_column(name, false);
            }
        }
    }
    walk.fields("InsertStmt", fields, &["withClause", "relation", "selectStmt"])
}

fn update(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    walk.found.operation = Operation::Update;
    filtered(walk.config, fields)?;
    clause(walk, fields)?;
    targets(walk, fields)?;
    for column in fields.list("targetList") {
        written(walk, column)?;
    }
    walk.fields("UpdateStmt", fields, &["withClause", "relation"])
}

fn delete(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    walk.found.operation = Operation::Delete;
    filtered(walk.config, fields)?;
    clause(walk, fields)?;
    targets(walk, fields)?;
    // MUTATE(A5-pg-whole-row): who may not write a column deletes it with its row
    writes_all(walk);
    walk.fields("DeleteStmt", fields, &["withClause", "relation"])
}

fn clause(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    fields.object("withClause").map_or(Ok(()), |with| select::with(walk, with, false))
}

fn targets(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    match fields.object("relation") {
        Some(relation) => from::relation(walk, relation, true),
        None => Err(unsupported("a write without a table", "relation")),
    }
}

/// A column that is written. Only subscripts may follow it: a field of a composite column is not looked into.
fn written(walk: &mut Walk<'_>, target: &super::json::Json<'_>) -> Result<(), Refusal> {
    let Some(("ResTarget", target)) = node(target) else {
        return Err(unsupported("a target of an unexpected form", "ResTarget"));
    };
    let subscripts =
        target.list("indirection").iter().all(|part| matches!(node(part), Some(("A_Indices", _))));
    if !subscripts {
        return Err(Refusal::new(
            Rule::FieldSelection,
            "a field of a column is written; write the whole column",
        ));
    }
    walk.bare_column(target.text("name").unwrap_or_default(), true);
    Ok(())
}

fn writes_all(walk: &mut Walk<'_>) {
    let scope = walk.scope;
    walk.found.columns.insert(ColumnUse {
        qualifier: None,
        columns: Columns::All,
        scope,
        projected: false,
        written: true,
    });
}

/// `UPDATE` and `DELETE` need a `WHERE` that looks at a column: `WHERE true` is none.
fn filtered(config: &GuardConfig, fields: Fields<'_>) -> Result<(), Refusal> {
    let filters = fields.get("whereClause").is_some_and(mentions_column);
    // MUTATE(A5-pg-unfiltered): an UPDATE or DELETE may lack a WHERE
    if !filters && !config.allow_unfiltered {
        return Err(Refusal::new(
            Rule::Unfiltered,
            "UPDATE and DELETE need a WHERE that compares a column, so that not every row is changed",
        ));
    }
    Ok(())
}

/// Whether an expression names a column, subqueries aside.
fn mentions_column(json: &super::json::Json<'_>) -> bool {
    use super::json::Json;
    match json {
        Json::List(items) => items.iter().any(mentions_column),
        Json::Object(members) => members.iter().any(|(name, value)| match *name {
            "ColumnRef" => true,
            "SelectStmt" => false,
            _ => mentions_column(value),
        }),
        _ => false,
    }
}

/// What a statement names before its walk.
pub(super) fn empty(fingerprint: u128) -> Syntax {
    Syntax {
        operation: Operation::Select,
        parameters: 0,
        scopes: vec![0],
        relations: Vec::new(),
        columns: Default::default(),
        functions: Default::default(),
        operators: Default::default(),
        types: Default::default(),
        derived: Default::default(),
        joins: Default::default(),
        function_aliases: Default::default(),
        labels: Default::default(),
        setting: None,
        fingerprint,
    }
}
