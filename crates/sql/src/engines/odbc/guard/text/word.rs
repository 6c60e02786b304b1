//! Words: what may stand where, so that no dialect takes one for the beginning of another statement.

use super::{
    super::{
        lexical::is_word,
        words::{self, Word},
    },
    Before, Reader, ambiguous, limits,
};
use crate::{Refusal, Rule};

impl Reader<'_> {
    pub(super) fn word(&mut self) -> Result<(), Refusal> {
        let length = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let text = self.rest.get(..length).unwrap_or_default();
        let after = self.rest.get(length..).unwrap_or_default();
        // Letters of other alphabets, and their spaces, are folded and read differently.
        if !text.is_ascii() {
            return Err(ambiguous("names that are not plain ASCII must be quoted"));
        }
        let word = text.to_ascii_uppercase();
        if after.starts_with(['"', '`', '#']) || (after.starts_with("&'") || after.starts_with("&\"")) {
            return Err(ambiguous("a word touches a quote that is read differently by dialects"));
        }
        if after.starts_with('\'') && !words::PREFIXES.contains(&word.as_str()) {
            return Err(ambiguous("strings with this prefix are not read alike by all dialects"));
        }
        if self.before != Before::Dot {
            self.judge_word(&word, after)?;
        } else if matches!(word.as_str(), "NEXTVAL" | "CURRVAL") {
            return Err(Refusal::new(Rule::ForbiddenAction, "a query may not advance a sequence"));
        }
        let opens = self.before != Before::Dot && words::OPENERS.contains(&word.as_str());
        if self.before != Before::Dot && words::OPERATORS.contains(&word.as_str()) {
            self.count_operator()?;
        }
        if self.before != Before::Dot && matches!(word.as_str(), "JOIN" | "APPLY") {
            self.joins += 1;
            if self.joins > limits::JOINS {
                return Err(Refusal::new(Rule::TooComplex, "the statement has too many joins"));
            }
        }
        self.before = if opens { Before::Open } else { Before::Ends };
        self.word = Some(word);
        self.copy(length)
    }

    /// INVARIANT: no word that begins a statement stands where a statement could begin: SQL Server needs no semicolon between two.
    fn judge_word(&self, word: &str, after: &str) -> Result<(), Refusal> {
        let call = after.trim_start().starts_with('(');
        let before = self.word.as_deref();
        if before == Some("FOR") && matches!(word, "UPDATE" | "SHARE" | "NO" | "KEY") {
            return Err(Refusal::new(Rule::RowLock, "a query may not lock rows"));
        }
        if matches!(before, Some("NEXT" | "PREVIOUS")) && matches!(word, "VALUE" | "VAL") {
            return Err(Refusal::new(Rule::ForbiddenAction, "a query may not advance a sequence"));
        }
        let refused = match words::kind(word) {
            Word::Plain => false,
            Word::FunctionToo if call && self.before == Before::Open => false,
            Word::Write | Word::Insert if self.write && self.before == Before::Start => false,
            Word::Insert if call && self.before == Before::Open => false,
            Word::WriteClause if self.write => false,
            Word::Soft => self.before == Before::Ends,
            Word::Hard | Word::Write | Word::Insert | Word::WriteClause | Word::FunctionToo => true,
        };
        // MUTATE(A3-odbc-words): a second statement starts without a semicolon
        if refused {
            let (rule, message) = match word {
                "INTO" => (Rule::SelectInto, "`INTO` writes".to_owned()),
                _ if self.before == Before::Start => {
                    (Rule::NotAQuery, "only SELECT, VALUES and WITH … SELECT are allowed".to_owned())
                }
                _ => (
                    Rule::ForbiddenAction,
                    format!("`{word}` begins another statement; a name of this kind must be quoted"),
                ),
            };
            return Err(Refusal::new(rule, message));
        }
        Ok(())
    }
}
