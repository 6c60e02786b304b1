//! The rewriter by hand-picked statements, by its own tokens, and against SQLite's parser, which knows `:name` itself.

use super::*;

fn rewritten(sql: &str, dialect: Dialect) -> (String, Vec<String>) {
    let rewritten = rewrite(sql, dialect).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    (rewritten.sql, rewritten.order)
}

#[test]
fn names_become_the_engines_placeholders() {
    let sql = "SELECT * FROM t WHERE a = :a AND (b = :b OR c = :a)";
    let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        rewritten(sql, Dialect::Sqlite),
        ("SELECT * FROM t WHERE a = ? AND (b = ? OR c = ?)".into(), names(&["a", "b", "a"]))
    );
    assert_eq!(
        rewritten(sql, Dialect::Postgres),
        ("SELECT * FROM t WHERE a = $1 AND (b = $2 OR c = $1)".into(), names(&["a", "b"]))
    );
}

#[test]
fn what_only_looks_like_a_placeholder_stays() {
    for (dialect, sql) in [
        (Dialect::Sqlite, "SELECT ':a', \":a\", `:a`, [:a] -- :a\n/* :a */"),
        (Dialect::Sqlite, "SELECT 'it''s :a'"),
        (Dialect::Sqlite, "SELECT 1 /* /* :a */"),
        (Dialect::Postgres, "SELECT E'\\':a', $$ :a ' $$, $x$ :a $$ $x$, ':a'::text"),
        (Dialect::Postgres, "SELECT /* /* :a */ :a */ 1 -- :a\r"),
        (Dialect::Postgres, "SELECT a[1:2], f(x := 1), j ? 'k', j @> '{}', '\\' AS c"),
        (Dialect::Other, "SELECT ':a', \":a\", [:a] -- :a\r\n"),
    ] {
        assert_eq!(rewritten(sql, dialect), (sql.to_owned(), Vec::new()), "{dialect:?}");
    }
}

#[test]
fn casts_and_named_arguments_stand_beside_placeholders() {
    let (sql, order) = rewritten("SELECT :a::text, f(x := :b), a[(:a)], (:c)::int", Dialect::Postgres);
    assert_eq!(sql, "SELECT $1::text, f(x := $2), a[($1)], ($3)::int");
    assert_eq!(order, ["a", "b", "c"]);
}

#[test]
fn what_databases_read_differently_is_refused() {
    for (dialect, sql) in [
        (Dialect::Sqlite, "SELECT ?"),
        (Dialect::Sqlite, "SELECT ?1"),
        (Dialect::Sqlite, "SELECT @a, $b"),
        (Dialect::Sqlite, "SELECT :1"),
        (Dialect::Sqlite, "SELECT x:a"),
        (Dialect::Sqlite, "SELECT :a$b"),
        (Dialect::Sqlite, "SELECT :a:b"),
        (Dialect::Sqlite, "SELECT :a::b"),
        (Dialect::Sqlite, "SELECT :a(b)"),
        (Dialect::Sqlite, "SELECT 'open"),
        (Dialect::Sqlite, "SELECT /* open"),
        (Dialect::Postgres, "SELECT $1"),
        (Dialect::Postgres, "SELECT a[:i]"),
        (Dialect::Postgres, "SELECT a[1:n], a[n:m]"),
        (Dialect::Postgres, "SELECT E'a'\n'\\':a'"),
        (Dialect::Postgres, "SELECT $tag$ open"),
        (Dialect::Postgres, "SELECT /* /* */"),
        (Dialect::Other, "SELECT 'a\\' || :a"),
        (Dialect::Other, "SELECT /* /* */ :a */ 1"),
        (Dialect::Other, "SELECT 1 --:a\n"),
        (Dialect::Other, "SELECT 1 # :a"),
        (Dialect::Other, "SELECT 1 -- x\r:a"),
    ] {
        assert!(rewrite(sql, dialect).is_err(), "{dialect:?}: {sql}");
    }
}

/// A small generator of numbers: the same statements in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }
}

