//! Each layer by itself: what holds beneath the authorizer, and what the authorizer holds without the others.

use std::{collections::BTreeSet, path::PathBuf};

use rusqlite::{Connection, limits::Limit};

use super::{authorizer::Permitted, *};

fn file(schema: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    Connection::open(&path).unwrap().execute_batch(schema).unwrap();
    (folder, path)
}

const SCHEMA: &str =
    "CREATE TABLE users (login TEXT, password_hash TEXT); INSERT INTO users VALUES ('ann', 'x');";

/// The gate starts open, for our own statements: what is refused here is refused by the connection itself.
#[test]
fn the_connection_itself_cannot_write_or_attach() {
    let (folder, path) = file(SCHEMA);
    let database = Database::open(&path, Never).unwrap();
    let connection = &database.connection;
    assert!(connection.is_readonly("main").unwrap());
    assert_eq!(connection.limit(Limit::SQLITE_LIMIT_ATTACHED).unwrap(), 0);
    let copy = folder.path().join("copy.db");
    for sql in [
        "INSERT INTO users VALUES ('x', 'y')".to_owned(),
        "CREATE TABLE t (x)".to_owned(),
        "ATTACH ':memory:' AS m".to_owned(),
        format!("ATTACH '{}' AS m", copy.display()),
        format!("VACUUM INTO '{}'", copy.display()),
        "PRAGMA user_version = 7".to_owned(),
        "SELECT load_extension('x')".to_owned(),
    ] {
        assert!(connection.execute_batch(&sql).is_err(), "{sql}");
    }
    assert!(!copy.exists());
}

#[test]
fn only_an_absolute_path_names_a_database() {
    for path in [":memory:", "", "test.db", "file:test.db?mode=rwc"] {
        let refusal = Database::open(Path::new(path), Never).err().unwrap();
        assert_eq!(refusal.rule, Rule::Database, "{path}");
    }
}

#[test]
fn a_name_is_not_a_uri() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db?mode=rwc&x=%00#y");
    assert!(Database::open(&path, Never).is_err());
    Connection::open_with_flags(
        &path,
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_CREATE,
    )
    .unwrap()
    .execute_batch(SCHEMA)
    .unwrap();
    let database = Database::open(&path, Never).unwrap();
    assert_eq!(database.session().tables(Duration::from_secs(1)).unwrap().len(), 1);
}

/// What SQLite prepares again while a statement runs meets the gate, too.
#[test]
fn enforcing_allows_only_what_was_reported() {
    let (_folder, path) = file(SCHEMA);
    let database = Database::open(&path, Never).unwrap();
    let (statement, recording) =
        database.gate.record(false, || database.connection.prepare("SELECT login FROM users"));
    drop(statement.unwrap());
    let reports = recording.reports;
    database.gate.enforce(Permitted { reports, beneath: BTreeSet::new(), writes: false });
    assert!(database.connection.prepare("SELECT login FROM users").is_ok());
    for sql in [
        "SELECT password_hash FROM users",
        "SELECT login FROM users ORDER BY password_hash",
        "SELECT count(*) FROM users",
        "SELECT name FROM sqlite_schema",
        "PRAGMA data_version",
    ] {
        assert!(database.connection.prepare(sql).is_err(), "{sql}");
        assert_eq!(
            database.gate.refused().unwrap().rule,
            if sql.starts_with("PRAGMA") { Rule::ForbiddenAction } else { Rule::SchemaChanged }
        );
    }
}

#[test]
fn names_occur_whole() {
    use super::hidden::occurrences;
    for (text, name, count) in [
        ("select users.x from users", "users", 2),
        ("select x from superusers, users2, users_x", "users", 0),
        ("[users]`users`\"users\"'users'(users)--users", "users", 6),
        ("order details, \"order details\"", "order details", 2),
        ("éusersé", "users", 1),
        ("", "users", 0),
    ] {
        assert_eq!(occurrences(text, name), count, "{text}");
    }
    assert_eq!(occurrences("", "a\"b"), usize::MAX);
}
