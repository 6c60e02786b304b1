//! Reads the file against the page of settings and finds every problem in one go: syntax, unknown keys, wrong values, what is missing.

use std::collections::{BTreeMap, BTreeSet};

use countersign_identity::check_name;
use toml::de::{DeTable, DeValue};

use super::{
    error::{Places, Problem, nearest},
    kind::Value,
    settings::{Default, SETTINGS, Setting},
    url::Scheme,
};

/// Where a value came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// This line of the file.
    Line(usize),
    /// The default.
    Default,
}

/// One setting as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) value: Value,
    pub(crate) source: Source,
    /// Where its value stands in the file.
    pub(super) place: Option<(usize, usize)>,
}

/// All settings, by their full keys, and what is wrong with the file.
#[derive(Default, Debug)]
pub(super) struct Raw {
    pub(super) values: BTreeMap<String, Read>,
    pub(super) problems: Vec<Problem>,
    /// Tables that appear, with the place of their first key or header.
    tables: BTreeMap<String, (usize, usize)>,
    /// Settings whose value was refused: they are not reported as missing as well.
    refused: BTreeSet<String>,
}

/// Tables whose absence means something.
const OPTIONAL: &[&str] = &["identity.credentials", "identity.local", "python", "server.tls"];

/// Reads the text of a configuration file.
pub(super) fn read(text: &str) -> Raw {
    let places = Places::of(text);
    let mut raw = Raw::default();
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let place = error.span().map(|span| places.at(span.start));
        // The parser quotes nothing of the file but single characters.
        raw.problems.push(Problem { place, message: error.message().replace('\n', "; "), help: None });
    }
    // After a syntax error the rest may be misread: report the errors that are certain.
    if raw.problems.is_empty() {
        raw.tables.insert(String::new(), (1, 1));
        raw.walk(&places, "", document.get_ref());
        raw.misplaced();
        raw.complete();
    }
    raw
}

