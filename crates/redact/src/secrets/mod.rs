//! Finds known secrets, and their usual encodings, in one pass over a text.
//!
//! What it cannot do: a secret that is split over two strings, reversed, or encoded in two layers is not found. Known
//! secrets are the last net; that a tool cannot read them in the first place is the first.

mod forms;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};
use zeroize::Zeroizing;

use crate::neutral;

/// The shortest value that is matched: anything shorter would be found in ordinary text.
pub const MIN_SECRET_BYTES: usize = 8;

/// Known secrets, ready to be found in text. Built once, then read-only.
///
/// Letter case is ignored throughout: hex and percent-encoding are written in either case, and a password in capitals
/// is still a password. The values are wiped from memory once the set is built; what stays is the search automaton,
/// which spells out every form as its transitions and cannot be wiped. `Debug` shows names alone.
#[derive(Default)]
pub struct SecretSet {
    automaton: Option<AhoCorasick>,
    /// Index of the secret that each pattern of the automaton is a form of.
    owners: Vec<usize>,
    names: Vec<String>,
    /// `[redacted:NAME]`, by secret.
    placeholders: Vec<String>,
}

/// Bytes `start..end` of a text hold a secret. Spans come in order and never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span<'s> {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) placeholder: &'s str,
}

/// Secrets that cannot be guarded, each with its reason; values are never part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct RefusedSecrets(pub Vec<RefusedSecret>);

/// One secret that cannot be guarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("secret `{name}` {refusal}")]
pub struct RefusedSecret {
    /// The secret's name, never its value.
    pub name: String,
    /// Why it was refused.
    pub refusal: Refusal,
}

/// Why a secret was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fewer than [`MIN_SECRET_BYTES`] visible bytes.
    #[error("is shorter than {MIN_SECRET_BYTES} bytes, too short to be found safely in a result")]
    TooShort,
    /// The placeholder which would take its place would show it.
    #[error("has a value that is part of `[redacted:NAME]`; choose another value or name")]
    InPlaceholder,
    /// All forms together are more than the search can hold.
    #[error("makes the list of secrets too long to search for")]
    TooMany,
}

impl SecretSet {
    /// A set of `(name, value)`. The names appear in results, so they must not be confidential.
    ///
    /// # Errors
    /// Names every value that cannot be guarded: too short, or contained in a placeholder.
    pub fn new<N, V>(secrets: impl IntoIterator<Item = (N, V)>) -> Result<Self, RefusedSecrets>
    where
        N: Into<String>,
        V: Into<String>,
    {
        // MUTATE(K2-short): short values are matched, and ordinary text with them
        Self::build(secrets, MIN_SECRET_BYTES)
    }

    /// As [`SecretSet::new`], with values of any length but zero: ordinary text that happens to hold one is redacted
    /// too, and what is left around it may betray the value.
    ///
    /// # Errors
    /// Names every empty value and every value contained in a placeholder.
    pub fn danger_any_length<N, V>(secrets: impl IntoIterator<Item = (N, V)>) -> Result<Self, RefusedSecrets>
    where
        N: Into<String>,
        V: Into<String>,
    {
        Self::build(secrets, 1)
    }

