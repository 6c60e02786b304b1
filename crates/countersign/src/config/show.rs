//! `config show`: every setting as it stands and where it came from. Secrets appear as references, never as values.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    kind::{Kind, Value},
    raw::{Raw, Source},
    settings::SETTINGS,
    units::{size_text, span_text},
};

/// One setting, ready to be shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Shown {
    /// The full key.
    pub(crate) key: String,
    /// The value, written as in the file.
    pub(crate) value: String,
    /// The line of the file that says so; none for a default.
    pub(crate) line: Option<usize>,
}

/// All settings in the order of the page.
pub(super) fn settings(raw: &Raw) -> Vec<Shown> {
    let mut shown = Vec::new();
    for setting in SETTINGS {
        for (key, read) in raw.values.iter().filter(|(key, _)| belongs(setting.key, key)) {
            let line = match read.source {
                Source::Line(line) => Some(line),
                Source::Default => None,
            };
            shown.push(Shown { key: key.clone(), value: text(setting.kind, &read.value), line });
        }
    }
    // Settings of one database stay together, in the order of the page.
    shown.sort_by_key(|one| {
        let table = one.key.rsplit_once('.').map_or("", |(table, _)| table).to_owned();
        let place =
            SETTINGS.iter().position(|setting| setting.key.split('.').next() == one.key.split('.').next());
        (place, table)
    });
    shown
}

/// The settings as a TOML file that says the same, with the origin of each as a comment.
pub(crate) fn show(settings: &[Shown]) -> String {
    let mut text = String::new();
    let mut current = "";
    for one in settings {
        let (table, key) = one.key.rsplit_once('.').unwrap_or(("", &one.key));
        if table != current {
            let _ = writeln!(text, "\n[{}]", header(table));
            current = table;
        }
        let origin = one.line.map_or("default".to_owned(), |line| format!("line {line}"));
        let _ = writeln!(text, "{:<40} # {origin}", format!("{key} = {}", one.value));
    }
    text
}

/// A table's key as it stands in a file: parts that are not bare are quoted.
fn header(table: &str) -> String {
    let bare = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let parts = table.split('.').map(|part| if bare(part) { part.to_owned() } else { quoted(part) });
    parts.collect::<Vec<_>>().join(".")
}

fn belongs(pattern: &str, key: &str) -> bool {
    let (mut pattern, mut key) = (pattern.split('.'), key.split('.'));
    loop {
        match (pattern.next(), key.next()) {
            (None, None) => return true,
            (Some(p), Some(k)) if p == "*" || p == k => {}
            _ => return false,
        }
    }
}

fn text(kind: Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Size { .. }, Value::Number(bytes)) => quoted(&size_text(*bytes)),
        (_, Value::Listen(listen)) => quoted(&listen.to_string()),
        (_, Value::Path(path)) => quoted(&path.display().to_string()),
        (_, Value::Number(number)) => number.to_string(),
        (_, Value::Span(span)) => quoted(&span_text(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))),
        (_, Value::Flag(flag)) => flag.to_string(),
        (_, Value::Text(text)) => quoted(text),
        (_, Value::Texts(texts)) => {
            format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
        }
        (_, Value::Reference(reference)) => quoted(&reference.to_string()),
        (_, Value::Url(url)) => quoted(url.text()),
    }
}

/// A TOML string. JSON's escapes are a subset of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
