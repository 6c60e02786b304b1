//! The text of a statement, read as the strictest of all dialects would: what two dialects read differently is refused.
//!
//! A driver, its server and the parser each read the text by rules of their own: where strings end, what starts a comment, whether a word begins
//! another statement. This reader passes only text on whose parts all of them agree. It yields two texts: the one that runs, without
//! comments, and the one that is parsed, without ODBC's escapes.

mod word;

use super::{
    escape,
    lexical::{check_characters, extent, is_word, number_length},
    words,
};
use crate::{Dialect, Refusal, Rule};

/// A statement's text, read.
#[derive(Debug)]
pub(in crate::engines::odbc) struct Text {
    /// What is given to the driver.
    pub(in crate::engines::odbc) run: String,
    /// What is parsed: the same statement without escapes in braces.
    pub(super) parse: String,
    /// How many placeholders it has.
    pub(super) parameters: u32,
}

/// What a text may amount to.
pub(super) mod limits {
    /// Bytes.
    pub(crate) const TEXT: usize = 100 << 10;
    /// Parentheses within each other.
    pub(crate) const DEPTH: usize = 32;
    /// Operators and set operations: each is a level of the parsed tree.
    pub(crate) const OPERATORS: usize = 1_000;
    /// Joins: the parser takes some of them one within the other.
    pub(crate) const JOINS: usize = 100;
    /// Placeholders.
    pub(crate) const PARAMETERS: u32 = 1_000;
}

/// Reads a text. `write` says whether the words of an `INSERT`, `UPDATE` or `DELETE` may occur.
pub(super) fn read(sql: &str, dialect: Dialect, write: bool) -> Result<Text, Refusal> {
    if sql.len() > limits::TEXT {
        let message = format!("the statement is longer than {} bytes", limits::TEXT);
        return Err(Refusal::new(Rule::TooLong, message));
    }
    if sql.contains('\0') {
        return Err(Refusal::new(Rule::NulCharacter, "the statement contains a NUL character"));
    }
    let mut reader = Reader {
        rest: sql,
        dialect,
        write,
        run: String::with_capacity(sql.len()),
        parse: String::with_capacity(sql.len()),
        before: Before::Start,
        word: None,
        depth: 0,
        escapes: Vec::new(),
        operators: 0,
        joins: 0,
        parameters: 0,
        ended: false,
    };
    while let Some(next) = reader.rest.chars().next() {
        reader.token(next)?;
    }
    reader.end()
}

/// What stands before the next token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Before {
    /// Nothing.
    Start,
    /// Something that an operand follows.
    Open,
    /// Something that may end an expression: a statement could start after it.
    Ends,
    /// A dot: a name follows.
    Dot,
}

struct Reader<'a> {
    rest: &'a str,
    dialect: Dialect,
    write: bool,
    run: String,
    parse: String,
    before: Before,
    /// The last token, if it was a word, in capitals.
    word: Option<String>,
    depth: usize,
    /// Escapes that are open, and the depth of parentheses at which each was opened.
    escapes: Vec<(escape::Kind, usize)>,
    operators: usize,
    joins: usize,
    parameters: u32,
    /// Whether the final semicolon was read.
    ended: bool,
}

