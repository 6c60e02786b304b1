//! Typed access to the keys of one TOML table: unknown keys and wrong types are problems with places, and reading goes on.

use serde_json::Value as Json;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::problem::{Place, Problem, Source, nearest, shown};

/// One table of a file, with the keys that it may have.
pub(super) struct Keys<'t> {
    source: &'t Source<'t>,
    path: String,
    table: &'t DeTable<'t>,
    place: Place,
}

impl<'t> Keys<'t> {
    /// A table at `path`; reports keys that are not in `known`.
    pub(super) fn open(
        source: &'t Source<'t>,
        path: String,
        at: usize,
        table: &'t DeTable<'t>,
        known: &[&'static str],
        problems: &mut Vec<Problem>,
    ) -> Keys<'t> {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            // MUTATE(P3-catalog-unknown): a misspelt key of the catalog is passed over
            if !known.contains(&name) {
                let help = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known here: {}", known.join(", ")),
                };
                problems.push(Problem {
                    place: source.at(key.span().start),
                    message: format!("unknown key `{}`", shown(&join(&path, name))),
                    help: Some(help),
                });
            }
        }
        Keys { source, place: source.at(at), path, table }
    }

    /// Where the table starts.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Where a key's value stands, or else the table.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.get(key).map_or_else(|| self.place.clone(), |value| self.source.at(value.span().start))
    }

    /// The full name of a key, for messages.
    pub(super) fn name(&self, key: &str) -> String {
        shown(&join(&self.path, key))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A problem with a key's value.
    pub(super) fn wrong(&self, key: &str, rule: &str, help: Option<&str>) -> Problem {
        Problem {
            place: self.place_of(key),
            message: format!("`{}` {rule}", self.name(key)),
            help: help.map(str::to_owned),
        }
    }

    /// A text of at most `max` characters without control characters other than line breaks and tabs.
    pub(super) fn text(&self, key: &str, max: usize, problems: &mut Vec<Problem>) -> Option<String> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) if is_text(text, max) => Some(text.to_string()),
            _ => {
                let rule = format!("must be a text of 1 to {max} characters without control characters");
                problems.push(self.wrong(key, &rule, None));
                None
            }
        }
    }

    /// As [`Keys::text`], and its absence is a problem.
    pub(super) fn required(&self, key: &str, max: usize, problems: &mut Vec<Problem>) -> Option<String> {
        if !self.has(key) {
            problems.push(Problem {
                place: self.place.clone(),
                message: format!("`{}` is missing", self.name(key)),
                help: Some(format!("add `{key} = \"...\"`")),
            });
        }
        self.text(key, max, problems)
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &self,
        key: &str,
        words: &[(&'static str, T)],
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        let value = self.get(key)?;
        let written = value.get_ref().as_str().unwrap_or_default();
        let found = words.iter().find(|(word, _)| *word == written);
        if found.is_none() {
            let list: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let near = nearest(written, words.iter().map(|(word, _)| *word));
            let help = near.map(|near| format!("did you mean \"{near}\"?"));
            problems.push(self.wrong(key, &format!("must be one of {}", list.join(", ")), help.as_deref()));
        }
        found.map(|(_, value)| *value)
    }

    pub(super) fn flag(&self, key: &str, problems: &mut Vec<Problem>) -> Option<bool> {
        match self.get(key)?.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => {
                problems.push(self.wrong(key, "must be true or false, without quotes", None));
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn whole(
        &self,
        key: &str,
        bounds: std::ops::RangeInclusive<u64>,
        problems: &mut Vec<Problem>,
    ) -> Option<u64> {
        let value = self.get(key)?;
        let number = integer(value.get_ref()).and_then(|n| u64::try_from(n).ok());
        let fits = number.filter(|n| bounds.contains(n));
        if fits.is_none() {
            let rule = format!("must be a whole number from {} to {}", bounds.start(), bounds.end());
            problems.push(self.wrong(key, &rule, None));
        }
        fits
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str, max: usize, problems: &mut Vec<Problem>) -> Option<Vec<String>> {
        let value = self.get(key)?;
        let items = value.get_ref().as_array().map(|items| {
            let text = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
                DeValue::String(text) if is_text(text, max) => Some(text.to_string()),
                _ => None,
            };
            items.iter().map(text).collect::<Option<Vec<_>>>()
        });
        let texts = items.flatten();
        if texts.is_none() {
            problems.push(self.wrong(key, "must be a list of texts", None));
        }
        texts
    }

    /// Any value, as JSON; dates become text.
    pub(super) fn json(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Json> {
        let value = self.get(key)?;
        let json = json(value.get_ref(), 8);
        if json.is_none() {
            problems.push(self.wrong(key, "must be a finite value that is not nested deeply", None));
        }
        json
    }

    /// A table, with the keys that it may have.
    pub(super) fn table(
        &self,
        key: &str,
        known: &[&'static str],
        problems: &mut Vec<Problem>,
    ) -> Option<Keys<'t>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Table(table) => {
                let path = join(&self.path, key);
                Some(Keys::open(self.source, path, value.span().start, table, known, problems))
            }
            _ => {
                problems.push(self.wrong(key, "must be a table", None));
                None
            }
        }
    }

    /// The entries of a table whose keys the author chose.
    pub(super) fn chosen(&self, key: &str, problems: &mut Vec<Problem>) -> Vec<Chosen<'t>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Table(table) = value.get_ref() else {
            problems.push(self.wrong(key, "must be a table", None));
            return Vec::new();
        };
        let path = join(&self.path, key);
        let chosen = |(name, value): (&Spanned<_>, &'t Spanned<DeValue<'t>>)| {
            let name: &std::borrow::Cow<'t, str> = name.get_ref();
            Chosen { source: self.source, path: join(&path, name), name: name.to_string(), value }
        };
        table.iter().map(|(name, value)| chosen((name, value))).collect()
    }

    fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }
}

