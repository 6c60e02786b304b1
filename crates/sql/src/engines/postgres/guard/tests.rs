//! The tables of the guard: complete, without gaps, in step with each other.

use super::{lists, nodes};

#[test]
fn the_table_of_nodes_names_only_itself() {
    let known: Vec<&str> = nodes::names().map(|(node, _)| node).collect();
    assert!(known.is_sorted(), "keep the table sorted");
    for (node, fields) in nodes::names() {
        for (field, kind) in fields {
            if let nodes::Kind::Of(other) = kind {
                assert!(known.contains(other), "{node}.{field} holds a {other}, which is not in the table");
            }
        }
    }
}

/// Each built-in function of the corpus, judged by its class: internal ones and those that lock, write, sleep or tell are refused.
#[test]
fn functions_of_the_server_are_judged_by_class() {
    let text = include_str!("../../../../../../corpora/pg15_functions.tsv");
    // Denied as a class in the corpus, and allowed here: each reads nothing but its arguments, or is checked by name of setting or table.
    const REVIEWED: &[&str] = &[
        "array_fill",
        "current_setting",
        "numeric",
        "pg_client_encoding",
        "pg_collation_for",
        "pg_indexes_size",
        "pg_relation_size",
        "pg_table_size",
        "pg_total_relation_size",
        "regexp_count",
        "regexp_instr",
        "regexp_like",
        "regexp_match",
        "regexp_matches",
        "regexp_replace",
        "regexp_split_to_array",
        "regexp_split_to_table",
        "regexp_substr",
        "regr_avgx",
        "regr_avgy",
        "regr_count",
        "regr_intercept",
        "regr_r2",
        "regr_slope",
        "regr_sxx",
        "regr_sxy",
        "regr_syy",
        "timeofday",
        "to_ascii",
        "tsquery_phrase",
        "version",
    ];
    let mut allowed = 0;
    for line in text.lines().skip(1) {
        let mut cells = line.split('\t');
        let (name, verdict) = (cells.next().unwrap(), cells.nth(2).unwrap());
        if lists::is_function(name) {
            allowed += 1;
            assert!(
                verdict == "allow" || REVIEWED.contains(&name),
                "{name} is {verdict} in the corpus, but allowed"
            );
        }
    }
    assert!(allowed > 380, "the list has lost functions: {allowed}");
    for dangerous in [
        "set_config",
        "pg_read_file",
        "lo_import",
        "query_to_xml",
        "dblink",
        "pg_sleep",
        "nextval",
        "pg_notify",
        "dpow",
    ] {
        assert!(!lists::is_function(dangerous), "{dangerous}");
    }
}
