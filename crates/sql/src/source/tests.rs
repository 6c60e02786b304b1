//! A connection string keeps its secret and its shape.

use super::*;

#[test]
fn it_is_never_shown() {
    let source = OdbcSource {
        connection: ConnectionString::new("DSN=sales;").with("PWD", "hunter2"),
        dialect: Dialect::Ansi,
        functions: BTreeSet::new(),
        connect: Duration::from_secs(5),
        writable: false,
    };
    let shown = format!("{:?}", Open::Odbc(source));
    assert!(!shown.contains("hunter2") && !shown.contains("sales"), "{shown}");
}

#[test]
fn a_value_cannot_end_its_attribute() {
    let connection = ConnectionString::new("DSN=sales").with("PWD", "a};SERVER=evil;{b");
    assert_eq!(connection.expose(), "DSN=sales;PWD={a}};SERVER=evil;{b};");
}

#[test]
fn dialects_have_names() {
    for &dialect in Dialect::ALL {
        assert_eq!(Dialect::from_name(dialect.name()), Some(dialect));
    }
    assert_eq!(Dialect::from_name("foxpro"), None);
}