/// A key that the author chose, and its value.
pub(super) struct Chosen<'t> {
    source: &'t Source<'t>,
    path: String,
    pub(super) name: String,
    value: &'t Spanned<DeValue<'t>>,
}

impl<'t> Chosen<'t> {
    pub(super) fn place(&self) -> Place {
        self.source.at(self.value.span().start)
    }

    /// A problem with it.
    pub(super) fn wrong(&self, rule: &str) -> Problem {
        Problem { place: self.place(), message: format!("`{}` {rule}", shown(&self.path)), help: None }
    }

    /// Its value as a table.
    pub(super) fn table(&self, known: &[&'static str], problems: &mut Vec<Problem>) -> Option<Keys<'t>> {
        match self.value.get_ref() {
            DeValue::Table(table) => {
                let at = self.value.span().start;
                Some(Keys::open(self.source, self.path.clone(), at, table, known, problems))
            }
            _ => {
                problems.push(self.wrong("must be a table"));
                None
            }
        }
    }

    /// Its value as a text.
    pub(super) fn text(&self, max: usize) -> Option<String> {
        match self.value.get_ref() {
            DeValue::String(text) if is_text(text, max) => Some(text.to_string()),
            _ => None,
        }
    }
}

/// Names of queries, parameters and entities.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// `find_customers` as `Find customers`.
pub(super) fn title_of(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).map(|c| if c == '_' { ' ' } else { c }).collect()
}

fn is_text(text: &str, max: usize) -> bool {
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t' | '\r');
    !text.trim().is_empty() && text.chars().count() <= max && text.chars().all(plain)
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A TOML value as JSON, `depth` levels deep at most; dates and times become text.
fn json(value: &DeValue<'_>, depth: u8) -> Option<Json> {
    let below = depth.checked_sub(1)?;
    Some(match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Integer(_) => Json::from(integer(value)?),
        DeValue::Float(float) => {
            let number: f64 = float.as_str().replace('_', "").parse().ok()?;
            Json::Number(serde_json::Number::from_f64(number)?)
        }
        DeValue::Boolean(flag) => Json::from(*flag),
        DeValue::Datetime(datetime) => Json::from(datetime.to_string()),
        DeValue::Array(items) => {
            Json::Array(items.iter().map(|item| json(item.get_ref(), below)).collect::<Option<_>>()?)
        }
        DeValue::Table(members) => {
            let pair = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let key: &std::borrow::Cow<'_, str> = key.get_ref();
                Some((key.to_string(), json(value.get_ref(), below)?))
            };
            Json::Object(members.iter().map(|(key, value)| pair((key, value))).collect::<Option<_>>()?)
        }
    })
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
