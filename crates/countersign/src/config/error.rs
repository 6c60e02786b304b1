//! What is wrong with a configuration: every problem at once, each with its place, its key, the rule, and a suggestion.

use std::{fmt, path::PathBuf};

/// One problem. Values are never quoted, since the wrong place may hold a secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Problem {
    /// Line and column, counted from 1; none when it is about the file as a whole.
    pub(crate) place: Option<(usize, usize)>,
    /// What is wrong, naming the key and the rule.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: Option<String>,
}

/// All problems of a file, in the order in which they appear.
#[derive(Debug)]
pub(crate) struct ConfigErrors {
    pub(crate) file: PathBuf,
    pub(crate) problems: Vec<Problem>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let file = self.file.display();
        write!(f, "{count} problem{} in the configuration", if count == 1 { "" } else { "s" })?;
        for problem in &self.problems {
            match problem.place {
                Some((line, column)) => write!(f, "\n{file}:{line}:{column}: {}", problem.message)?,
                None => write!(f, "\n{file}: {}", problem.message)?,
            }
            if let Some(help) = &problem.help {
                write!(f, "\n  help: {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Turns byte offsets into lines and columns.
pub(super) struct Places<'t> {
    text: &'t str,
}

impl<'t> Places<'t> {
    pub(super) fn of(text: &'t str) -> Places<'t> {
        Places { text }
    }

    /// Line and column (in characters) of a byte, counted from 1.
    pub(super) fn at(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        (before.matches('\n').count() + 1, column + 1)
    }
}

/// The longest word for which something near is looked for, in bytes.
const MAX_WORD: usize = 64;

/// The candidate that was most likely meant, if one is close enough.
pub(super) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    // Nobody means a key of that length, and the comparison takes its time.
    if word.len() > MAX_WORD {
        return None;
    }
    let scored = candidates.map(|candidate| (distance(word, candidate), candidate));
    let (far, best) = scored.min()?;
    // A third of the letters may differ, and one in any case.
    (far <= (best.chars().count() / 3).max(1)).then_some(best)
}

/// Damerau-Levenshtein distance (optimal string alignment), in characters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    let cell = |rows: &Vec<Vec<usize>>, i: usize, j: usize| rows.get(i).and_then(|row| row.get(j)).copied();
    for (i, x) in a.iter().enumerate() {
        rows.push(vec![i + 1]);
        for (j, y) in b.iter().enumerate() {
            let change = cell(&rows, i, j).unwrap_or(0) + usize::from(x != y);
            let remove = cell(&rows, i, j + 1).unwrap_or(0) + 1;
            let insert = cell(&rows, i + 1, j).unwrap_or(0) + 1;
            let mut best = change.min(remove).min(insert);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(cell(&rows, i - 1, j - 1).unwrap_or(0) + 1);
            }
            if let Some(row) = rows.last_mut() {
                row.push(best);
            }
        }
    }
    cell(&rows, a.len(), b.len()).unwrap_or(usize::MAX)
}
