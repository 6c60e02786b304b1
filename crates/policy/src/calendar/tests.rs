//! Times of the calendar, in both directions.

use super::*;

#[test]
fn times_are_those_of_the_calendar() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (951_868_800, "2000-03-01T00:00:00.000Z"),
        (1_078_012_800, "2004-02-29T00:00:00.000Z"),
        (1_800_000_000, "2027-01-15T08:00:00.000Z"),
        (4_107_542_399, "2100-02-28T23:59:59.000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        (u64::MAX / 1_000_000, "9999-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(datetime(seconds * 1_000_000), expected);
    }
    assert_eq!(datetime(1_800_000_000_123_999), "2027-01-15T08:00:00.123Z");
}

#[test]
fn and_back() {
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2000-02-29T00:00:00Z", Some(951_782_400)),
        ("2027-01-15T09:30:00+01:30", Some(1_800_000_000)),
        ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
        ("1969-12-31T23:59:59Z", None),
        ("2027-01-15", None),
        ("2027-01-15T08:00:00", None),
    ] {
        let value = text.parse().expect("a TOML date");
        assert_eq!(micros(&value), seconds.map(|seconds: u64| seconds * 1_000_000), "{text}");
    }
}