const PIECES: &[&str] = &[
    ":a",
    ":b",
    ":long_name1",
    "::",
    ":",
    ":=",
    "'",
    "''",
    "'text'",
    "\"",
    "\"q\"",
    "`",
    "[",
    "]",
    "(",
    ")",
    "--",
    "/*",
    "*/",
    "\n",
    "\r\n",
    "\r",
    " ",
    " ",
    " ",
    "$$",
    "$t$",
    "$",
    "E",
    "e'",
    "\\",
    "\\'",
    "?",
    "@",
    "#",
    "é",
    "SELECT",
    "1",
    "1.5e3",
    "x",
    "+",
    "||",
    ",",
    ";",
    "AS",
    "-",
    "*",
    "/",
    "NULL",
    "\u{0}",
    "\u{b}",
    "\t",
];

fn soup(dice: &mut Dice) -> String {
    let mut sql = String::from(if dice.roll(2) == 0 { "SELECT " } else { "" });
    for _ in 0..dice.roll(14) {
        sql.push_str(PIECES[dice.roll(PIECES.len())]);
    }
    sql
}

#[test]
fn rewritten_text_has_the_same_tokens_but_for_placeholders() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut compared = 0u32;
    for _ in 0..60_000 {
        let sql = soup(&mut dice);
        for dialect in [Dialect::Sqlite, Dialect::Postgres, Dialect::Other] {
            let Ok(before) = tokens(&sql, dialect) else {
                assert!(rewrite(&sql, dialect).is_err());
                continue;
            };
            let Rewritten { sql: after, order } = rewrite(&sql, dialect).unwrap();
            // Cut the new text along the old tokens: everything but a placeholder is there, byte by byte and in order.
            let (mut rest, mut values) = (after.as_str(), 0usize);
            for token in &before {
                match token {
                    Token::Placeholder(name) if dialect == Dialect::Postgres => {
                        let number = order.iter().position(|one| one == name).unwrap() + 1;
                        rest = rest.strip_prefix(&format!("${number}")).unwrap();
                    }
                    Token::Placeholder(name) => {
                        assert_eq!(order[values], *name);
                        values += 1;
                        rest = rest.strip_prefix('?').unwrap();
                    }
                    other => rest = rest.strip_prefix(other.text()).unwrap(),
                }
            }
            assert_eq!(rest, "");
            compared += 1;
        }
    }
    assert!(compared > 10_000, "too few statements were readable: {compared}");
}

/// What SQLite itself says: the names of the parameters and one row of results with each parameter bound to its own name.
fn run(
    connection: &rusqlite::Connection,
    sql: &str,
    values: &dyn Fn(usize, Option<&str>) -> String,
) -> Option<Vec<String>> {
    let mut statement = connection.prepare(sql).ok()?;
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index).map(|name| name.trim_start_matches(':').to_owned());
        statement.raw_bind_parameter(index, values(index, name.as_deref())).unwrap();
    }
    let width = statement.column_count();
    let mut rows = statement.raw_query();
    let row = rows.next().ok()??;
    (0..width).map(|at| row.get_ref(at).ok().map(|value| format!("{value:?}"))).collect()
}

#[test]
fn sqlite_reads_the_rewritten_text_as_it_reads_the_original() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    let mut dice = Dice(0x0123_4567_89ab_cdef);
    let mut compared = 0u32;
    for _ in 0..60_000 {
        let mut sql = soup(&mut dice);
        if dice.roll(2) == 0 {
            sql = format!("SELECT :a /*{sql}*/ || ':b' AS \"{}\", :b -- {sql}", sql.replace('"', ""));
        }
        let Ok(Rewritten { sql: after, order }) = rewrite(&sql, Dialect::Sqlite) else { continue };
        let by_name = run(&connection, &sql, &|_, name| name.unwrap_or("?").to_owned());
        let by_place =
            run(&connection, &after, &|index, _| order.get(index - 1).cloned().unwrap_or_default());
        let Some(by_name) = by_name else { continue };
        // Text after the first statement is for the engine to refuse; here only what SQLite runs is compared.
        assert_eq!(Some(by_name), by_place, "{sql:?} became {after:?}");
        compared += 1;
    }
    assert!(compared > 1000, "too few statements were run: {compared}");
}
