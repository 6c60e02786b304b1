//! Paths as callers give them: the first wall, which only reads the text.
//!
//! It decides nothing about where a path leads; [`super::root`] lets the kernel do that. It refuses what no honest caller needs and what
//! people could not read in a request for approval: parent components, control and invisible characters, the special names of other
//! systems. A name is otherwise taken as it stands: `%2e%2e`, `~` and `*` are names like any other, never decoded or expanded.

use std::{collections::VecDeque, fmt};

use countersign_redact::neutral::neutral_line;

#[cfg(test)]
mod tests;

/// The longest path, in bytes.
const MAX_PATH: usize = 4096;
/// The longest name of one file or directory, in bytes.
const MAX_NAME: usize = 255;
/// How names of our own unfinished files begin; callers can neither name nor see them.
pub(super) const UNFINISHED: &str = ".countersign-unfinished-";

/// A path below a root that has passed the first wall: names joined by `/`, without empty ones, `.` or `..`. The empty path is the root
/// itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct RelPath(String);

/// Why a path is not even tried: the rule that it breaks, to follow "the path".
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct PathRule(pub(super) &'static str);

impl PathRule {
    /// The rule, to follow "the path".
    pub fn rule(self) -> &'static str {
        self.0
    }
}

impl RelPath {
    /// Reads a relative path.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str) -> Result<RelPath, PathRule> {
        check_text(text)?;
        if text.starts_with('/') {
            return Err(PathRule("must be relative to its root"));
        }
        RelPath::from_names(names(text))
    }

    /// From names that come after each other; each is checked.
    pub(super) fn from_names<'n>(all: impl IntoIterator<Item = &'n str>) -> Result<RelPath, PathRule> {
        let mut path = RelPath::default();
        for name in all {
            path = path.child(name)?;
        }
        Ok(path)
    }

    /// The path of something in this directory.
    pub(super) fn child(&self, name: &str) -> Result<RelPath, PathRule> {
        check_name(name)?;
        let path = if self.0.is_empty() { name.to_owned() } else { format!("{}/{name}", self.0) };
        if path.len() > MAX_PATH { Err(TOO_LONG) } else { Ok(RelPath(path)) }
    }

    /// The names, joined by `/`; empty for the root itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory that holds it, and its name there; none for the root itself.
    pub fn split(&self) -> Option<(RelPath, &str)> {
        match self.0.rsplit_once('/') {
            Some((parent, name)) => Some((RelPath(parent.to_owned()), name)),
            None if self.0.is_empty() => None,
            None => Some((RelPath::default(), &self.0)),
        }
    }

    /// The names, from the root down.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        names(&self.0)
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

/// What the rest of an absolute path is, if it begins with these names.
pub(super) fn below(text: &str, prefix: &[String]) -> Result<Option<RelPath>, PathRule> {
    check_text(text)?;
    let mut rest: VecDeque<&str> = names(text).collect();
    for expected in prefix {
        if rest.pop_front() != Some(expected) {
            return Ok(None);
        }
    }
    RelPath::from_names(rest).map(Some)
}

const TOO_LONG: PathRule = PathRule("must be at most 4096 bytes long, and each name in it at most 255");

/// The parts of a path that name something.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('/').filter(|name| !matches!(*name, "" | "."))
}

/// What holds for a path as a whole.
fn check_text(text: &str) -> Result<(), PathRule> {
    if text.is_empty() {
        return Err(PathRule("must not be empty"));
    }
    if text.len() > MAX_PATH { Err(TOO_LONG) } else { Ok(()) }
}

/// What holds for one name, also for one that a symbolic link leads to.
fn check_name(name: &str) -> Result<(), PathRule> {
    // MUTATE(C1-parent): parent components are handed to the kernel
    if name == ".." {
        return Err(PathRule("must not hold the parent component `..`"));
    }
    if name.len() > MAX_NAME {
        return Err(TOO_LONG);
    }
    if name.is_empty() || name == "." || name.contains('/') {
        return Err(PathRule("must name something"));
    }
    // MUTATE(C2-control): names with NUL, control and invisible characters are tried
    if name.chars().any(char::is_control) || neutral_line(name) != name {
        return Err(PathRule("must hold no control and no invisible characters"));
    }
    if name.starts_with(UNFINISHED) {
        return Err(PathRule("must not name a file that is being written"));
    }
    check_elsewhere(name)
}

/// Names that mean something else on other systems, where the same folder may be shared: backslashes, drives, devices, streams, short
/// names, and trailing spaces.
fn check_elsewhere(name: &str) -> Result<(), PathRule> {
    // MUTATE(C2-windows): the special names of other systems are tried
    let special = name.contains('\\')
        || name.contains("::$")
        || is_drive(name)
        || is_device(name)
        || is_short_name(name)
        || name.ends_with(' ');
    match special {
        true => Err(PathRule(
            "must hold no backslash, drive, device name (such as `CON` or `COM1`), stream, short name (`~1`) or trailing space",
        )),
        false => Ok(()),
    }
}

/// `C:` and anything after it.
fn is_drive(name: &str) -> bool {
    matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// A device of DOS, with any extension.
fn is_device(name: &str) -> bool {
    let stem = name.split(['.', ':']).next().unwrap_or_default().trim_end_matches(' ');
    let plain = ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"];
    if plain.iter().any(|device| stem.eq_ignore_ascii_case(device)) {
        return true;
    }
    let numbered = |port: &str| {
        stem.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(port))
            && matches!(
                stem.get(3..),
                Some("0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
            )
    };
    numbered("com") || numbered("lpt")
}

/// `REPORT~1.TXT`: at most eight characters that end in `~` and digits, and a short extension.
fn is_short_name(name: &str) -> bool {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let Some((head, digits)) = stem.rsplit_once('~') else { return false };
    stem.len() <= 8
        && extension.len() <= 3
        && !head.is_empty()
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
}