impl Raw {
    fn walk(&mut self, places: &Places<'_>, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let full = join(prefix, name);
            let place = places.at(key.span().start);
            if name.contains('.') {
                // INVARIANT: a dot separates tables; a quoted key that holds one never passes for a path.
                self.problem(
                    place,
                    format!("unknown key `{}`", shown(&full)),
                    Some(suggestion(prefix, name)),
                );
                continue;
            }
            match (setting(&full), value.get_ref()) {
                (Some(setting), value_read) => {
                    let at = places.at(value.span().start);
                    self.take(setting, full, value_read, at);
                }
                (None, DeValue::Table(inner)) if is_table(&full) => {
                    if let Some(rule) = broken_name_rule(&full, name) {
                        self.problem(place, format!("`{}` must be {rule}", shown(&full)), None);
                    }
                    self.tables.insert(full.clone(), place);
                    self.walk(places, &full, inner);
                }
                (None, _) if is_table(&full) => {
                    self.problem(
                        place,
                        format!("`{}` must be a table: `[{}]`", shown(&full), shown(&full)),
                        None,
                    );
                }
                (None, _) => {
                    let help = suggestion(prefix, name);
                    // MUTATE(P3-unknown): a misspelt key is passed over, and its default holds
                    self.problem(place, format!("unknown key `{}`", shown(&full)), Some(help));
                }
            }
        }
    }

    fn take(&mut self, setting: &Setting, full: String, value: &DeValue<'_>, place: (usize, usize)) {
        if setting.key.ends_with(".*") {
            let name = full.rsplit('.').next().unwrap_or_default();
            if !is_variable(name) {
                self.problem(
                    place,
                    format!("`{}` must be named with 1-64 letters, digits and `_`", shown(&full)),
                    None,
                );
            }
        }
        match setting.kind.read(value) {
            Ok(value) => {
                self.values.insert(full, Read { value, source: Source::Line(place.0), place: Some(place) });
            }
            Err((rule, help)) => {
                self.problem(place, format!("`{}` {rule}", shown(&full)), help);
                self.refused.insert(full);
            }
        }
    }

    /// Adds defaults, and reports what must be said and is not.
    fn complete(&mut self) {
        for setting in SETTINGS {
            for full in self.instances(setting) {
                let parent = full.rsplit_once('.').map_or("", |(parent, _)| parent).to_owned();
                if self.values.contains_key(&full) || self.refused.contains(&full) {
                    continue;
                }
                match setting.default {
                    Default::Is(text) => {
                        if let Ok(value) = DeValue::parse(text)
                            .map_err(drop)
                            .and_then(|v| setting.kind.read(v.get_ref()).map_err(drop))
                        {
                            self.values.insert(full, Read { value, source: Source::Default, place: None });
                        }
                    }
                    Default::Required => {
                        if let Some(place) = self.tables.get(&parent).copied() {
                            let key = full.rsplit('.').next().unwrap_or_default();
                            self.problem(
                                place,
                                format!("`{full}` is missing"),
                                Some(format!("add `{key} = ...`: {}", setting.kind.allowed())),
                            );
                        }
                    }
                    Default::Absent => {}
                }
            }
        }
    }

    /// The full keys that a setting's key stands for in this file. Defaults of a table that people leave out as a whole
    /// ([`OPTIONAL`]) do not conjure it up, nor do those of one kind of database appear in another.
    fn instances(&self, setting: &Setting) -> Vec<String> {
        let absent = OPTIONAL.iter().any(|table| {
            let below = setting.key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
            below && !self.tables.contains_key(*table)
        });
        if absent || setting.key.ends_with(".*") {
            return Vec::new();
        }
        let mut keys = vec![String::new()];
        for part in setting.key.split('.') {
            let below = |key: String| -> Vec<String> {
                match part {
                    "*" => self.names(&key).into_iter().map(|name| join(&key, &name)).collect(),
                    _ => vec![join(&key, part)],
                }
            };
            keys = keys.into_iter().flat_map(below).collect();
        }
        keys.retain(|key| self.applies(setting, key));
        keys
    }

    /// Whether a setting is for the kind of database that its key belongs to.
    fn applies(&self, setting: &Setting, full: &str) -> bool {
        setting.engines.is_empty()
            || self.scheme(full).is_some_and(|scheme| setting.engines.contains(&scheme))
    }

    /// The kind of the database that a key belongs to, if its url could be read.
    fn scheme(&self, full: &str) -> Option<Scheme> {
        let name = full.strip_prefix("databases.")?.split('.').next()?;
        match &self.values.get(&format!("databases.{name}.url"))?.value {
            Value::Url(url) => Some(url.scheme()),
            _ => None,
        }
    }

    /// Settings of one kind of database that stand with another: they would be passed over in silence.
    fn misplaced(&mut self) {
        let misplaced = |(full, read): (&String, &Read)| {
            let (setting, scheme) = (setting(full)?, self.scheme(full)?);
            let names: Vec<&str> = setting.engines.iter().map(|engine| engine.name()).collect();
            let message = format!("`{full}` means nothing to {} database", scheme.with_article());
            let help = format!("it is a setting of {} databases", names.join(" and "));
            // MUTATE(P3-engine): a setting of another kind of database is passed over in silence
            (!self.applies(setting, full)).then_some((read.place?, message, help))
        };
        let found: Vec<_> = self.values.iter().filter_map(misplaced).collect();
        for (place, message, help) in found {
            self.problem(place, message, Some(help));
        }
    }

    /// The names that the operator chose under a table, such as those of databases.
    pub(super) fn names(&self, table: &str) -> BTreeSet<String> {
        let prefix = format!("{table}.");
        let below = self.tables.keys().chain(self.values.keys()).filter_map(|key| key.strip_prefix(&prefix));
        below.filter_map(|rest| rest.split('.').next()).map(str::to_owned).collect()
    }

    /// Where a setting's value, or a table, stands in the file.
    pub(super) fn place(&self, key: &str) -> Option<(usize, usize)> {
        self.values.get(key).and_then(|read| read.place).or_else(|| self.tables.get(key).copied())
    }

    /// Whether a table appears in the file.
    pub(super) fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Where a table begins.
    pub(super) fn place_of(&self, table: &str) -> Option<(usize, usize)> {
        self.tables.get(table).copied()
    }

    pub(super) fn problem(&mut self, place: (usize, usize), message: String, help: Option<String>) {
        self.problems.push(Problem { place: Some(place), message, help });
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// Keys come from the file: what is shown of them is one short, plain line.
fn shown(key: &str) -> String {
    let line = countersign_redact::neutral::neutral_line(key);
    line.chars().take(100).collect()
}

/// The setting that a full key belongs to.
fn setting(full: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| matches(setting.key, full))
}

