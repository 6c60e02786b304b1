//! Why policies were not accepted: all problems at once, each with file, line, column, the line itself and a hint.

use std::fmt;

use miette::Diagnostic;

/// Where in a file a problem is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters of the line are meant; at least 1.
    pub width: usize,
    /// The line's text.
    pub excerpt: String,
}

impl Place {
    /// The place of `len` bytes at byte `offset` of `text`; cut to the first line. `None` if that is not within the text.
    pub(crate) fn locate(text: &str, offset: usize, len: usize) -> Option<Place> {
        let before = text.get(..offset)?;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let excerpt = text.get(start..)?.lines().next().unwrap_or_default().to_owned();
        let column = before.get(start..)?.chars().count() + 1;
        let end = offset.saturating_add(len);
        let marked = text.get(offset..end).unwrap_or_default().lines().next().unwrap_or_default();
        Some(Place {
            line: before.matches('\n').count() + 1,
            column,
            width: marked.chars().count().max(1),
            excerpt,
        })
    }
}

/// One problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyError {
    /// The file's name, or the directory's.
    pub file: String,
    /// Where in the file, if it can be said.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl PolicyError {
    /// A problem with a file as a whole.
    pub(crate) fn whole(file: &str, message: impl Into<String>) -> PolicyError {
        PolicyError { file: file.to_owned(), place: None, message: message.into(), help: None }
    }

    /// A problem at `span` (offset and length in bytes) of a file's text.
    pub(crate) fn at(
        file: &str,
        text: &str,
        span: Option<(usize, usize)>,
        message: impl Into<String>,
    ) -> PolicyError {
        let place = span.and_then(|(offset, len)| Place::locate(text, offset, len));
        PolicyError { file: file.to_owned(), place, message: message.into(), help: None }
    }

    /// Adds a hint.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> PolicyError {
        self.help = Some(help.into());
        self
    }

    /// What Cedar found in a file.
    pub(crate) fn cedar(file: &str, text: &str, found: &dyn Diagnostic) -> PolicyError {
        let label = found.labels().and_then(|mut labels| labels.next());
        let span = label.as_ref().map(|label| (label.offset(), label.len()));
        let mut error = PolicyError::at(file, text, span, found.to_string());
        error.help = found.help().map(|help| help.to_string()).or_else(|| label?.label().map(str::to_owned));
        error
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            None => write!(f, "{}: {}", self.file, self.message)?,
            Some(place) => {
                writeln!(f, "{}:{}:{}: {}", self.file, place.line, place.column, self.message)?;
                writeln!(f, "{:>5} | {}", place.line, place.excerpt)?;
                let indent = " ".repeat(place.column.saturating_sub(1));
                write!(f, "      | {indent}{}", "^".repeat(place.width))?;
            }
        }
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// All problems of a set of policies; never empty.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .errors.iter().map(PolicyError::to_string).collect::<Vec<_>>().join("\n"))]
pub struct PolicyErrors {
    /// In the order of files, and of places within a file.
    pub errors: Vec<PolicyError>,
}

impl From<PolicyError> for PolicyErrors {
    fn from(error: PolicyError) -> PolicyErrors {
        PolicyErrors { errors: vec![error] }
    }
}
