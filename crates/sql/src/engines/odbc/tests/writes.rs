//! Writes over ODBC: tried out without trace where the source is known, and kept only if they do what was shown.

use super::*;

#[test]
fn writes_are_asked_for_and_committed() {
    let bed = Bed::new();
    let closed = bed.source(bed.cluster.superuser());
    let sql = "INSERT INTO call_log (what) VALUES (?)";
    let time = Duration::from_secs(2);
    let refused = super::super::connect(&closed).unwrap().prepare(sql, true, time).err().unwrap();
    assert_eq!(refused.rule, Rule::ForbiddenAction);
    let mut session = super::super::connect(&OdbcSource { writable: true, ..closed }).unwrap();
    let facts = session.prepare(sql, true, time).unwrap();
    assert!(facts.accesses.iter().any(|access| access.action == Action::Write));
    let count = || bed.cluster.run("corpus", "SELECT count(*) FROM call_log WHERE what = 'by odbc'");
    let by_odbc = [Value::Text("by odbc".into())];
    assert_eq!(session.write(statement(sql, &by_odbc, &facts.accesses), None).unwrap(), 1);
    assert_eq!(count(), "1");
    // A write is no query, whatever was granted.
    assert_eq!(run(&mut session, sql, &by_odbc, &facts.accesses).err().unwrap().rule, Rule::NotAQuery);
    assert_eq!(count(), "1");
    // A read after a write is read-only again.
    assert_eq!(unguarded(&mut session, "SELECT log_call('x')").err().unwrap().rule, Rule::ForbiddenAction);
    let clean = "DELETE FROM call_log WHERE what = ?";
    let facts = session.prepare(clean, true, time).unwrap();
    assert_eq!(session.write(statement(clean, &by_odbc, &facts.accesses), None).unwrap(), 1);
    assert_eq!(count(), "0");
}

/// A source whose transactions are known: tried out without trace, and kept only if it changes as many rows as were shown.
fn rehearses(session: &mut Session, sql: &str, params: &[Value], rows: u64, count: &dyn Fn() -> String) {
    let time = Duration::from_secs(2);
    let granted = session.prepare(sql, true, time).unwrap().accesses;
    let before = count();
    let shown = session.rehearse(statement(sql, params, &granted)).unwrap();
    assert_eq!((shown.affected, shown.warnings.as_slice()), (Some(rows), [].as_slice()), "{sql}");
    assert_eq!(count(), before, "{sql}");
    let refused = session.write(statement(sql, params, &granted), Some(rows + 1)).unwrap_err();
    assert_eq!(refused.rule, Rule::RowCount);
    assert!(refused.message.contains("nothing was changed"), "{refused}");
    assert_eq!(count(), before, "{sql}");
    assert_eq!(session.write(statement(sql, params, &granted), Some(rows)).unwrap(), rows, "{sql}");
    assert_ne!(count(), before, "{sql}");
}

#[test]
fn a_write_is_tried_out_and_lasts_only_as_shown() {
    let bed = Bed::new();
    bed.cluster.run(
        "corpus",
        "CREATE TABLE plain (id int PRIMARY KEY, v int); INSERT INTO plain SELECT n, n FROM generate_series(1, 9) n;
         CREATE TABLE watched (id int PRIMARY KEY, v int); INSERT INTO watched VALUES (1, 1);
         CREATE TRIGGER watch AFTER UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
         CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1);
         CREATE TABLE child (id int REFERENCES parent ON DELETE CASCADE)",
    );
    let source = OdbcSource { writable: true, ..bed.source(bed.cluster.superuser()) };
    let mut session = super::super::connect(&source).unwrap();
    let sum = || bed.cluster.run("corpus", "SELECT count(*), sum(v) FROM plain");
    let three = [Value::Integer(3)];
    rehearses(&mut session, "UPDATE plain SET v = v + 100 WHERE id <= ?", &three, 3, &sum);
    rehearses(&mut session, "DELETE FROM plain WHERE id <= ?", &three, 3, &sum);
    rehearses(&mut session, "INSERT INTO plain (id, v) VALUES (50, ?)", &three, 1, &sum);
    // What acts beside the statement is not tried out, and what came since is not run.
    for sql in ["UPDATE watched SET v = 2 WHERE id = 1", "DELETE FROM parent WHERE id = 1"] {
        let granted = session.prepare(sql, true, LIMITS.time).unwrap().accesses;
        let shown = session.rehearse(statement(sql, &[], &granted)).unwrap();
        assert!(shown.affected.is_none() && shown.warnings.len() == 2, "{sql}: {shown:?}");
        let refused = session.write(statement(sql, &[], &granted), Some(1)).unwrap_err();
        assert_eq!(refused.rule, Rule::SchemaChanged, "{sql}");
    }
    assert_eq!(bed.cluster.run("corpus", "SELECT v FROM watched"), "1");
    // A failed write leaves a session that reads, and only reads.
    let sql = "INSERT INTO plain (id, v) VALUES (50, 1)";
    let granted = session.prepare(sql, true, LIMITS.time).unwrap().accesses;
    assert!(session.rehearse(statement(sql, &[], &granted)).is_err());
    assert!(ask(&mut session, "SELECT id FROM plain", &[]).is_ok());
    assert_eq!(unguarded(&mut session, "DELETE FROM plain").err().unwrap().rule, Rule::ForbiddenAction);
}

