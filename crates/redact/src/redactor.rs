//! The one object that callers hold: neutralising and secrets together, in the order that neither can defeat the other.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::neutral::{self, Layout};
use crate::secrets::SecretSet;

/// Cleans text before it leaves the process. Cloning is cheap, and all clones see a [`Redactor::replace`].
///
/// Order: secrets are looked for in the text *as if it had no invisible characters*, then what is left is
/// neutralised. So a zero-width character or a terminal escape inside a secret hides it from nobody, and the escapes
/// that neutralising writes cannot split a secret.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Arc<RwLock<Arc<SecretSet>>>,
}

impl Redactor {
    /// A redactor for `secrets`. `Redactor::default()` knows no secret and only neutralises.
    pub fn new(secrets: SecretSet) -> Self {
        Self { secrets: Arc::new(RwLock::new(Arc::new(secrets))) }
    }

    /// Puts another set in place, for every clone, from the next call on (rotation without restart).
    pub fn replace(&self, secrets: SecretSet) {
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(secrets);
    }

    /// `text` with known secrets replaced by `[redacted:NAME]` and invisible characters shown; lines stay lines.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.clean(text, Layout::Lines)
    }

    /// As [`Redactor::text`], on one line: a newline in `text` is shown as `\n`, so it cannot start a new log entry.
    pub fn line<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.clean(text, Layout::OneLine)
    }

    fn clean<'t>(&self, text: &'t str, layout: Layout) -> Cow<'t, str> {
        let secrets = self.current();
        if neutral::is_plain(text, layout) {
            return secrets.redact(text);
        }
        let visible = neutral::Visible::of(text);
        let mut out = String::with_capacity(text.len());
        let mut rest = 0;
        // MUTATE(K2-invisible): secrets are searched in the text with its invisible characters
        for span in secrets.spans(visible.text()) {
            let (start, end) = visible.to_source(span.start, span.end);
            neutral::write(&mut out, text.get(rest..start).unwrap_or_default(), layout);
            out.push_str(span.placeholder);
            rest = end;
        }
        neutral::write(&mut out, text.get(rest..).unwrap_or_default(), layout);
        // INVARIANT: no known form of a secret is in the answer, not even one that the visible escapes spell out.
        match secrets.redact(&out) {
            Cow::Borrowed(_) if out == text => Cow::Borrowed(text),
            Cow::Borrowed(_) => Cow::Owned(out),
            Cow::Owned(again) => Cow::Owned(again),
        }
    }

    fn current(&self) -> Arc<SecretSet> {
        // A writer only assigns a pointer, so a poisoned lock still guards a complete set.
        Arc::clone(&self.secrets.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("secrets", &self.current()).finish()
    }
}
