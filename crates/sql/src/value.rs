//! One value of a parameter or of a result.

/// A value as the engines know it. Text that is not UTF-8 arrives as [`Value::Blob`], so that no byte is lost or made up. Dates, times, intervals,
/// UUIDs, arrays and JSON are text in the engine's ISO form.
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
    /// True or false, where the engine tells them from integers.
    Boolean(bool),
    /// An exact number of any size: its decimal form, so that no digit is lost.
    Decimal(String),
}

impl Value {
    /// What the value counts for against a limit on bytes: its content, and never less than 8.
    pub fn size(&self) -> u64 {
        let content = match self {
            Value::Null | Value::Integer(_) | Value::Real(_) | Value::Boolean(_) => 8,
            Value::Text(text) | Value::Decimal(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
        };
        content.max(8) as u64
    }
}