/// Whether some setting lies below a full key.
fn is_table(full: &str) -> bool {
    let depth = full.split('.').count();
    SETTINGS.iter().any(|setting| {
        let head: Vec<&str> = setting.key.split('.').take(depth).collect();
        setting.key.split('.').count() > depth && matches(&head.join("."), full)
    })
}

/// The rule for the last part of a table's key, if it is a name that the operator chose and breaks it.
fn broken_name_rule(full: &str, name: &str) -> Option<&'static str> {
    let depth = full.split('.').count();
    let setting = SETTINGS.iter().find(|setting| {
        let head: Vec<&str> = setting.key.split('.').take(depth).collect();
        setting.key.split('.').count() > depth && head.last() == Some(&"*") && matches(&head.join("."), full)
    })?;
    if setting.key.starts_with("databases.*.tenants.") && depth > 2 {
        let rule = "the name of a tenant: 1-64 characters of A-Z, a-z, 0-9, `_`, `@` or `-`";
        return check_name("tenant", name).is_err().then_some(rule);
    }
    if setting.key.starts_with("commands.*") && depth == 2 {
        let rule = "one or more words of lower-case letters, digits, `_` and `-`, with single spaces between them, 64 characters in all";
        return (!is_command(name)).then_some(rule);
    }
    (!is_identifier(name))
        .then_some("a name of 1-32 lower-case letters, digits and `_` that starts with a letter")
}

fn matches(pattern: &str, full: &str) -> bool {
    let (mut pattern, mut full) = (pattern.split('.'), full.split('.'));
    loop {
        match (pattern.next(), full.next()) {
            (None, None) => return true,
            (Some(p), Some(f)) if p == "*" || p == f => {}
            _ => return false,
        }
    }
}

/// Names of databases become parts of tool names.
fn is_identifier(name: &str) -> bool {
    name.len() <= 32
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Names of commands are what people would type: `git status`.
fn is_command(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    let word = |word: &str| {
        word.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && word.bytes().all(plain)
    };
    name.len() <= 64 && name.split(' ').all(word)
}

/// Names of secrets appear in results as `[redacted:NAME]`.
fn is_variable(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What was probably meant by an unknown key, or what there is.
fn suggestion(prefix: &str, name: &str) -> String {
    let depth = if prefix.is_empty() { 0 } else { prefix.split('.').count() };
    let siblings: BTreeSet<&str> = SETTINGS
        .iter()
        .filter(|setting| {
            let head: Vec<&str> = setting.key.split('.').take(depth).collect();
            depth == 0 || matches(&head.join("."), prefix)
        })
        .filter_map(|setting| setting.key.split('.').nth(depth))
        .filter(|part| *part != "*")
        .collect();
    if let Some(near) = nearest(name, siblings.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    let elsewhere = SETTINGS.iter().find(|setting| setting.key.rsplit('.').next() == Some(name));
    if let Some((table, _)) = elsewhere.and_then(|setting| setting.key.rsplit_once('.')) {
        return format!("`{name}` belongs in `[{}]`", table.replace('*', "NAME"));
    }
    let list: Vec<String> = siblings.iter().map(|sibling| format!("`{sibling}`")).collect();
    format!("known here: {}", list.join(", "))
}
