//! Files that are no key files, and files of another version.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

fn refused(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let error = read(&path).map(drop).unwrap_err();
    error.to_string().replace(&dir.path().display().to_string(), "DIR")
}

#[test]
fn a_newer_version_is_named() {
    let message = refused(r#"{"version": 2, "keys": [], "epoch": 7}"#);
    assert_eq!(message, "the key file `DIR/keys.json` has version 2; this program reads version 1");
}

#[test]
fn anything_unexpected_is_refused() {
    let key = |change: (&str, &str)| {
        let hash = "00".repeat(32);
        format!(
            r#"{{"version":1,"keys":[{{"id":"key-1","sha256":"{hash}","subject":"a","kind":"person","tenant":"t","roles":[],
            "created":"2026-11-21T10:00:00Z","expires":"2026-11-22T10:00:00Z"}}]}}"#
        )
        .replacen(change.0, change.1, 1)
    };
    for (text, reason) in [
        (String::new(), "EOF"),
        ("[]".to_owned(), "invalid length 0"),
        (key(("\"roles\":[]", "\"roles\":[],\"admin\":true")), "unknown field `admin`"),
        (key(("person", "anonymous")), "unknown variant `anonymous`"),
        (key(("\"sha256\":\"00", "\"sha256\":\"zz")), "`sha256` must be 64 hexadecimal digits"),
        (key(("2026-11-22T", "2026-11-22 ")), "a time must have the form"),
    ] {
        let message = refused(&text);
        assert!(
            message.starts_with("`DIR/keys.json` is not a key file: ") && message.contains(reason),
            "{message}"
        );
    }
}
