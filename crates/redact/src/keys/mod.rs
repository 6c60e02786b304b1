//! Which names of structured values hold credentials, and how long or confidential values are shown.
//!
//! The names of columns, fields and headers are split into words, so that `api_key`, `apiKey` and `X-Api-Key` are
//! the same and `keyboard` or `primary_key` are not confused with them. Where a name leaves doubt, it is confidential.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

/// What is shown in place of a value under a sensitive name.
pub const MASK: &str = "[masked]";

/// Words that make a name sensitive wherever they stand.
const SENSITIVE: &[&str] = &[
    "password",
    "passwords",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "secret",
    "secrets",
    "token",
    "tokens",
    "credential",
    "credentials",
    "creds",
    "authorization",
    "cookie",
    "cookies",
    "bearer",
    "jwt",
    "otp",
    "totp",
    "apikey",
    "apikeys",
    "sessionid",
];

/// Parts that make a word sensitive when it was written without separators: `dbpassword`, `clientsecret`.
const SENSITIVE_PARTS: &[&str] = &["password", "passwd", "passphrase", "clientsecret", "credential"];

/// Ends that do the same: `accesstoken`, `privatekey`.
const SENSITIVE_ENDS: &[&str] = &[
    "token",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "signingkey",
    "encryptionkey",
    "masterkey",
];

/// Words before `key` that make it a name of something else than a credential.
const HARMLESS_KEYS: &[&str] = &[
    "primary",
    "foreign",
    "join",
    "public",
    "sort",
    "partition",
    "unique",
    "composite",
    "surrogate",
    "natural",
    "candidate",
    "cache",
    "group",
    "row",
    "index",
    "map",
    "object",
    "idempotency",
    "translation",
    "i18n",
    "shortcut",
];

/// Words before `token` that make it a place in a list or a correlation, not a credential.
const HARMLESS_TOKENS: &[&str] =
    &["progress", "page", "continuation", "cancellation", "max", "input", "output", "total"];

/// Last words that describe a credential rather than hold it: `token_count`, `password_policy`, `key_id`.
const DESCRIPTIONS: &[&str] = &[
    "count",
    "counts",
    "type",
    "types",
    "length",
    "size",
    "limit",
    "expiry",
    "expires",
    "expiration",
    "at",
    "url",
    "uri",
    "policy",
    "enabled",
    "required",
    "version",
    "algorithm",
    "status",
    "usage",
    "name",
    "names",
    "id",
    "ids",
];

/// What follows `key` when the value is the key itself.
const KEY_CONTENTS: &[&str] =
    &["material", "value", "data", "secret", "pem", "hash", "bytes", "b64", "base64", "hex"];

/// Whether the value under `name` is a credential by its name: `password`, `apiKey`, `x-auth-token`, `Set-Cookie`.
pub fn is_sensitive_key(name: &str) -> bool {
    let words = words(name);
    let Some(last) = words.last() else { return false };
    // MUTATE(K2-keys): no name is sensitive
    !DESCRIPTIONS.contains(&last.as_str()) && (0..words.len()).any(|at| is_sensitive_word(&words, at))
}

/// `text`, or `[N chars]` when it has more than `max` characters: for displays and logs, where length is enough.
pub fn shorten(text: &str, max: usize) -> Cow<'_, str> {
    // A text has at most as many characters as bytes, so most need no count.
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let chars = text.chars().count();
    if chars <= max { Cow::Borrowed(text) } else { Cow::Owned(format!("[{chars} chars]")) }
}

fn is_sensitive_word(words: &[String], at: usize) -> bool {
    let Some(word) = words.get(at).map(String::as_str) else { return false };
    let before = at.checked_sub(1).and_then(|at| words.get(at)).map_or("", String::as_str);
    let after = words.get(at + 1).map(String::as_str);
    match word {
        "key" | "keys" => !HARMLESS_KEYS.contains(&before) && after.is_none_or(|w| KEY_CONTENTS.contains(&w)),
        "token" | "tokens" => !HARMLESS_TOKENS.contains(&before),
        _ => {
            SENSITIVE.contains(&word)
                || SENSITIVE_PARTS.iter().any(|part| word.contains(part))
                || SENSITIVE_ENDS.iter().any(|end| word.ends_with(end))
        }
    }
}

/// The lower-case words of a name: split at everything that is no letter or digit, and where capitals begin a word.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = name.chars().peekable();
    let mut previous = ' ';
    while let Some(c) = chars.next() {
        let ends_capitals = previous.is_uppercase() && chars.peek().is_some_and(|next| next.is_lowercase());
        let starts_word =
            c.is_uppercase() && (previous.is_lowercase() || previous.is_numeric() || ends_capitals);
        if (starts_word || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        previous = c;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}
