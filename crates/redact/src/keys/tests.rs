//! Names that hold credentials, and names that only sound alike.

use super::*;

#[test]
fn names_of_credentials_are_sensitive_in_every_spelling() {
    for name in [
        "password",
        "PASSWORD",
        "user_password",
        "passwordHash",
        "password_hash",
        "dbpassword",
        "passwd",
        "pwd",
        "api_key",
        "apiKey",
        "APIKey",
        "API_KEY",
        "x-api-key",
        "apikey",
        "key",
        "encryption.key",
        "key_material",
        "token",
        "x-auth-token",
        "accessToken",
        "accesstoken",
        "refresh_token",
        "api_token",
        "secret",
        "client-secret",
        "clientsecret",
        "aws_secret_access_key",
        "credential",
        "credentials",
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "set-cookie",
        "private_key",
        "privateKeyPem",
        "sshPrivateKey",
        "HTTPToken",
        "password2",
        "totp",
    ] {
        // `privateKeyPem` is the key itself: `key` is followed by what it contains.
        assert!(is_sensitive_key(name), "{name}");
    }
}

#[test]
fn names_that_only_sound_alike_are_not() {
    for name in [
        "keyboard",
        "monkey",
        "primary_key",
        "foreignKey",
        "join_key",
        "public_key",
        "keynote",
        "hockey",
        "secretary",
        "tokenize",
        "max_tokens",
        "total_tokens",
        "token_count",
        "tokenType",
        "progressToken",
        "nextPageToken",
        "key_id",
        "password_policy",
        "author",
        "authority",
        "compass",
        "passenger",
        "cache_key",
        "",
        "--",
        "id",
        "name",
        "cook",
    ] {
        assert!(!is_sensitive_key(name), "{name}");
    }
}

#[test]
fn long_text_is_shown_as_its_length() {
    assert_eq!(shorten("short", 5), "short");
    assert_eq!(shorten("longer", 5), "[6 chars]");
    assert_eq!(shorten("äöüßé", 5), "äöüßé");
    assert_eq!(shorten("äöüßéà", 5), "[6 chars]");
}
