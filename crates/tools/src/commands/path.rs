//! A path that a caller names for a command: below the command's root, and never read as an option.
//!
//! The kernel is the boundary: the process sees the root and nothing else of the machine, so that no link and no race leads out of it.
//! What is refused here is refused early and by name.

use crate::files::RelPath;

/// Characters that separate or substitute commands in a shell. No shell reads them here; a path that holds them is an attempt.
const SHELL: &[&str] = &[";", "&", "|", "`", "<", ">", "$(", "${"];

/// Characters that look like `-`. Whoever types one means an option, or wants people who read the call to think so.
const DASHES: &[char] = &[
    '\u{58a}', '\u{1806}', '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}',
    '\u{2043}', '\u{2212}', '\u{2796}', '\u{2e3a}', '\u{2e3b}', '\u{fe58}', '\u{fe63}', '\u{ff0d}',
];

/// The path as a program gets it: `./` in front, so that it is neither an option nor a pathspec with magic.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn contained(text: &str) -> Result<String, &'static str> {
    if text.starts_with('~') {
        return Err("must be relative to the command's root");
    }
    // MUTATE(D1-dash): what people read as an option passes for a path
    if text.starts_with(|c: char| c.is_whitespace() || DASHES.contains(&c)) {
        return Err("must not begin with a space, or with a character that looks like the dash of an option");
    }
    if SHELL.iter().any(|mark| text.contains(mark)) {
        return Err("must hold nothing that a shell would run");
    }
    // MUTATE(D1-path): a path may lead anywhere
    let path = RelPath::parse(text).map_err(|rule| rule.rule())?;
    Ok(if path.is_root() { ".".to_owned() } else { format!("./{path}") })
}
