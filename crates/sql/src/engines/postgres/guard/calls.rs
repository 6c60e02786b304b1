//! Whatever runs code: functions, operators, types with their casts. Each is on a list, or the statement is refused.

use super::{
    lists, sizes,
    syntax::Name,
    walk::{Fields, Walk, unsupported},
};
use crate::{Refusal, Rule};

/// A call. Built-in functions by the list; others only if the configuration names them.
pub(super) fn function(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    let parts = fields.names("funcname");
    let (schema, name) = match parts.as_slice() {
        [name] => (None, *name),
        [schema, name] => (Some(*schema), *name),
        _ => return Err(unsupported("a name of an unexpected form", "FuncCall.funcname")),
    };
    let allowed = match schema {
        None => {
            lists::is_function(name)
                || lists::is_extension_function(name)
                || walk.config.allows_function_named(name)
        }
        Some("pg_catalog") => lists::is_function(name),
        Some(schema) => {
            lists::is_extension_function(name) || walk.config.functions.contains(&format!("{schema}.{name}"))
        }
    };
    // MUTATE(A8-pg-functions): every function may be called
    if !allowed {
        return Err(Refusal::new(
            Rule::ForbiddenFunction,
            "the statement calls a function that is not allowed",
        )
        .with_detail(parts.join(".")));
    }
    walk.found.functions.insert(Name { schema: schema.map(str::to_owned), name: name.to_owned() });
    walk.label(Some(name));
    match name {
        "current_setting" => setting_argument(walk, fields)?,
        "pg_relation_size" | "pg_table_size" | "pg_indexes_size" | "pg_total_relation_size" => {
            relation_argument(walk, fields)?;
        }
        _ => {}
    }
    sizes::call(walk, name, fields)
}

/// `current_setting('x')` is `SHOW x`: the name must be readable here.
fn setting_argument(walk: &Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    match fields.list("args").first().and_then(sizes::literal_text) {
        Some(name) if walk.config.allows_setting(name) => Ok(()),
        _ => Err(Refusal::new(
            Rule::ForbiddenSetting,
            "current_setting needs the literal name of a setting that is on the list",
        )),
    }
}

/// `pg_total_relation_size('t')` names a relation in a string: it must be readable here, and then counts as read.
fn relation_argument(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    let refusal = || {
        Refusal::new(Rule::ForbiddenFunction, "the size of a relation needs its name as a plain literal")
            .with_detail("regclass")
    };
    let text = match fields.list("args") {
        [name] => sizes::literal_text(name).ok_or_else(refusal)?,
        _ => return Err(refusal()),
    };
    let plain = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let (schema, name) = match text.split_once('.') {
        Some((schema, name)) => (Some(schema), name),
        None => (None, text),
    };
    if !plain(name) || !schema.is_none_or(plain) || lists::is_system_relation(schema, name) {
        return Err(refusal());
    }
    walk.found.relations.push(super::syntax::Relation {
        name: Name { schema: schema.map(str::to_owned), name: name.to_owned() },
        // An alias that no text can write: the relation's columns are not in scope.
        alias: Some(String::new()),
        renamed: Vec::new(),
        whole: false,
        // No scope: no `*` means its columns either.
        scope: u32::MAX,
        outermost: false,
        written: false,
    });
    Ok(())
}

/// `current_user`, `current_date` and their like: functions without parentheses.
pub(super) fn value_function(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    let operation = fields.text("op").unwrap_or_default();
    let Some(name) = lists::value_function(operation) else {
        return Err(unsupported("a value that is not on the list", operation));
    };
    walk.found.functions.insert(Name { schema: None, name: name.to_owned() });
    walk.label(Some(name));
    Ok(())
}

/// An operator with its operands; also `IN`, `LIKE`, `BETWEEN` and their like, which look operators up by name.
pub(super) fn operator(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    let kind = fields.text("kind").unwrap_or_default();
    if kind.contains("BETWEEN") {
        ["<", "<=", ">", ">="].into_iter().for_each(|symbol| walk.operator(None, symbol));
        return Ok(());
    }
    let known = matches!(
        kind,
        "AEXPR_OP"
            | "AEXPR_OP_ANY"
            | "AEXPR_OP_ALL"
            | "AEXPR_DISTINCT"
            | "AEXPR_NOT_DISTINCT"
            | "AEXPR_NULLIF"
            | "AEXPR_IN"
            | "AEXPR_LIKE"
            | "AEXPR_ILIKE"
            | "AEXPR_SIMILAR"
    );
    if !known {
        return Err(unsupported("a kind of expression that is not on the list", kind));
    }
    let name = named_operator(walk, &fields.names("name"))?;
    sizes::operator(walk, &name, fields)
}

/// `= ANY (SELECT …)`, and `IN (SELECT …)`, which is the same.
pub(super) fn sublink(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    match fields.names("operName").as_slice() {
        [] => {
            walk.operator(None, "=");
            Ok(())
        }
        parts => named_operator(walk, parts).map(drop),
    }
}

/// `ORDER BY x USING <`.
pub(super) fn sort(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    match fields.names("useOp").as_slice() {
        [] => Ok(()),
        parts => named_operator(walk, parts).map(drop),
    }
}

/// Built-in operators by the list; others are for the catalogue to know.
fn named_operator(walk: &mut Walk<'_>, parts: &[&str]) -> Result<String, Refusal> {
    match parts {
        [symbol] => {
            walk.operator(None, symbol);
            Ok((*symbol).to_owned())
        }
        ["pg_catalog", symbol] if lists::is_operator(symbol) => Ok((*symbol).to_owned()),
        ["pg_catalog", ..] => {
            Err(Refusal::new(Rule::ForbiddenOperator, "the statement uses an operator that is not allowed")
                .with_detail(parts.join(".")))
        }
        [schema, symbol] => {
            walk.operator(Some(schema), symbol);
            Ok((*symbol).to_owned())
        }
        _ => Err(unsupported("an operator of an unexpected form", "A_Expr.name")),
    }
}

/// A type, named in a cast or a definition: an input function and casts run with it.
pub(super) fn type_name(walk: &mut Walk<'_>, fields: Fields<'_>) -> Result<(), Refusal> {
    walk.fields("TypeName", fields, &["typmods", "arrayBounds"])?;
    let parts = fields.names("names");
    let (schema, name) = match parts.as_slice() {
        [name] => (None, *name),
        [schema, name] => (Some(*schema), *name),
        _ => return Err(unsupported("a type of an unexpected form", "TypeName")),
    };
    // MUTATE(A8-pg-types): every type counts as one of the list
    let own = matches!(schema, None | Some("pg_catalog")) && lists::is_type(name);
    if !own {
        let system = schema == Some("pg_catalog") || schema == Some("information_schema");
        if system || lists::is_refused_type(name) {
            return Err(Refusal::new(Rule::ForbiddenType, "the statement names a type that is not allowed")
                .with_detail(parts.join(".")));
        }
        walk.found.types.insert(Name { schema: schema.map(str::to_owned), name: name.to_owned() });
    }
    walk.label(Some(name));
    sizes::type_modifiers(name, fields)
}

/// A collation: a name, perhaps with a schema. It runs nothing.
pub(super) fn collation(fields: Fields<'_>) -> Result<(), Refusal> {
    match fields.names("collname").len() {
        1 | 2 => Ok(()),
        _ => Err(unsupported("a collation of an unexpected form", "CollateClause")),
    }
}
