//! What must hold of any text and any secret, tried on random ones.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use countersign_redact::{Redactor, SecretSet, neutral};
use proptest::prelude::*;

/// Characters that may never leave, in any text.
fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0b'..='\x1f' | '\x7f'..='\u{9f}' | '\u{200b}' | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}' | '\u{ad}'
        | '\u{e0000}'..='\u{e007f}' | '\u{e000}'..='\u{f8ff}')
}

/// Text dense with what an attacker would use.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -~]{0,12}",
        2 => any::<char>().prop_map(String::from),
        1 => "[\u{0}-\u{9f}]{1,3}",
        1 => "[\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{fe0f}\u{e0020}-\u{e007f}\u{e0100}]{1,7}",
        1 => "[\u{915}\u{94d}\u{645}\u{6cc}\u{1f469}\u{2695}\u{845b}]",
        1 => Just("\u{1b}[31m".to_owned()),
        1 => Just("\u{1b}]0;t\u{7}".to_owned()),
        1 => Just("\r\n".to_owned()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Secrets in the alphabets of real ones, and some beyond.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9+/=_-]{8,40}", "[!-~]{8,24}", "[a-zäöü\"/\\\\ ]{0,8}[!-~]{10}"]
}

fn encodings(secret: &str, prefix: &str, suffix: &str) -> Vec<String> {
    let whole = format!("{prefix}{secret}{suffix}");
    let hex: String = whole.bytes().map(|b| format!("{b:02x}")).collect();
    let mixed: String =
        hex.chars().enumerate().map(|(i, c)| if i % 3 == 0 { c.to_ascii_uppercase() } else { c }).collect();
    let percent: String = whole.bytes().map(|b| format!("%{b:02X}")).collect();
    let reserved: String = whole
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02x}")
            }
        })
        .collect();
    let json = whole.replace('\\', "\\\\").replace('"', "\\\"");
    vec![STANDARD.encode(&whole), URL_SAFE.encode(&whole), hex, mixed, percent, reserved, json, whole]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_forbidden_passes(text in hostile()) {
        let out = neutral::neutral(&text);
        prop_assert!(!out.chars().any(is_forbidden), "{out:?}");
        let line = Redactor::default().line(&text).into_owned();
        prop_assert!(!line.chars().any(|c| is_forbidden(c) || c == '\n' || c == '\t'), "{line:?}");
    }

    #[test]
    fn neutralising_twice_changes_nothing(text in hostile()) {
        let once = neutral::neutral(&text).into_owned();
        prop_assert!(matches!(neutral::neutral(&once), Cow::Borrowed(_)));
        let line = neutral::neutral_line(&text).into_owned();
        prop_assert!(matches!(neutral::neutral_line(&line), Cow::Borrowed(_)));
    }

    #[test]
    fn redacting_twice_changes_nothing(secret in "[A-Za-z0-9+/_-]{8,40}", before in hostile(), after in hostile()) {
        let Ok(secrets) = SecretSet::new([("name", secret.as_str())]) else { return Ok(()) };
        let redactor = Redactor::new(secrets);
        let once = redactor.text(&format!("{before}{secret}{after}")).into_owned();
        prop_assert_eq!(redactor.text(&once).into_owned(), once);
    }

    #[test]
    fn no_encoded_form_survives(secret in secret(), prefix in "[ -~]{0,9}", suffix in "[ -~]{0,9}") {
        let Ok(secrets) = SecretSet::new([("name", secret.as_str())]) else { return Ok(()) };
        let redactor = Redactor::new(secrets);
        for encoded in encodings(&secret, &prefix, &suffix) {
            let out = redactor.text(&encoded).into_owned();
            prop_assert!(out.contains("[redacted:name]"), "{encoded:?} gave {out:?}");
        }
    }

    #[test]
    fn nothing_invisible_hides_a_secret(
        secret in "[A-Za-z0-9]{8,40}",
        places in prop::collection::vec(any::<bool>(), 40),
        hidden in "[\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}\u{202e}\u{e0041}\u{fe0f}\u{0}\u{8}]{1,6}",
        escape in prop_oneof![Just(""), Just("\u{1b}[0m"), Just("\u{1b}]0;x\u{7}")],
    ) {
        let Ok(secrets) = SecretSet::new([("name", secret.as_str())]) else { return Ok(()) };
        let mut text = String::new();
        for (c, here) in secret.chars().zip(places) {
            text.push(c);
            if here {
                text.push_str(escape);
                text.push_str(&hidden);
            }
        }
        let out = Redactor::new(secrets).text(&text).into_owned();
        prop_assert!(out.starts_with("[redacted:name]"), "{text:?} gave {out:?}");
    }

    #[test]
    fn ascii_without_secrets_is_borrowed(text in "[ -~\n\t]{0,200}") {
        let redactor = Redactor::new(SecretSet::new([("name", "\u{e4}\u{f6}\u{fc}-not-in-ascii")]).unwrap());
        prop_assert!(matches!(redactor.text(&text), Cow::Borrowed(_)));
    }
}

#[test]
fn a_set_put_in_place_serves_every_clone() {
    let redactor = Redactor::new(SecretSet::new([("old", "old-secret")]).unwrap());
    let clone = redactor.clone();
    redactor.replace(SecretSet::new([("new", "new-secret")]).unwrap());
    assert_eq!(clone.text("old-secret new-secret"), "old-secret [redacted:new]");
}

#[test]
fn a_secret_of_several_lines_is_found_with_either_line_end() {
    let key = "-----BEGIN KEY-----\nMC4CAQAwBQYDK2Vw\n-----END KEY-----";
    let redactor = Redactor::new(SecretSet::new([("key", key)]).unwrap());
    assert_eq!(redactor.text(&format!("<{key}>")), "<[redacted:key]>");
    assert_eq!(redactor.text(&format!("<{}>", key.replace('\n', "\r\n"))), "<[redacted:key]>");
    assert_eq!(redactor.line(&format!("{key}\nb")), "[redacted:key]\\nb");
}

#[test]
fn readable_text_around_a_secret_stays() {
    let redactor = Redactor::new(SecretSet::new([("k", "hunter2-hunter2")]).unwrap());
    assert_eq!(
        redactor.text("می\u{200c}خواهم hunt\u{200b}er2-hunter2 ö\u{202e}"),
        "می\u{200c}خواهم [redacted:k] ö\\u{202e}"
    );
}

#[test]
fn debug_shows_no_value() {
    let redactor = Redactor::new(SecretSet::new([("name", "a-secret-value")]).unwrap());
    assert!(!format!("{redactor:?}").contains("a-secret-value"));
}
