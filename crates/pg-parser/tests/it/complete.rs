//! The JSON is complete: every field of every node that the grammar can make is written.
//!
//! The writer's functions come from a generator of libpg_query. This compares them with the structs of the vendored headers, so that an
//! update that forgets a field, or adds a node that is not written, fails here.

use std::collections::{BTreeMap, BTreeSet};

const PARSENODES: &str = include_str!("../../vendor/libpg_query/src/postgres/include/nodes/parsenodes.h");
const PRIMNODES: &str = include_str!("../../vendor/libpg_query/src/postgres/include/nodes/primnodes.h");
const WRITER: &str = include_str!("../../vendor/libpg_query/src/include/pg_query_outfuncs_defs.c");
const GRAMMAR: &str = include_str!("../../vendor/libpg_query/src/postgres/src_backend_parser_gram.c");
const CASES: &str = include_str!("../../vendor/libpg_query/src/include/pg_query_outfuncs_conds.c");

/// What the comparison cannot see or need not: `A_Const` is written by hand, positions (`location`) by none; `owner` and `cols` are filled in after parsing;
/// `PartitionBoundSpec`, of `CREATE TABLE` alone, is declared elsewhere.
const EXEMPT: &[&str] = &[
    "A_Const.isnull",
    "A_Const.val",
    "A_Const.location",
    "CreateStatsStmt.owner",
    "GroupingFunc.cols",
    "PartitionBoundSpec: no struct",
];

fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        out.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

/// Struct name to its fields.
fn structs(header: &str) -> BTreeMap<String, Vec<String>> {
    let text = without_comments(header);
    let mut found = BTreeMap::new();
    for part in text.split("typedef struct ").skip(1) {
        let Some((name, rest)) = part.split_once('{') else { continue };
        let Some((body, _)) = rest.split_once("\n}") else { continue };
        let fields = body
            .split(';')
            .filter_map(|field| {
                let field = field.split("pg_node_attr").next()?.trim();
                let name = field
                    .rsplit(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .find(|part| !part.is_empty())?;
                Some(name.to_owned())
            })
            .filter(|field| !["type", "xpr", "NodeTag"].contains(&field.as_str()))
            .collect();
        found.insert(name.trim().to_owned(), fields);
    }
    found
}

/// Node name to the C fields that its function writes.
fn written() -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for part in WRITER.split("\nstatic void\n_out").skip(1) {
        let Some((name, body)) = part.split_once('(') else { continue };
        if !body.contains('{') || body.split_once('{').is_some_and(|(head, _)| head.contains(';')) {
            continue;
        }
        let fields = body
            .lines()
            .filter_map(|line| line.trim().strip_prefix("WRITE_"))
            .filter_map(|call| call.trim_end_matches([';', ')']).rsplit(',').next())
            .map(|field| field.trim().trim_start_matches("node->").to_owned());
        found.entry(name.to_owned()).or_default().extend(fields);
    }
    found
}

#[test]
fn every_field_of_every_node_of_the_grammar_is_written() {
    let mut structs_of = structs(PARSENODES);
    structs_of.extend(structs(PRIMNODES));
    let written = written();
    let made: BTreeSet<&str> = GRAMMAR
        .split("makeNode(")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|name| name.chars().all(char::is_alphanumeric) || name.contains('_'))
        .collect();
    assert!(made.len() > 150, "the grammar makes only {} kinds of nodes", made.len());
    let mut missing = Vec::new();
    for node in &made {
        if !CASES.contains(&format!("case T_{node}:")) {
            missing.push(format!("{node}: no case"));
        }
        let Some(fields) = structs_of.get(*node) else {
            missing.push(format!("{node}: no struct"));
            continue;
        };
        let none = BTreeSet::new();
        let out = written.get(&node.replace('_', "")).unwrap_or(&none);
        for field in fields {
            if !out.contains(field) {
                missing.push(format!("{node}.{field}"));
            }
        }
    }
    missing.retain(|found| !EXEMPT.contains(&found.as_str()));
    assert_eq!(missing, Vec::<String>::new());
}
