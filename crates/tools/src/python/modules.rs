//! The modules that a caller's Python may import: those of the standard library that compute, and none that reach out of the process.

use std::collections::BTreeSet;

/// Allowed everywhere. Adding one is a decision about the first wall, not about the boundary.
pub(super) const STANDARD: &[&str] = &[
    "__future__",
    "abc",
    "array",
    "base64",
    "binascii",
    "bisect",
    "calendar",
    "cmath",
    "collections",
    "colorsys",
    "contextlib",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "enum",
    "fractions",
    "functools",
    "graphlib",
    "hashlib",
    "heapq",
    "hmac",
    "html",
    "ipaddress",
    "itertools",
    "json",
    "keyword",
    "math",
    "numbers",
    "operator",
    "pprint",
    "random",
    "re",
    "secrets",
    "statistics",
    "string",
    "struct",
    "textwrap",
    "time",
    "typing",
    "unicodedata",
    "urllib",
    "uuid",
    "xml",
    "zlib",
    "zoneinfo",
];

/// Never allowed, whatever the configuration says: the event loop reaches processes and sockets by itself.
pub(super) const NEVER: &[&str] = &["asyncio"];

/// The modules that may be imported: the standard ones and those that the operator adds.
///
/// # Errors
/// The module that may not be added, and why.
pub(super) fn allowed(added: &[String]) -> Result<BTreeSet<String>, String> {
    let mut all: BTreeSet<String> = STANDARD.iter().map(|name| (*name).to_owned()).collect();
    for name in added {
        let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        let plain = name.len() <= 64
            && name.bytes().next().is_some_and(first)
            && name.bytes().all(|b| first(b) || b.is_ascii_digit());
        if !plain {
            return Err("`python.imports` lists modules by their first name, such as \"numpy\"".into());
        }
        // MUTATE(E3-asyncio): the configuration can allow asyncio
        if NEVER.contains(&name.as_str()) {
            return Err(format!("`python.imports` lists `{name}`, which is never allowed"));
        }
        all.insert(name.clone());
    }
    Ok(all)
}
