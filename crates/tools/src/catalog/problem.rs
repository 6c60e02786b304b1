//! What is wrong with a catalog: every problem at once, each with file, line, key, rule, and a suggestion.

use std::{fmt, sync::Arc};

/// A place in a catalog file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The file's name in the catalog's directory.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One problem. Values are never quoted, only keys and names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong, naming the key and the rule.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// All problems of a catalog, by file and place; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CatalogErrors {
    /// The problems.
    pub problems: Vec<Problem>,
}

impl CatalogErrors {
    /// The value, if there are no problems; else the problems in their order.
    pub(super) fn unless<T>(value: T, mut problems: Vec<Problem>) -> Result<T, CatalogErrors> {
        if problems.is_empty() {
            return Ok(value);
        }
        problems.sort();
        problems.dedup();
        Err(CatalogErrors { problems })
    }
}

impl fmt::Display for CatalogErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "{count} problem{} in the catalog", if count == 1 { "" } else { "s" })?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n{problem}"))
    }
}

impl std::error::Error for CatalogErrors {}

/// One file under the eyes of the reader: turns byte offsets into places.
pub(super) struct Source<'t> {
    pub(super) file: Arc<str>,
    pub(super) text: &'t str,
}

impl Source<'_> {
    /// The place of a byte.
    pub(super) fn at(&self, byte: usize) -> Place {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Place { file: Arc::clone(&self.file), line: before.matches('\n').count() + 1, column }
    }
}

/// A key of the file as one short, plain line: quoted keys may hold anything.
pub(super) fn shown(key: &str) -> String {
    key.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(100).collect()
}

/// The candidate that was most likely meant, if one is close enough: a third of its letters may differ, and one in any case.
pub(super) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let scored = candidates.map(|candidate| (distance(word, candidate), candidate));
    let (far, best) = scored.min()?;
    (far <= (best.chars().count() / 3).max(1)).then_some(best)
}

/// Levenshtein distance in characters; words longer than 64 are far from everything.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for ((y, change), remove) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            let insert = next.last().copied().unwrap_or(0) + 1;
            next.push((change + usize::from(x != y)).min(remove + 1).min(insert));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}
