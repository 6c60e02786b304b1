//! Cursors by themselves: what they are bound to, and what they check.

use countersign_core::{AuthMethod, Digest, PowerClass, PrincipalKind, Sensitivity};
use countersign_sql::ColumnInfo;

use super::*;

fn principal(issuer: &str, subject: &str, tenant: &str) -> Principal {
    Principal::new(issuer, subject, PrincipalKind::Person, tenant, AuthMethod::ApiKey)
}

fn tool(name: &str, description: &str) -> ToolSpec {
    let spec = ToolSpec {
        name: name.into(),
        server: "countersign".into(),
        title: name.into(),
        description: description.into(),
        purpose: "",
        input_schema: serde_json::json!({}),
        output_schema: None,
        power: PowerClass::ReadLow,
        permissions: Vec::new(),
        sensitivity: Sensitivity::Private,
        deadline: Duration::from_secs(1),
        digest: Digest([0; 32]),
    };
    spec.pinned()
}

/// Rows of one integer each, cut at the row limit.
fn rows(values: &[i64], passed: &[i64]) -> EngineRows {
    EngineRows {
        columns: vec![ColumnInfo { name: "n".into(), decl_type: None }],
        masked: Vec::new(),
        values: values.iter().copied().map(Value::Integer).collect(),
        truncated: Some(Truncated::Rows),
        skipped: passed.iter().fold(RowsDigest::default(), |digest, n| digest.then(&[Value::Integer(*n)])),
    }
}

struct Bed {
    cursors: Cursors,
    principal: Principal,
    tool: ToolSpec,
}

impl Bed {
    fn new() -> Bed {
        let (principal, tool) = (principal("local", "ann", "acme"), tool("query_shop", "asks"));
        Bed { cursors: Cursors::new().unwrap(), principal, tool }
    }

    fn subject<'a>(&'a self, sql: &'a str, params: &'a [Value]) -> Subject<'a> {
        Subject { principal: &self.principal, tool: &self.tool, database: "shop", sql, params }
    }

    fn page(&self, cursor: Option<&str>) -> Result<Page, ToolError> {
        self.cursors.page(&self.subject("SELECT n FROM t", &[]), cursor)
    }
}

#[test]
fn a_page_follows_on_those_before_it() {
    let bed = Bed::new();
    let first = bed.page(None).unwrap();
    assert_eq!(first.skip(), 0);
    let cursor = bed.cursors.next(&first, &rows(&[1, 2, 3], &[])).unwrap().expect("a next page");
    let second = bed.page(Some(&cursor)).unwrap();
    assert_eq!(second.skip(), 3);
    let cursor = bed.cursors.next(&second, &rows(&[4, 5], &[1, 2, 3])).unwrap().expect("a next page");
    let third = bed.page(Some(&cursor)).unwrap();
    assert_eq!(third.skip(), 5);
    assert!(bed.cursors.next(&third, &rows(&[6], &[1, 2, 3, 4, 5])).unwrap().is_some());
    // A row less, another value, another order: no page of the same result.
    for passed in [[1, 2, 3, 4, 6].as_slice(), &[1, 2, 3, 4], &[1, 2, 3, 5, 4], &[], &[1, 2, 3, 4, 5, 6]] {
        let refused = bed.cursors.next(&third, &rows(&[6], passed)).expect_err("another result");
        assert!(refused.denied.public().contains("begin anew"), "{passed:?}: {refused:?}");
    }
}

#[test]
fn only_a_page_that_can_go_on_has_a_cursor() {
    let bed = Bed::new();
    let page = bed.page(None).unwrap();
    let next = |truncated, values: &[i64]| {
        bed.cursors.next(&page, &EngineRows { truncated, ..rows(values, &[]) }).unwrap().is_some()
    };
    assert!(next(Some(Truncated::Rows), &[1]) && next(Some(Truncated::Bytes), &[1]));
    assert!(!next(None, &[1]) && !next(Some(Truncated::Time), &[1]) && !next(Some(Truncated::Bytes), &[]));
}

#[test]
fn a_cursor_is_good_for_its_own_result_and_caller_alone() {
    let bed = Bed::new();
    let page = bed.page(None).unwrap();
    let cursor = bed.cursors.next(&page, &rows(&[1], &[])).unwrap().unwrap();
    assert!(bed.page(Some(&cursor)).is_ok());
    let own = bed.subject("SELECT n FROM t", &[]);
    let others = [
        principal("local", "bob", "acme"),
        principal("other", "ann", "acme"),
        principal("local", "ann", "globex"),
    ];
    for principal in &others {
        let subject = Subject { principal, ..own };
        assert!(bed.cursors.page(&subject, Some(&cursor)).is_err(), "{principal:?}");
    }
    for tool in [tool("query_other", "asks"), tool("query_shop", "asks otherwise")] {
        let subject = Subject { tool: &tool, ..own };
        assert!(bed.cursors.page(&subject, Some(&cursor)).is_err(), "{}", tool.name);
    }
    let one = [Value::Integer(1)];
    for subject in [
        Subject { database: "other", ..own },
        Subject { sql: "SELECT m FROM t", ..own },
        Subject { params: &one, ..own },
    ] {
        assert!(bed.cursors.page(&subject, Some(&cursor)).is_err());
    }
    // Another process, or this one started anew.
    assert!(Bed::new().page(Some(&cursor)).is_err());
}

#[test]
fn a_cursor_that_was_changed_or_made_up_is_refused() {
    let bed = Bed::new();
    let page = bed.page(None).unwrap();
    let cursor = bed.cursors.next(&page, &rows(&[1], &[])).unwrap().unwrap();
    assert_eq!(cursor.len(), 64);
    let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        let changed = URL_SAFE_NO_PAD.encode(changed);
        let passes = bed.page(Some(&changed)).is_ok_and(|page| {
            // The last code is over rows that are known only when they have been read.
            bed.cursors.next(&page, &rows(&[2], &[1])).is_ok()
        });
        assert!(!passes, "byte {position}");
    }
    for made_up in [
        "",
        "x",
        &"A".repeat(64),
        &"A".repeat(63),
        &format!("{cursor}A"),
        cursor.trim_end_matches(char::is_alphanumeric),
        "AA==",
    ] {
        let refused = bed.page(Some(made_up)).err().expect(made_up);
        assert!(format!("{refused:?}").contains("next_cursor"), "{refused:?}");
    }
}

#[test]
fn a_cursor_expires() {
    let mut bed = Bed::new();
    let page = bed.page(None).unwrap();
    let cursor = bed.cursors.next(&page, &rows(&[1], &[])).unwrap().unwrap();
    let back = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
    bed.cursors.started = back(590);
    assert!(bed.page(Some(&cursor)).is_ok());
    bed.cursors.started = back(602);
    assert!(bed.page(Some(&cursor)).is_err());
}
