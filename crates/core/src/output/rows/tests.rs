//! Rows redacted together are what their values are when each is redacted alone.

use countersign_redact::SecretSet;

use super::*;

const SECRETS: [(&str, &str); 3] =
    [("db", "S3cr\"t\\pass\nword"), ("key", "0123456789abcdef"), ("pin", "987654321012")];

fn set(texts: &[&str]) -> RowSet {
    let mut cells = Vec::new();
    for text in texts {
        cells.extend([
            Cell::Text((*text).to_owned()),
            Cell::Integer(7),
            Cell::Decimal("1.25".into()),
            Cell::Null,
            Cell::Boolean(true),
            Cell::Blob(text.as_bytes().to_vec()),
        ]);
    }
    let column = |name: &str| Column { name: name.to_owned(), kind: String::new(), masked: false };
    RowSet {
        columns: ["a", "n", "d", "nothing", "truth", "blob"].map(column).to_vec(),
        cells,
        truncated: None,
        next: None,
    }
}

/// Value by value, as it was before rows were taken together.
fn slowly(set: &RowSet, redactor: &Redactor) -> String {
    let mut out = String::new();
    let hidden = vec![false; set.columns.len()];
    push_arrays(&mut out, &set.cells, &set.columns, &hidden, |out, cell, hide| {
        push_cell(out, cell, hide, redactor)
    });
    out
}

#[test]
fn every_secret_is_found_wherever_it_stands() {
    let redactor = Redactor::new(SecretSet::new(SECRETS).unwrap());
    let many: Vec<&str> = std::iter::repeat_n("plain", 200).chain(["x 0123456789abcdef y"]).collect();
    let cases: [&[&str]; 8] = [
        &["plain", "text"],
        &["0123456789abcdef"],
        &["plain", "before S3cr\"t\\pass\nword after", "plain"],
        &["0123456\u{200b}789abcdef"],
        &["a\u{202e}b", "line\nbreak \"quoted\" back\\slash \u{0} \u{7f}"],
        // Halves in two values are no secret.
        &["01234567", "89abcdef"],
        &["S3cr\"t", "\\pass\nword"],
        &many,
    ];
    for texts in cases {
        let set = set(texts);
        let json = rows_json(&set, &redactor);
        let rows = slowly(&set, &redactor);
        assert!(json.contains(&format!("\"rows\":[{rows}]")), "{texts:?}: {json}");
        assert!(
            !json.contains("0123456789abcdef") && !json.contains("S3cr\\\"t\\\\pass"),
            "{texts:?}: {json}"
        );
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["rows"].as_array().map(Vec::len), Some(texts.len()));
    }
}

#[test]
fn a_number_that_is_a_secret_is_redacted() {
    let redactor = Redactor::new(SecretSet::new(SECRETS).unwrap());
    let column = Column { name: "n".into(), kind: String::new(), masked: false };
    let set = RowSet {
        columns: vec![column],
        cells: vec![Cell::Integer(1), Cell::Integer(987_654_321_012)],
        truncated: None,
        next: None,
    };
    assert!(rows_json(&set, &redactor).contains("\"rows\":[[1],[\"[redacted:pin]\"]]"));
}
