//! Makes characters visible that a reader cannot see but a terminal, a log or a model obeys.
//!
//! What is hidden is *shown*, as `\u{200b}`, rather than removed: the reader sees that something was there. Two things
//! are not spelled out, since they carry messages: the content of terminal escape sequences, and runs of more than
//! four hidden characters, of which the first and the number are shown. Text in any script, emoji included, stays
//! readable: the joiners and selectors that writing needs stay where it needs them.
//!
//! | kept | shown |
//! |---|---|
//! | newline, tab; a carriage return before a newline is dropped | other control characters (C0, C1, DEL, lone CR) |
//! | zero-width joiner and non-joiner between letters of scripts that join, and joiner between emoji | elsewhere, and all other zero-width characters |
//! | one variation selector after an emoji, a keycap or an ideograph | elsewhere |
//! | | bidi marks, embeddings, overrides and isolates; soft hyphen; BOM; fillers; line and paragraph separators; annotation; tag characters; private use; noncharacters |

mod classes;
mod escape;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt::Write as _;

use classes::Class;

/// A run of hidden characters longer than this is shown by its first and their number.
const MAX_SPELLED: usize = 4;

/// Whether newlines and tabs stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// They do: text for people and models.
    Lines,
    /// They are shown as `\n` and `\t`: one entry of a log.
    OneLine,
}

/// `text` with everything hidden made visible; newlines and tabs stay. Borrowed when nothing was hidden.
pub fn neutral(text: &str) -> Cow<'_, str> {
    rewrite(text, Layout::Lines)
}

/// As [`neutral`], on one line: newlines and tabs are shown as `\n` and `\t`. A backslash stays as it is, so the
/// answer is safe to read but cannot be turned back.
pub fn neutral_line(text: &str) -> Cow<'_, str> {
    rewrite(text, Layout::OneLine)
}

/// Whether every character of `text` is seen and stays: there is nothing to rewrite, and nothing that hides a secret.
pub(crate) fn is_plain(text: &str, layout: Layout) -> bool {
    is_printable_ascii(text, layout)
        || pieces(text).all(|(piece, class)| class == Class::Plain && stays(piece, class, layout))
}

fn is_printable_ascii(text: &str, layout: Layout) -> bool {
    // Blocks without an early exit are compiled to vector instructions; the loop between them still ends early.
    let plain = |byte: u8| {
        (b' '..=b'~').contains(&byte) || (layout == Layout::Lines && matches!(byte, b'\n' | b'\t'))
    };
    text.as_bytes().chunks(64).all(|block| block.iter().fold(true, |all, byte| all & plain(*byte)))
}

/// Appends the neutral form of `text` to `out`.
pub(crate) fn write(out: &mut String, text: &str, layout: Layout) {
    let mut run = Run::default();
    for (piece, class) in pieces(text) {
        match class {
            Class::Plain | Class::Joining => {
                run.end(out);
                write_kept(out, piece, layout);
            }
            Class::Dropped => {}
            // MUTATE(K4-neutral): hidden characters pass as they are
            Class::Hidden => run.push(out, piece),
        }
    }
    run.end(out);
}

/// A text without its invisible characters, and the way back: what secrets are searched in.
pub(crate) struct Visible {
    text: String,
    /// Where each stretch starts, in the visible text and in the source.
    stretches: Vec<(usize, usize)>,
}

impl Visible {
    pub(crate) fn of(source: &str) -> Self {
        let mut text = String::with_capacity(source.len());
        let mut stretches = Vec::new();
        let mut at = 0;
        let mut broken = true;
        for (piece, class) in pieces(source) {
            if class == Class::Plain {
                if broken {
                    stretches.push((text.len(), at));
                }
                text.push_str(piece);
            }
            broken = class != Class::Plain;
            at += piece.len();
        }
        Self { text, stretches }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// The bytes of the source from the first to the last character of `start..end`, with what is hidden between.
    pub(crate) fn to_source(&self, start: usize, end: usize) -> (usize, usize) {
        (self.source_of(start), self.source_of(end.saturating_sub(1)) + 1)
    }

    fn source_of(&self, at: usize) -> usize {
        let next = self.stretches.partition_point(|(visible, _)| *visible <= at);
        let (visible, source) =
            next.checked_sub(1).and_then(|i| self.stretches.get(i)).copied().unwrap_or_default();
        source + (at - visible)
    }
}

fn rewrite(text: &str, layout: Layout) -> Cow<'_, str> {
    if is_printable_ascii(text, layout) || pieces(text).all(|(piece, class)| stays(piece, class, layout)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    write(&mut out, text, layout);
    Cow::Owned(out)
}

fn stays(piece: &str, class: Class, layout: Layout) -> bool {
    match class {
        Class::Plain => layout == Layout::Lines || !matches!(piece, "\n" | "\t"),
        Class::Joining => true,
        Class::Dropped | Class::Hidden => false,
    }
}

fn write_kept(out: &mut String, piece: &str, layout: Layout) {
    match piece {
        // MUTATE(L7-line): a newline in a log line starts a new one
        "\n" if layout == Layout::OneLine => out.push_str("\\n"),
        "\t" if layout == Layout::OneLine => out.push_str("\\t"),
        kept => out.push_str(kept),
    }
}

/// Hidden characters in a row, not yet written.
#[derive(Default)]
struct Run {
    first: Option<char>,
    length: usize,
    /// Where in the output the run began, so that a run that grows too long can be shortened.
    from: usize,
}

impl Run {
    fn push(&mut self, out: &mut String, piece: &str) {
        // A terminal escape sequence is one piece; its first character stands for it.
        let Some(c) = piece.chars().next() else { return };
        if self.first.is_none() {
            *self = Self { first: Some(c), length: 0, from: out.len() };
        }
        self.length += 1;
        if self.length <= MAX_SPELLED {
            write_escape(out, c);
        }
    }

    fn end(&mut self, out: &mut String) {
        if let (Some(first), true) = (self.first, self.length > MAX_SPELLED) {
            out.truncate(self.from);
            write_escape(out, first);
            let _ = write!(out, "[{} more hidden]", self.length - 1);
        }
        *self = Self::default();
    }
}

fn write_escape(out: &mut String, c: char) {
    let _ = match c {
        '\r' => out.write_str("\\r"),
        c => write!(out, "\\u{{{:x}}}", u32::from(c)),
    };
}

/// `text` cut into single characters and whole escape sequences, each with its class.
fn pieces(text: &str) -> impl Iterator<Item = (&str, Class)> {
    let mut rest = text;
    let mut before = None;
    std::iter::from_fn(move || {
        let c = rest.chars().next()?;
        let sequence = if c.is_control() { escape::sequence_length(rest) } else { None };
        let length = sequence.unwrap_or(c.len_utf8());
        let (piece, after) = rest.split_at_checked(length)?;
        let class =
            if length > c.len_utf8() { Class::Hidden } else { classes::of(before, c, after.chars().next()) };
        rest = after;
        // What is not shown as it is gives no context, so that the neutral form is neutral when read again.
        before = matches!(class, Class::Plain | Class::Joining).then_some(c);
        Some((piece, class))
    })
}
