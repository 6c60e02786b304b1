//! Columns of a result by where they come from, and rows that are passed over.

use super::*;

#[test]
fn masked_columns_are_void_and_nothing_else_may_use_them() {
    let bed = Bed::new();
    let mut session = super::super::connect(&bed.source(bed.cluster.superuser())).unwrap();
    let email = Object::Column { table: "public.customers".into(), column: "email".into() };
    let masked = BTreeSet::from([email.clone()]);
    let width = ask(&mut session, "SELECT * FROM customers", &[]).unwrap().0.0;
    let at = width.iter().position(|column| column.name == "email").unwrap();
    for (sql, position) in [
        ("SELECT email FROM customers", 0),
        ("SELECT id, email AS e FROM customers WHERE id < 3 ORDER BY name", 1),
        ("SELECT c.id, c.name, C.EMAIL FROM customers c JOIN orders o ON o.customer_id = c.id", 2),
        ("SELECT * FROM customers ORDER BY id", at),
        ("SELECT a.email FROM customers a JOIN customers b ON a.id = b.id", 0),
        ("SELECT id, \"email\" FROM public.customers FETCH FIRST 2 ROWS ONLY", 1),
    ] {
        let facts = session.prepare(sql, false, LIMITS.time).unwrap();
        assert!(facts.projected.contains(&email), "{sql}: {:?}", facts.projected);
        let mut rows = Rows::default();
        let hidden = Statement { masked: &masked, ..statement(sql, &[], &facts.accesses) };
        let done = session.run(hidden, &mut rows).unwrap();
        assert_eq!(done.masked, [u32::try_from(position).unwrap()], "{sql}");
        assert!(!rows.1.is_empty(), "{sql}");
        for row in &rows.1 {
            assert_eq!((&row[position], row[0] == Value::Null), (&Value::Null, position == 0), "{sql}");
        }
        let (rows, _) = run(&mut session, sql, &[], &facts.accesses).unwrap();
        assert!(rows.1.iter().any(|row| row[position] != Value::Null), "{sql}");
    }
    for sql in [
        "SELECT upper(email) FROM customers",
        "SELECT email FROM customers WHERE email LIKE 'a%'",
        "SELECT email AS e FROM customers ORDER BY e",
        "SELECT id, email AS name FROM customers ORDER BY name",
        "SELECT id, email FROM customers ORDER BY 2",
        "SELECT id, email FROM customers ORDER BY (2)",
        "SELECT email FROM customers ORDER BY email",
        "SELECT DISTINCT email FROM customers",
        "SELECT email, count(*) FROM customers GROUP BY email",
        "SELECT email, count(*) OVER (PARTITION BY email) FROM customers",
        "SELECT email FROM customers UNION ALL SELECT 'x'",
        "SELECT e FROM (SELECT email AS e FROM customers) d WHERE e LIKE 'a%'",
        "SELECT d.email FROM (SELECT email FROM customers) d",
        "WITH d AS (SELECT email FROM customers) SELECT email FROM d",
        "SELECT *, email FROM customers",
        "SELECT c.* FROM customers c",
        "SELECT * FROM customers c JOIN orders o ON o.customer_id = c.id",
        "SELECT * FROM customers WHERE email IS NULL",
        "SELECT a.email FROM customers a JOIN customers b USING (email)",
        "SELECT id FROM customers WHERE EXISTS (SELECT email FROM customers)",
        "SELECT (email) FROM customers",
    ] {
        let facts =
            session.prepare(sql, false, LIMITS.time).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
        assert!(!facts.projected.contains(&email), "{sql}");
        let hidden = Statement { masked: &masked, ..statement(sql, &[], &facts.accesses) };
        let refused = session.run(hidden, &mut Rows::default()).unwrap_err();
        assert_eq!(refused.rule, Rule::ForbiddenAction, "{sql}");
    }
}

#[test]
fn rows_are_passed_over_and_their_digest_told() {
    let bed = Bed::new();
    let mut session = super::super::connect(&bed.source(bed.cluster.superuser())).unwrap();
    let sql = "SELECT id FROM customers ORDER BY id";
    let facts = session.prepare(sql, false, LIMITS.time).unwrap();
    let mut page = |skip, rows| {
        let mut out = Rows::default();
        let limits = RunLimits { skip, rows, ..LIMITS };
        let done =
            session.run(Statement { limits, ..statement(sql, &[], &facts.accesses) }, &mut out).unwrap();
        (out.1, done)
    };
    let (all, _) = page(0, 100);
    let (head, done) = page(0, 2);
    assert_eq!((head.as_slice(), done.truncated), (&all[..2], Some(crate::Truncated::Rows)));
    let (tail, done) = page(2, 100);
    assert_eq!((tail.as_slice(), done.truncated), (&all[2..], None));
    let digest = head.iter().fold(crate::RowsDigest::default(), |digest, row| digest.then(row));
    assert_eq!(done.skipped, digest);
}