    /// The number of secrets.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no secret to look for.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// `text` with every form of every secret replaced by `[redacted:NAME]`. Borrowed when there was none.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let spans = self.spans(text);
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = 0;
        for span in spans {
            out.push_str(text.get(rest..span.start).unwrap_or_default());
            out.push_str(span.placeholder);
            rest = span.end;
        }
        out.push_str(text.get(rest..).unwrap_or_default());
        Cow::Owned(out)
    }

    /// Where secrets are. Forms that overlap become one span, named after the longest, so that nothing of either is
    /// left over.
    pub(crate) fn spans(&self, text: &str) -> Vec<Span<'_>> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        // Most cells of a result are shorter than any secret, and most texts hold none: one match is found faster than all.
        if text.len() < automaton.min_pattern_len() || !automaton.is_match(text) {
            return Vec::new();
        }
        let mut found: Vec<(usize, usize, usize)> = automaton
            .find_overlapping_iter(text)
            .map(|m| (m.start(), m.end(), m.pattern().as_usize()))
            .filter(|(start, end, _)| text.is_char_boundary(*start) && text.is_char_boundary(*end))
            .collect();
        found.sort_by_key(|(start, end, _)| (*start, std::cmp::Reverse(*end)));

        let mut spans: Vec<Span<'_>> = Vec::new();
        let mut longest = 0;
        for (start, end, pattern) in found {
            let placeholder = self.placeholder(pattern);
            match spans.last_mut() {
                Some(last) if start < last.end => {
                    last.end = last.end.max(end);
                    if end - start > longest {
                        longest = end - start;
                        last.placeholder = placeholder;
                    }
                }
                _ => {
                    longest = end - start;
                    spans.push(Span { start, end, placeholder });
                }
            }
        }
        spans
    }

    fn build<N, V>(secrets: impl IntoIterator<Item = (N, V)>, min: usize) -> Result<Self, RefusedSecrets>
    where
        N: Into<String>,
        V: Into<String>,
    {
        let mut refused = Vec::new();
        let (mut names, mut owners, mut patterns) = (Vec::new(), Vec::new(), Vec::<Zeroizing<String>>::new());
        for (name, value) in secrets {
            let (name, value) =
                (neutral::neutral_line(&name.into()).into_owned(), Zeroizing::new(value.into()));
            // The text is searched without its invisible characters, so the value is taken without them as well.
            let visible = Zeroizing::new(neutral::Visible::of(&value).into_text());
            if visible.split_whitespace().map(str::len).sum::<usize>() < min {
                refused.push(RefusedSecret { name, refusal: Refusal::TooShort });
                continue;
            }
            let forms = forms::all(&visible);
            owners.extend(std::iter::repeat_n(names.len(), forms.len()));
            patterns.extend(forms);
            names.push(name);
        }
        let placeholders: Vec<String> = names.iter().map(|name| format!("[redacted:{name}]")).collect();
        let automaton = match automaton(&patterns) {
            Ok(automaton) => automaton,
            Err(()) => {
                let name = names.pop().unwrap_or_default();
                return Err(RefusedSecrets(vec![RefusedSecret { name, refusal: Refusal::TooMany }]));
            }
        };
        let set = Self { automaton, owners, names, placeholders };
        refused.extend(set.shown_by_placeholders());
        if refused.is_empty() { Ok(set) } else { Err(RefusedSecrets(refused)) }
    }

    /// Secrets whose value a placeholder would print again.
    fn shown_by_placeholders(&self) -> Vec<RefusedSecret> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let mut shown: Vec<usize> = self
            .placeholders
            .iter()
            .flat_map(|placeholder| automaton.find_overlapping_iter(placeholder.as_str()))
            .filter_map(|m| self.owners.get(m.pattern().as_usize()).copied())
            .collect();
        shown.sort_unstable();
        shown.dedup();
        shown
            .into_iter()
            .filter_map(|secret| self.names.get(secret))
            .map(|name| RefusedSecret { name: name.clone(), refusal: Refusal::InPlaceholder })
            .collect()
    }

    fn placeholder(&self, pattern: usize) -> &str {
        self.owners
            .get(pattern)
            .and_then(|secret| self.placeholders.get(*secret))
            .map_or("[redacted]", String::as_str)
    }
}

fn automaton(patterns: &[Zeroizing<String>]) -> Result<Option<AhoCorasick>, ()> {
    if patterns.is_empty() {
        return Ok(None);
    }
    AhoCorasick::builder()
        // MUTATE(K2-case): hex in the other case is not found
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .build(patterns.iter().map(|pattern| pattern.as_bytes()))
        .map(Some)
        .map_err(drop)
}

impl fmt::Debug for SecretSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretSet").field("names", &self.names).finish_non_exhaustive()
    }
}
