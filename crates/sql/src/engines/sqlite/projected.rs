//! Columns of a SQLite statement that are only projected: whole items of its one select list, seen nowhere else, so that their values can be masked.
//!
//! SQLite says where each column of a result comes from, and its authorizer reports every mention of a column. A column with as many mentions as
//! result columns is mentioned nowhere else. What can use an item of the list without mentioning its column again is ruled out by the words
//! of the text: other selects, set operations, groups, windows, `NATURAL` and `USING`, the item's label in another clause, a sort by position.
//!
//! INVARIANT: a column is called projected too seldom rather than too often.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Statement;

use super::{
    authorizer::{Recording, Report},
    catalog::Catalog,
    fold,
    words::{Token, tokens},
};
use crate::{Facts, Object, Refusal, TableKind};

/// Words by which values of a select list are used once more.
const ELSEWHERE: &[&str] = &[
    "with",
    "values",
    "union",
    "intersect",
    "except",
    "distinct",
    "group",
    "having",
    "over",
    "window",
    "natural",
    "using",
    "explain",
];

/// The columns that `statement` only projects.
pub(super) fn projected(
    sql: &str,
    statement: &Statement<'_>,
    recording: &Recording,
    catalog: &Catalog,
) -> BTreeSet<Object> {
    let tokens = tokens(sql);
    let is = |token: &Token, word: &str| matches!(token, Token::Word(found) if found == word);
    let mut words = tokens.iter().filter_map(|(token, _)| match token {
        Token::Word(word) => Some(word.as_str()),
        _ => None,
    });
    let selects = tokens.iter().filter(|(token, _)| is(token, "select")).count();
    let from = tokens.iter().position(|(token, depth)| *depth == 0 && is(token, "from"));
    let plain = statement.is_explain() == 0 && selects == 1 && !words.any(|word| ELSEWHERE.contains(&word));
    let Some(rest) = from.and_then(|from| tokens.get(from..)).filter(|_| plain) else {
        return BTreeSet::new();
    };
    // MUTATE(A16-position): a sort by position tells the order of masked values
    if sorts_by_position(rest) || !recording.reports.iter().all(|report| is_of_a_plain_table(report, catalog))
    {
        return BTreeSet::new();
    }
    let mut items: BTreeMap<Object, Vec<String>> = BTreeMap::new();
    for (origin, label) in origins(statement).into_iter().zip(statement.column_names()) {
        if let Some(origin) = origin {
            items.entry(origin).or_default().push(label.to_ascii_lowercase());
        }
    }
    let named = |name: &str| {
        rest.iter()
            .any(|(token, _)| matches!(token, Token::Word(found) | Token::Name(found) if found == name))
    };
    let only = items.into_iter().filter(|(object, labels)| match object {
        Object::Column { table, column } => {
            let mentions = recording.mentions.get(&(table.clone(), column.clone())).copied().unwrap_or(0);
            // MUTATE(A16-mentions): a masked column is used beside the select list
            let once = mentions == labels.len();
            // MUTATE(A16-label): a masked column is used by the label of its item
            let apart = !named(column) && !labels.iter().any(|label| named(label));
            once && apart
        }
        _ => false,
    });
    only.map(|(object, _)| object).collect()
}

/// Where the columns of a result come from; none for expressions.
fn origins(statement: &Statement<'_>) -> Vec<Option<Object>> {
    let origin = |column: rusqlite::ColumnMetadata<'_>| match (
        column.database_name(),
        column.table_name(),
        column.origin_name(),
    ) {
        (Some("main"), Some(table), Some(origin)) => {
            Some(Object::Column { table: fold(table), column: origin.to_ascii_lowercase() })
        }
        _ => None,
    };
    statement.columns_with_metadata().map(origin).collect()
}

/// The positions of masked columns in the result of a statement.
///
/// # Errors
/// If one is not only projected.
pub(super) fn masks(
    statement: &Statement<'_>,
    facts: &Facts,
    masked: &BTreeSet<Object>,
) -> Result<Vec<u32>, Refusal> {
    match masked.is_empty() {
        true => Ok(Vec::new()),
        false => crate::engines::masks(facts, &origins(statement), masked),
    }
}

/// Whether it is about an ordinary table whose columns are made of nothing but themselves. A view shows columns of others, a generated column
/// another's value, and a virtual table reads beneath.
fn is_of_a_plain_table(report: &Report, catalog: &Catalog) -> bool {
    match report {
        Report::Call { accessor, .. } => accessor.is_none(),
        Report::Write { .. } => false,
        Report::Read { table, accessor, .. } => {
            accessor.is_none()
                && catalog.tables.get(table).is_some_and(|table| {
                    table.kind == TableKind::Table && table.columns.iter().all(|column| !column.generated)
                })
        }
    }
}

/// Whether a number or placeholder stands in `ORDER BY`: it may be the position of an item.
fn sorts_by_position(rest: &[(Token, usize)]) -> bool {
    let word = |token: &Token, wanted: &str| matches!(token, Token::Word(word) if word == wanted);
    let from = rest.iter().position(|(token, _)| word(token, "order"));
    let Some(sort) = from.and_then(|from| rest.get(from..)) else { return false };
    let until = sort.iter().position(|(token, depth)| *depth == 0 && word(token, "limit"));
    sort.iter().take(until.unwrap_or(sort.len())).any(|(token, _)| match token {
        Token::Word(word) => word.starts_with(|c: char| c.is_ascii_digit()),
        Token::Sign(sign) => matches!(sign, '?' | ':' | '@' | '$' | '#'),
        Token::Name(_) => false,
    })
}
