//! Notation of times, against dates known from elsewhere.

use proptest::prelude::*;

use super::*;

#[test]
fn known_dates() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_709_164_800, "2024-02-29T00:00:00Z"),
        (4_107_542_399, "2100-02-28T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (LAST, "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(Timestamp::from_unix(seconds).to_string(), text);
        assert_eq!(text.parse(), Ok(Timestamp::from_unix(seconds)));
    }
}

#[test]
fn what_is_no_time() {
    for text in [
        "",
        "2026-11-21",
        "2026-11-21 10:00:00Z",
        "2026-11-21T10:00:00+00:00",
        "2026-02-30T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "+026-11-21T10:00:00Z",
        "2026-11-21T10:00:00Z ",
    ] {
        assert_eq!(text.parse::<Timestamp>(), Err(NotATime), "{text}");
    }
}

proptest! {
    #[test]
    fn reads_what_it_writes(seconds in 0..=LAST) {
        let time = Timestamp::from_unix(seconds);
        prop_assert_eq!(time.to_string().parse(), Ok(time));
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,24}") {
        let _ = text.parse::<Timestamp>();
    }
}
