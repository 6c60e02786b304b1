//! The grammar from outside: what it accepts, what it refuses, and that no text breaks the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use countersign_pg_parser::{POSTGRESQL_VERSION, SyntaxError, parse};
use serde_json::Value;

mod complete;

#[test]
fn a_tree_is_json_with_its_version() {
    let tree: Value = serde_json::from_str(&parse("SELECT a.b FROM a WHERE c = $1").unwrap()).unwrap();
    assert_eq!(tree["version"], POSTGRESQL_VERSION);
    let select = &tree["stmts"][0]["stmt"]["SelectStmt"];
    assert_eq!(select["fromClause"][0]["RangeVar"]["relname"], "a");
    assert_eq!(select["whereClause"]["A_Expr"]["rexpr"]["ParamRef"]["number"], 1);
    assert_eq!(tree["stmts"].as_array().unwrap().len(), 1);
}

#[test]
fn empty_text_has_no_statement() {
    for text in ["", " ", ";", "-- only a comment", "/* one */ ;;"] {
        let tree: Value = serde_json::from_str(&parse(text).unwrap()).unwrap();
        assert_eq!(tree["stmts"], Value::Array(Vec::new()), "{text:?}");
    }
}

#[test]
fn errors_say_where() {
    let error = parse("SELECT é FROM FROM t").unwrap_err();
    let SyntaxError::Rejected { message, cursor } = error else { panic!("{error:?}") };
    assert_eq!((message.as_str(), cursor), ("syntax error at or near \"FROM\"", Some(15)));
    assert_eq!(parse("SELECT 1\0; DROP TABLE t"), Err(SyntaxError::NulCharacter));
}

#[test]
fn deep_nesting_is_an_error_not_an_overflow() {
    let deep = 50_000;
    let texts = [
        format!("SELECT {}1{}", "(".repeat(deep), ")".repeat(deep)),
        format!("SELECT {}1", "- ".repeat(deep)),
        format!("SELECT {}1", "NOT ".repeat(deep / 2)),
        format!("SELECT 1{}", " + 1".repeat(deep / 2)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(7_000)),
        format!("SELECT {}1{}", "(SELECT ".repeat(12_000), ")".repeat(12_000)),
        format!("SELECT {}1{}", "f(".repeat(deep), ")".repeat(deep)),
        format!("SELECT a{}", "[1]".repeat(deep / 2)),
        format!("SELECT * FROM t{}", " JOIN t ON true".repeat(6_000)),
        format!("SELECT {}1{}", "CASE WHEN ".repeat(9_000), " THEN 1 END".repeat(9_000)),
        format!("SELECT 1{}", "::int".repeat(deep / 3)),
    ];
    for text in &texts {
        let head: String = text.chars().take(30).collect();
        for kilobytes in [1024, 2048, 8192] {
            let answer = std::thread::scope(|scope| {
                let thread = std::thread::Builder::new().stack_size(kilobytes * 1024);
                thread.spawn_scoped(scope, || parse(text).map(|tree| tree.len())).unwrap().join().unwrap()
            });
            assert!(matches!(answer, Err(SyntaxError::TooComplex) | Ok(_)), "{head}: {answer:?}");
        }
    }
    // The parser is as good as new after an error.
    assert!(parse("SELECT 1").is_ok());
}

#[test]
fn many_threads_parse_at_once() {
    std::thread::scope(|scope| {
        for thread in 0..1_200 {
            scope.spawn(move || {
                assert!(
                    parse(&format!("SELECT {thread} FROM t{thread}"))
                        .unwrap()
                        .contains(&format!("\"t{thread}\""))
                );
                assert!(parse("SELECT FROM WHERE").is_err());
            });
        }
    });
}

#[test]
fn strings_arrive_as_they_are() {
    let text = "SELECT 'a\"\\\u{1}\u{7f}\u{2028}é', E'\\n\\u00e9', U&'\\0041', $tag$x$tag$ AS \"q\"\"uote\"";
    let tree: Value = serde_json::from_str(&parse(text).unwrap()).unwrap();
    let targets = &tree["stmts"][0]["stmt"]["SelectStmt"]["targetList"];
    let string =
        |at: usize| targets[at]["ResTarget"]["val"]["A_Const"]["sval"]["sval"].as_str().unwrap().to_owned();
    assert_eq!(string(0), "a\"\\\u{1}\u{7f}\u{2028}é");
    assert_eq!((string(1), string(2), string(3)), ("\né".into(), "A".into(), "x".into()));
    assert_eq!(targets[3]["ResTarget"]["name"], "q\"uote");
    assert!(parse("SELECT E'\\xff'").is_err());
    assert!(parse("SELECT E'\\000'").is_err());
}
