//! One value of a parameter or of a result.

/// A value as SQLite knows it. Text that is not UTF-8 arrives as [`Value::Blob`], so that no byte is lost or made up.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// No value.
    Null,
    /// A signed 64-bit integer.
    Integer(i64),
    /// A double; an infinity is possible, NaN is not (SQLite stores it as null).
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    /// What the value counts for against a limit on bytes: its content, and never less than 8.
    pub fn size(&self) -> u64 {
        let content = match self {
            Value::Null | Value::Integer(_) | Value::Real(_) => 8,
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
        };
        content.max(8) as u64
    }
}
