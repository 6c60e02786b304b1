//! Each form of a secret, found by an encoder that is not ours.

use base64::Engine as _;

use super::*;

const SECRET: &str = "S3cr\"t/pä ss+wörd?";

fn set() -> SecretSet {
    SecretSet::new([("db", SECRET), ("key", "0123456789abcdef")]).unwrap()
}

#[test]
fn text_without_secrets_is_borrowed() {
    assert!(matches!(set().redact("nothing here 0123456789"), Cow::Borrowed(_)));
    assert!(matches!(SecretSet::default().redact(SECRET), Cow::Borrowed(_)));
}

#[test]
fn a_secret_is_replaced_by_its_name() {
    assert_eq!(set().redact("k=0123456789abcdef;"), "k=[redacted:key];");
    assert_eq!(set().redact(&format!("a {SECRET} b {SECRET}")), "a [redacted:db] b [redacted:db]");
}

#[test]
fn encoded_forms_are_found() {
    for (form, encoded) in [
        ("hex", "5333637222742f70c3a42073732b77c3b67264 3f".replace(' ', "")),
        ("upper hex", "5333637222742F70C3A42073732B77C3B672643F".to_owned()),
        ("mixed hex", "5333637222742f70C3a42073732B77c3B672643f".to_owned()),
        ("all percent", SECRET.bytes().map(|b| format!("%{b:02x}")).collect()),
        ("reserved percent", "S3cr%22t%2Fp%C3%A4%20ss%2Bw%C3%B6rd%3F".to_owned()),
        ("lower percent", "S3cr%22t%2fp%c3%a4%20ss%2bw%c3%b6rd%3f".to_owned()),
        ("form", "S3cr%22t%2Fp%C3%A4+ss%2Bw%C3%B6rd%3F".to_owned()),
        ("query", "S3cr%22t/p%C3%A4%20ss+w%C3%B6rd?".to_owned()),
        ("json", r#"S3cr\"t/pä ss+wörd?"#.to_owned()),
        ("json slash", r#"S3cr\"t\/pä ss+wörd?"#.to_owned()),
        ("json ascii", r#"S3cr\"t/p\u00e4 ss+w\u00f6rd?"#.to_owned()),
        ("json twice", r#"S3cr\\\"t/pä ss+wörd?"#.to_owned()),
        ("capitals", SECRET.to_ascii_uppercase()),
    ] {
        assert_eq!(set().redact(&format!("<{encoded}>")), "<[redacted:db]>", "{form}");
    }
}

#[test]
fn base64_is_found_at_every_alignment() {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    for prefix in ["", "a", "ab", "abc", "user:"] {
        for suffix in ["", "y", "yz", "@host"] {
            let text = format!("{prefix}{SECRET}{suffix}");
            for encoded in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                assert!(set().redact(&encoded).contains("[redacted:db]"), "{prefix}…{suffix}: {encoded}");
            }
        }
    }
}

#[test]
fn forms_that_overlap_leave_nothing_behind() {
    let set =
        SecretSet::new([("first", "abcdefgh"), ("second", "efghijklmn"), ("whole", "abcdefghij")]).unwrap();
    assert_eq!(set.redact("<abcdefghijklmn>"), "<[redacted:whole]>");
    assert_eq!(set.redact("abcdefgh abcdefgh"), "[redacted:first] [redacted:first]");
}

#[test]
fn every_short_value_is_refused_by_name() {
    let refused =
        SecretSet::new([("pin", "1234"), ("good", "long enough"), ("pad", "   abc\u{200b}   ")]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "secret `pin` is shorter than 8 bytes, too short to be found safely in a result; \
         secret `pad` is shorter than 8 bytes, too short to be found safely in a result"
    );
}

#[test]
fn short_values_are_matched_where_that_was_asked_for() {
    let set = SecretSet::danger_any_length([("pin", "1234")]).unwrap();
    assert_eq!(set.redact("pin 1234"), "pin [redacted:pin]");
    assert!(SecretSet::danger_any_length([("none", "")]).is_err());
}

#[test]
fn a_value_that_its_placeholder_would_show_is_refused() {
    let refused = SecretSet::new([("db_password", "password")]).unwrap_err();
    assert_eq!(refused.0[0].refusal, Refusal::InPlaceholder);
    assert!(SecretSet::new([("a", "Redacted")]).is_err());
}

#[test]
fn debug_shows_names_alone() {
    assert_eq!(format!("{:?}", set()), r#"SecretSet { names: ["db", "key"], .. }"#);
}