impl Reader<'_> {
    fn token(&mut self, next: char) -> Result<(), Refusal> {
        match next {
            ' ' | '\t' | '\n' => return self.copy(1),
            '\r' if self.rest.starts_with("\r\n") => return self.copy(2),
            '-' if self.rest.starts_with("--") => return self.line_comment(),
            '/' if self.rest.starts_with("/*") => return self.block_comment(),
            _ => {}
        }
        // MUTATE(A3-odbc-one): more than one statement runs
        self.single()?;
        match next {
            '\'' => self.literal(),
            '"' | '`' | '[' => self.quoted(next),
            '{' => self.open_escape(),
            '}' => self.close_escape(),
            ';' => {
                self.ended = true;
                self.skip(1);
                Ok(())
            }
            '?' => self.placeholder(),
            '0'..='9' => self.number(),
            'a'..='z' | 'A'..='Z' | '_' => self.word(),
            '(' | ')' => self.parenthesis(next),
            ',' => self.punctuation(1, Before::Open),
            '.' => self.punctuation(1, Before::Dot),
            ']' if self.dialect == Dialect::Postgres => self.punctuation(1, Before::Ends),
            _ => self.operator(),
        }
    }

    fn single(&self) -> Result<(), Refusal> {
        match self.ended {
            false => Ok(()),
            true => Err(Refusal::new(
                Rule::OneStatement,
                "the text holds more than one statement; only comments may follow the first",
            )),
        }
    }

    fn end(self) -> Result<Text, Refusal> {
        if self.before == Before::Start {
            return Err(Refusal::new(Rule::Empty, "the text holds no statement"));
        }
        if self.depth > 0 || !self.escapes.is_empty() {
            return Err(syntax("a parenthesis or brace is not closed"));
        }
        Ok(Text { run: self.run, parse: self.parse, parameters: self.parameters })
    }

    /// Takes `length` bytes off the front. INVARIANT: callers count whole characters that they have seen.
    fn skip(&mut self, length: usize) -> &str {
        let (head, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        head
    }

    /// Takes `length` bytes over into both texts.
    fn copy(&mut self, length: usize) -> Result<(), Refusal> {
        let (head, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.run.push_str(head);
        self.parse.push_str(head);
        self.rest = rest;
        Ok(())
    }

    fn punctuation(&mut self, length: usize, before: Before) -> Result<(), Refusal> {
        self.before = before;
        self.word = None;
        self.copy(length)
    }

    /// To the end of the line. INVARIANT: MySQL takes `--` for a comment only before white space; others always.
    fn line_comment(&mut self) -> Result<(), Refusal> {
        let after = self.rest.chars().nth(2);
        // MUTATE(A3-odbc-dashes): MySQL reads two minus signs where the guard reads a comment
        if !matches!(after, None | Some(' ' | '\t' | '\n' | '\r')) {
            return Err(ambiguous(
                "`--` must be followed by a space: not all dialects take it for a comment",
            ));
        }
        let length = self.rest.find('\n').unwrap_or(self.rest.len());
        let comment = self.skip(length);
        // Some dialects end the comment at a lone carriage return.
        if comment.trim_end_matches('\r').contains('\r') {
            return Err(ambiguous("a carriage return in a comment ends it in some dialects"));
        }
        self.blank()
    }

    fn block_comment(&mut self) -> Result<(), Refusal> {
        // Past the opening, so that `/*/` does not close itself.
        let inner = self.rest.get(2..).unwrap_or_default();
        let Some(length) = inner.find("*/") else { return Err(syntax("a comment is not closed")) };
        let comment = self.skip(length + 4);
        let body = comment.get(2..length + 2).unwrap_or_default();
        // MUTATE(A3-odbc-executable): MySQL and MariaDB run what stands in the comment, Oracle takes it as a hint
        if body.starts_with(['!', '+']) || body.starts_with("M!") {
            return Err(ambiguous(
                "comments that some dialects execute (`/*!`, `/*M!`, `/*+`) are not allowed",
            ));
        }
        // MUTATE(A3-odbc-nested): the comment ends where only some dialects end it
        if body.contains("/*") || body.ends_with('/') {
            return Err(ambiguous("comments within comments end differently in different dialects"));
        }
        self.blank()
    }

    /// A comment becomes a space.
    fn blank(&mut self) -> Result<(), Refusal> {
        self.run.push(' ');
        self.parse.push(' ');
        Ok(())
    }

    /// A string. INVARIANT: with and without backslash escapes it ends at the same place.
    fn literal(&mut self) -> Result<(), Refusal> {
        let length = extent(self.rest)?;
        let content = self.rest.get(1..length.saturating_sub(1)).unwrap_or_default();
        check_characters(content)?;
        self.copy(length)?;
        if self.rest.starts_with(is_word) {
            return Err(ambiguous("a space is missing after a string"));
        }
        self.before = Before::Ends;
        self.word = None;
        Ok(())
    }

    /// A name in quotes of the dialect.
    fn quoted(&mut self, open: char) -> Result<(), Refusal> {
        let close = match (open, self.dialect) {
            // INVARIANT: whether MySQL takes double quotes for a string depends on a setting of the session.
            ('"', Dialect::Mysql) => {
                return Err(ambiguous("double quotes are names or strings in MySQL: write 'text' or `name`"));
            }
            ('"', _) => '"',
            ('`', Dialect::Mysql | Dialect::Sqlite) => '`',
            ('[', Dialect::Mssql | Dialect::Sqlite) => ']',
            ('[', Dialect::Postgres) => {
                return self.punctuation(1, Before::Open);
            }
            _ => return Err(ambiguous("this kind of quotes does not mean the same in all dialects")),
        };
        let inner = self.rest.get(1..).unwrap_or_default();
        let Some(length) = inner.find(close) else { return Err(syntax("a quoted name is not closed")) };
        let name = inner.get(..length).unwrap_or_default();
        check_characters(name)?;
        // MUTATE(A3-odbc-quotes): a name holds what ends it in another dialect
        let odd =
            name.is_empty() || name.contains(['\'', '"', '`', '[', ']', '\\', '{', '}', ';', '.', '?', '*']);
        self.copy(length + 2)?;
        if odd || self.rest.starts_with(['\'', '"', '`']) || self.rest.starts_with(is_word) {
            return Err(ambiguous(
                "a quoted name holds or touches a character that is read differently by dialects",
            ));
        }
        self.before = Before::Ends;
        self.word = None;
        Ok(())
    }

    fn placeholder(&mut self) -> Result<(), Refusal> {
        self.skip(1);
        if self.rest.starts_with(['?', '|', '&', '-', '#', '\'', '"']) || self.rest.starts_with(is_word) {
            return Err(ambiguous("`?` is a placeholder here; operators with `?` are not allowed"));
        }
        self.parameters = self.parameters.saturating_add(1);
        if self.parameters > limits::PARAMETERS {
            return Err(Refusal::new(Rule::TooComplex, "the statement has too many placeholders"));
        }
        self.run.push('?');
        match self.dialect {
            // The parser takes `?` for an operator of PostgreSQL.
            Dialect::Postgres => self.parse.push_str(&format!("${}", self.parameters)),
            _ => self.parse.push('?'),
        }
        self.before = Before::Ends;
        self.word = None;
        Ok(())
    }

    /// A number, apart from whatever follows: SQL Server reads `1DELETE` as two words.
    fn number(&mut self) -> Result<(), Refusal> {
        let length = number_length(self.rest);
        self.copy(length)?;
        if self.rest.starts_with(|c| is_word(c) || c == '.' || c == '\'' || c == '"') {
            return Err(ambiguous("a number is followed by what is read differently by dialects"));
        }
        self.before = Before::Ends;
        self.word = None;
        Ok(())
    }

    fn parenthesis(&mut self, next: char) -> Result<(), Refusal> {
        if next == '(' {
            self.depth += 1;
            if self.depth > limits::DEPTH {
                return Err(Refusal::new(Rule::TooComplex, "parentheses are nested too deeply"));
            }
            return self.punctuation(1, Before::Open);
        }
        let inner = self.escapes.last().map_or(0, |(_, depth)| *depth);
        self.depth = self.depth.checked_sub(1).filter(|depth| *depth >= inner).ok_or_else(unbalanced)?;
        self.punctuation(1, Before::Ends)
    }

    fn operator(&mut self) -> Result<(), Refusal> {
        let known = words::SYMBOLS.iter().find(|(symbol, dialects)| {
            self.rest.starts_with(symbol) && (dialects.is_empty() || dialects.contains(&self.dialect))
        });
        let Some((symbol, _)) = known else {
            return Err(ambiguous(
                "a character or operator is not read alike by all dialects; give values as parameters",
            ));
        };
        self.count_operator()?;
        // A star may end a select list.
        let before = if *symbol == "*" { Before::Ends } else { Before::Open };
        self.punctuation(symbol.len(), before)
    }

    fn count_operator(&mut self) -> Result<(), Refusal> {
        self.operators += 1;
        match self.operators <= limits::OPERATORS {
            true => Ok(()),
            false => Err(Refusal::new(Rule::TooComplex, "the statement has too many operators")),
        }
    }

    fn open_escape(&mut self) -> Result<(), Refusal> {
        let opened = escape::open(self.rest, self.word.as_deref(), self.before == Before::Open)?;
        let escape::Opened { kind, length, value } = opened;
        let text = self.skip(length).to_owned();
        self.run.push_str(&text);
        match value {
            Some(value) => {
                self.parse.push_str(&value);
                self.before = Before::Ends;
            }
            None => {
                self.parse.push(' ');
                self.escapes.push((kind, self.depth));
                self.before = Before::Open;
            }
        }
        self.word = None;
        Ok(())
    }

    fn close_escape(&mut self) -> Result<(), Refusal> {
        let Some((kind, depth)) = self.escapes.pop() else { return Err(unbalanced()) };
        let whole = kind != escape::Kind::Function || self.run.trim_end().ends_with(')');
        if depth != self.depth || !whole {
            return Err(unbalanced());
        }
        self.skip(1);
        self.run.push('}');
        self.parse.push(' ');
        self.before = Before::Ends;
        self.word = None;
        Ok(())
    }
}

pub(super) fn syntax(message: &str) -> Refusal {
    Refusal::new(Rule::Syntax, message)
}

pub(super) fn ambiguous(message: &str) -> Refusal {
    Refusal::new(Rule::AmbiguousText, message)
}

fn unbalanced() -> Refusal {
    syntax("parentheses and braces do not match")
}
