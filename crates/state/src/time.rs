//! Times as databases have them: signed numbers. Ours are far below their end.

pub(crate) fn time(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

pub(crate) fn micros(time: i64) -> u64 {
    u64::try_from(time).unwrap_or(0)
}