#[test]
fn a_session_that_stays_writable_is_given_up_and_the_write_is_told_as_it_ended() {
    let odbc = Odbc::new();
    let connection = odbc.sqlite(&odbc.dir().join("w.db"));
    odbc.isql(&connection, "CREATE TABLE plain (id INTEGER PRIMARY KEY)").unwrap();
    let source = OdbcSource {
        connection: ConnectionString::new(by_file(&odbc, &connection)),
        dialect: Dialect::Sqlite,
        functions: BTreeSet::new(),
        connect: Duration::from_secs(5),
        writable: true,
    };
    let mut session = super::super::connect(&source).unwrap();
    let count = || odbc.isql(&connection, "SELECT count(*) FROM plain").unwrap();
    let empty = count();
    session.writable.after = Some("no statement");
    let sql = "INSERT INTO plain (id) VALUES (1), (2)";
    let granted = session.prepare(sql, true, LIMITS.time).unwrap().accesses;
    assert_eq!(session.rehearse(statement(sql, &[], &granted)).unwrap().affected, Some(2));
    assert!(session.connection.is_none() && count() == empty);
    assert_eq!(session.write(statement(sql, &[], &granted), Some(2)).unwrap(), 2);
    assert!(session.connection.is_none() && count() != empty);
    // A write that fails is told as that.
    let failed = session.write(statement(sql, &[], &granted), Some(2)).unwrap_err();
    assert!(session.connection.is_none() && failed.message.contains("SQLSTATE"), "{failed}");
    // The next session reads only.
    let kept = count();
    assert!(ask(&mut session, "SELECT id FROM plain", &[]).is_ok());
    assert!(unguarded(&mut session, "DELETE FROM plain").is_err());
    assert_eq!(count(), kept);
}

#[test]
fn sqlite_over_odbc_is_tried_out_and_other_sources_are_not() {
    let odbc = Odbc::new();
    let file = odbc.dir().join("w.db");
    let connection = odbc.sqlite(&file);
    for sql in [
        "CREATE TABLE plain (id INTEGER PRIMARY KEY, v INTEGER)",
        "INSERT INTO plain VALUES (1, 1), (2, 2), (3, 3)",
        "CREATE TABLE watched (id INTEGER PRIMARY KEY)",
        "CREATE TRIGGER watch AFTER DELETE ON watched BEGIN DELETE FROM plain; END",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (id INTEGER REFERENCES parent (id) ON DELETE CASCADE)",
    ] {
        odbc.isql(&connection, sql).unwrap();
    }
    let source = |dialect| OdbcSource {
        connection: ConnectionString::new(by_file(&odbc, &connection)),
        dialect,
        functions: BTreeSet::new(),
        connect: Duration::from_secs(5),
        writable: true,
    };
    let sum = || odbc.isql(&connection, "SELECT count(*), sum(v) FROM plain").unwrap();
    let mut session = super::super::connect(&source(Dialect::Sqlite)).unwrap();
    rehearses(&mut session, "UPDATE plain SET v = v + 100 WHERE id <= ?", &[Value::Integer(2)], 2, &sum);
    rehearses(&mut session, "DELETE FROM plain WHERE id = ?", &[Value::Integer(1)], 1, &sum);
    let shown = |session: &mut Session, sql: &str| {
        let granted = session.prepare(sql, true, LIMITS.time).unwrap().accesses;
        session.rehearse(statement(sql, &[], &granted)).unwrap()
    };
    for sql in ["DELETE FROM watched WHERE id = 1", "DELETE FROM parent WHERE id = 1"] {
        assert_eq!(shown(&mut session, sql).affected, None, "{sql}");
    }
    drop(session);
    // Of a source that is only known to speak SQL, nothing is known.
    let before = sum();
    let mut session = super::super::connect(&source(Dialect::Ansi)).unwrap();
    let shown = shown(&mut session, "DELETE FROM plain WHERE id = 2");
    assert_eq!((shown.affected, shown.warnings.len()), (None, 1));
    assert_eq!(sum(), before);
}
