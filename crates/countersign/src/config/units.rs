//! Sizes and spans of time as people write them: `64 KiB`, `10s`.

/// Units of sizes, largest first.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// The number of bytes that `64 KiB` says; none if it says no size.
pub(super) fn size(text: &str) -> Option<u64> {
    let (digits, factor) =
        SIZES.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    whole(digits.strip_suffix(' ').unwrap_or(digits))?.checked_mul(*factor)
}

/// A number of bytes as people write it, in the largest unit that divides it.
pub(crate) fn size_text(bytes: u64) -> String {
    let unit = SIZES.iter().find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor));
    let (unit, factor) = unit.copied().unwrap_or(("B", 1));
    format!("{} {unit}", bytes / factor)
}

/// Units of time in milliseconds, `ms` before `s` since it ends in it.
const SPANS: [(&str, u64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];

/// The number of milliseconds that `10s` says; none if it says no span.
pub(crate) fn span(text: &str) -> Option<u64> {
    let (digits, factor) =
        SPANS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    whole(digits)?.checked_mul(*factor)
}

/// A span of time as people write it, in the largest unit that divides it.
pub(crate) fn span_text(millis: u64) -> String {
    for (unit, factor) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if millis.is_multiple_of(factor) && (millis != 0 || unit == "s") {
            return format!("{}{unit}", millis / factor);
        }
    }
    format!("{millis}ms")
}

fn whole(digits: &str) -> Option<u64> {
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}
