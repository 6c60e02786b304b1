//! The codec is a bijection on messages, and total on bytes.

use proptest::prelude::*;

use super::*;
use crate::{Access, ConnectionString, Dialect, OdbcSource, Open, Refusal, Rule, Run, RunLimits, Value};

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        (-1e300..1e300f64).prop_map(Value::Real),
        ".*".prop_map(Value::Text),
        any::<Vec<u8>>().prop_map(Value::Blob),
        any::<bool>().prop_map(Value::Boolean),
        "-?[0-9]{1,40}".prop_map(Value::Decimal),
    ]
}

fn requests() -> impl Strategy<Value = Request> {
    let limits = any::<[u64; 3]>();
    let limits = (limits, any::<u32>()).prop_map(|([skip, rows, bytes], time)| RunLimits {
        skip,
        rows,
        bytes,
        time: std::time::Duration::from_millis(time.into()),
    });
    let accesses = proptest::collection::btree_set(
        prop_oneof![
            ".*".prop_map(Access::table),
            (".*", ".*").prop_map(|(table, column)| Access::column(table, column)),
            ".*".prop_map(Access::function),
            ".*".prop_map(|table| Access::table(table).written()),
        ],
        0..5,
    );
    prop_oneof![
        (".*", any::<bool>()).prop_map(|(sql, write)| Request::Prepare { sql, write }),
        ".*".prop_map(|path| Request::Open(Open::Sqlite { path: path.into() })),
        (".*", 0..Dialect::ALL.len(), proptest::collection::btree_set(".*", 0..3), any::<u32>()).prop_map(
            |(connection, dialect, functions, connect)| {
                Request::Open(Open::Odbc(OdbcSource {
                    connection: ConnectionString::new(connection),
                    dialect: Dialect::ALL[dialect],
                    functions,
                    connect: std::time::Duration::from_millis(connect.into()),
                    writable: connect % 2 == 0,
                }))
            }
        ),
        Just(Request::Tables),
        ".*".prop_map(|table| Request::Estimate { table }),
        (".*", proptest::collection::vec(values(), 0..5), accesses, limits).prop_map(
            |(sql, params, granted, limits)| {
                Request::Run(Run { sql, params, granted, masked: Default::default(), limits })
            }
        ),
    ]
}

proptest! {
    #[test]
    fn a_request_survives_the_wire(request in requests()) {
        let mut bytes = Vec::new();
        encode_request(&request, &mut bytes).unwrap();
        let header = bytes[..HEADER].try_into().unwrap();
        prop_assert_eq!(payload_length(header).unwrap(), bytes.len() - HEADER);
        prop_assert_ne!(bytes[0], INTERRUPT);
        prop_assert_eq!(decode_request(&bytes[HEADER..]).unwrap(), request);
    }

    #[test]
    fn rows_survive_the_wire(rows in proptest::collection::vec(proptest::collection::vec(values(), 0..4), 0..4)) {
        let skipped = rows.iter().fold(crate::RowsDigest::default(), |digest, row| digest.then(row));
        let done = crate::Done { truncated: Some(crate::Truncated::Bytes), skipped, masked: vec![0, 7] };
        for done in [None, Some(done)] {
            let response = Response::Rows(crate::Rows { rows: rows.clone(), done, ..crate::Rows::default() });
            let mut bytes = Vec::new();
            encode_response(&response, &mut bytes).unwrap();
            prop_assert_eq!(decode_response(&bytes[HEADER..]).unwrap(), response);
        }
    }

    #[test]
    fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(prop_oneof![0u8..7, any::<u8>()], 0..300)) {
        // Whatever decodes must encode to the same bytes: nothing is read that a writer would not have written.
        if let Ok(response) = decode_response(&bytes) {
            let mut again = Vec::new();
            encode_response(&response, &mut again).unwrap();
            prop_assert_eq!(&again[HEADER..], &bytes[..]);
        }
        if let Ok(Request::Prepare { sql, .. }) = decode_request(&bytes) {
            prop_assert_eq!(sql.len() + 6, bytes.len());
        }
    }

    #[test]
    fn a_cut_or_flipped_answer_does_not_panic(position in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let refusal = Refusal::new(Rule::Deadline, "x".repeat(40)).with_detail("y");
        let mut bytes = Vec::new();
        encode_response(&Response::Refused(refusal), &mut bytes).unwrap();
        bytes.remove(0);
        let position = position.index(bytes.len());
        bytes[position] = byte;
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(decode_response(&bytes).is_err() || bytes.len() > 3);
    }
}

#[test]
fn a_count_allocates_nothing() {
    // Rows: no columns, then four thousand million rows that are not there.
    let payload = [4, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(decode_response(&payload), Err(WireError::Malformed("a count exceeds what is there")));
}

#[test]
fn every_rule_has_its_number_and_code() {
    let mut codes = std::collections::BTreeSet::new();
    for &rule in Rule::ALL {
        assert_eq!(Rule::from_number(rule.number()), Some(rule));
        assert!(codes.insert(rule.code()), "{} twice", rule.code());
    }
}

#[test]
fn too_long_a_frame_is_refused() {
    let mut bytes = vec![7];
    let request = Request::Prepare { sql: "x".repeat(MAX_PAYLOAD), write: false };
    assert_eq!(encode_request(&request, &mut bytes), Err(WireError::TooLong));
    assert_eq!(bytes, [7]);
    assert_eq!(payload_length([1, 0, 0, 0]), Err(WireError::TooLong));
}
