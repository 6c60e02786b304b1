//! A digest over the rows of a result, row by row: what was returned once can be told from what would be returned now.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::Value;

/// The digest of the rows so far, in their order: SHA-256 over the digest before a row and the row. Two results that begin with the same rows
/// have the same digest after them, and no others do.
///
/// INVARIANT: for the holder of the rows alone. Rows that can be guessed can be found by it: it leaves no process but under a key.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct RowsDigest([u8; 32]);

impl RowsDigest {
    /// The bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From bytes that [`RowsDigest::bytes`] gave.
    pub fn from_bytes(bytes: [u8; 32]) -> RowsDigest {
        RowsDigest(bytes)
    }

    /// The digest with one more row.
    #[must_use]
    pub fn then(self, row: &[Value]) -> RowsDigest {
        let mut hash = Sha256::new_with_prefix(self.0);
        for value in row {
            let (tag, content): (u8, &[u8]) = match value {
                Value::Null => (0, &[]),
                Value::Integer(integer) => (1, &integer.to_be_bytes()),
                Value::Real(real) => (2, &real.to_bits().to_be_bytes()),
                Value::Text(text) => (3, text.as_bytes()),
                Value::Blob(bytes) => (4, bytes),
                Value::Boolean(truth) => (5, &[u8::from(*truth)]),
                Value::Decimal(text) => (6, text.as_bytes()),
            };
            // INVARIANT: no two rows give the same bytes: each value says how long it is.
            hash.update([tag]);
            hash.update((content.len() as u64).to_be_bytes());
            hash.update(content);
        }
        RowsDigest(hash.finalize().into())
    }
}

impl fmt::Debug for RowsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowsDigest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_differ_in_value_order_type_or_number_have_other_digests() {
        let text = |text: &str| Value::Text(text.into());
        let of =
            |rows: &[Vec<Value>]| rows.iter().fold(RowsDigest::default(), |digest, row| digest.then(row));
        let all = [
            of(&[]),
            of(&[vec![]]),
            of(&[vec![Value::Null]]),
            of(&[vec![Value::Integer(1)]]),
            of(&[vec![Value::Real(1.0)]]),
            of(&[vec![Value::Boolean(true)]]),
            of(&[vec![text("ab")]]),
            of(&[vec![Value::Blob(b"ab".to_vec())]]),
            of(&[vec![Value::Decimal("ab".into())]]),
            of(&[vec![text("a"), text("b")]]),
            of(&[vec![text("a")], vec![text("b")]]),
            of(&[vec![text("b")], vec![text("a")]]),
            of(&[vec![text(""), text("ab")]]),
        ];
        for (position, digest) in all.iter().enumerate() {
            let same: Vec<_> = all.iter().filter(|other| *other == digest).collect();
            assert_eq!(same.len(), 1, "{position}");
        }
        assert_eq!(RowsDigest::from_bytes(*all[3].bytes()), all[3]);
        assert_eq!(format!("{:?}", all[3]), "RowsDigest(…)");
    }
}
