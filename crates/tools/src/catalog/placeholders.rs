//! Named placeholders: `:name` in a catalog's statement becomes the engine's own placeholder, once, when the catalog is loaded.
//!
//! The text is split into tokens, so that a `:name` in a string, a quoted identifier or a comment stays as it is. Values are never part of the
//! text. Where dialects disagree on what a token is, the statement is refused rather than guessed at; and the engine, which parses the result
//! itself, must count as many parameters as were written here.

/// The lexical rules of an engine's statements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
    /// Any other: what its rules might be is refused where it matters.
    Other,
}

impl Dialect {
    /// By the name that an engine gives itself.
    pub(super) fn of(name: &str) -> Dialect {
        match name {
            "SQLite" => Dialect::Sqlite,
            "PostgreSQL" => Dialect::Postgres,
            _ => Dialect::Other,
        }
    }
}

/// A statement with the engine's placeholders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rewritten {
    /// The text that runs.
    pub(super) sql: String,
    /// The parameter of each placeholder, in the order in which the engine takes values.
    pub(super) order: Vec<String>,
}

/// Why a statement cannot be read: where (a byte offset) and what must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Unreadable {
    pub(super) at: usize,
    pub(super) rule: &'static str,
}

/// What a stretch of a statement is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token<'s> {
    /// `:name`, without the colon.
    Placeholder(&'s str),
    /// A string constant.
    Text(&'s str),
    /// A quoted identifier.
    Quoted(&'s str),
    /// A keyword, identifier or number.
    Word(&'s str),
    /// White space and comments.
    Blank(&'s str),
    /// Anything else, a few characters at a time.
    Symbol(&'s str),
}

impl<'s> Token<'s> {
    fn text(self) -> &'s str {
        match self {
            Token::Placeholder(text)
            | Token::Text(text)
            | Token::Quoted(text)
            | Token::Word(text)
            | Token::Blank(text)
            | Token::Symbol(text) => text,
        }
    }
}

/// Puts the engine's placeholders in the place of names. A name that is used twice is one `$n`, or two `?`.
pub(super) fn rewrite(sql: &str, dialect: Dialect) -> Result<Rewritten, Unreadable> {
    let mut rewritten = Rewritten { sql: String::with_capacity(sql.len()), order: Vec::new() };
    for token in tokens(sql, dialect)? {
        let Token::Placeholder(name) = token else {
            rewritten.sql.push_str(token.text());
            continue;
        };
        if dialect != Dialect::Postgres {
            rewritten.sql.push('?');
            rewritten.order.push(name.to_owned());
            continue;
        }
        let known = rewritten.order.iter().position(|seen| seen == name);
        let position = known.unwrap_or(rewritten.order.len());
        if known.is_none() {
            rewritten.order.push(name.to_owned());
        }
        rewritten.sql.push_str(&format!("${}", position + 1));
    }
    Ok(rewritten)
}

/// Splits a statement into tokens; put together again they are the statement, but for the colons of placeholders.
pub(super) fn tokens(sql: &str, dialect: Dialect) -> Result<Vec<Token<'_>>, Unreadable> {
    let mut lexer = Lexer { sql, at: 0, dialect, open: Vec::new() };
    let mut tokens: Vec<Token<'_>> = Vec::new();
    while lexer.at < sql.len() {
        let start = lexer.at;
        let token = lexer.next(tokens.last().copied())?;
        // Nothing else moves the lexer, so a token of no length would never end.
        if lexer.at <= start {
            return Err(Unreadable { at: start, rule: "holds a character that cannot be read" });
        }
        let meaningful = tokens.iter().rev().find(|token| !matches!(token, Token::Blank(_)));
        if dialect == Dialect::Postgres
            && matches!((token, meaningful), (Token::Text(_), Some(Token::Text(_))))
        {
            // SPEC: PostgreSQL 4.1.2.1: strings apart by a line break are one, under the escapes of the first.
            return Err(Unreadable {
                at: start,
                rule: "must not continue a string constant; write it as one",
            });
        }
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'s> {
    sql: &'s str,
    at: usize,
    dialect: Dialect,
    /// Open parentheses and brackets.
    open: Vec<char>,
}

impl<'s> Lexer<'s> {
    fn next(&mut self, before: Option<Token<'s>>) -> Result<Token<'s>, Unreadable> {
        let rest = self.rest();
        let mut characters = rest.chars();
        let (first, second) = (characters.next().unwrap_or('\0'), characters.next());
        match (first, second) {
            (c, _) if c.is_ascii_whitespace() => {
                let end = rest.find(|c: char| !c.is_ascii_whitespace()).unwrap_or(rest.len());
                Ok(Token::Blank(self.take(end)))
            }
            // MUTATE(A11-comments): a name in a comment is taken for a placeholder
            ('-', Some('-')) => self.line_comment(rest),
            ('/', Some('*')) => self.block_comment(rest),
            ('\'', _) => {
                let escapes = self.dialect == Dialect::Postgres
                    && matches!(before, Some(Token::Word(word)) if word.eq_ignore_ascii_case("e"));
                let end = self.quoted(rest, '\'', escapes)?;
                if self.dialect == Dialect::Other && rest.get(..end).is_some_and(|text| text.contains('\\')) {
                    return self
                        .refuse("must not hold a backslash in a string: databases differ in what it means");
                }
                Ok(Token::Text(self.take(end)))
            }
            ('"', _) => {
                let end = self.quoted(rest, '"', false)?;
                if self.dialect == Dialect::Other && rest.get(..end).is_some_and(|text| text.contains('\\')) {
                    return self
                        .refuse("must not hold a backslash in quotes: databases differ in what it means");
                }
                Ok(Token::Quoted(self.take(end)))
            }
            ('`', _) if self.dialect != Dialect::Postgres => {
                let end = self.quoted(rest, '`', false)?;
                Ok(Token::Quoted(self.take(end)))
            }
            ('[', _) if self.dialect != Dialect::Postgres => match rest.find(']') {
                Some(end) => Ok(Token::Quoted(self.take(end + 1))),
                None => self.refuse("holds an identifier in brackets that does not end"),
            },
            ('$', _) if self.dialect == Dialect::Postgres => self.dollar(rest),
            (':', _) => self.colon(rest, second, before),
            ('?', _) if self.dialect != Dialect::Postgres => {
                self.refuse("must name its placeholders: write `:name`, not `?`")
            }
            ('@' | '#' | '$', _) if self.dialect == Dialect::Sqlite => {
                self.refuse("must name its placeholders: write `:name`")
            }
            ('#', _) if self.dialect == Dialect::Other => {
                self.refuse("must not hold `#`: some databases begin a comment there")
            }
            (c, _) if is_word(c) => {
                let end = rest.find(|c: char| !is_word(c) && c != '$').unwrap_or(rest.len());
                Ok(Token::Word(self.take(end)))
            }
            ('(' | '[', _) => {
                self.open.push(first);
                Ok(Token::Symbol(self.take(1)))
            }
            (')' | ']', _) => {
                self.open.pop();
                Ok(Token::Symbol(self.take(1)))
            }
            (c, _) if c.is_control() => self.refuse("must not hold control characters"),
            (c, _) => Ok(Token::Symbol(self.take(c.len_utf8()))),
        }
    }

    fn colon(
        &mut self,
        rest: &'s str,
        second: Option<char>,
        before: Option<Token<'s>>,
    ) -> Result<Token<'s>, Unreadable> {
        match second {
            // To SQLite, which has no such cast, colons are a part of the name.
            Some(':') if self.dialect == Dialect::Sqlite => self.refuse("must not hold `::`"),
            Some(':' | '=') => Ok(Token::Symbol(self.take(2))),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                if matches!(
                    before,
                    Some(Token::Word(_) | Token::Quoted(_) | Token::Text(_) | Token::Placeholder(_))
                ) {
                    return self.refuse("must have white space or a symbol before a placeholder");
                }
                if self.dialect == Dialect::Postgres && self.open.last() == Some(&'[') {
                    return self.refuse("must put a placeholder within brackets in parentheses, `[(:name)]`, and a space after the colon of a slice");
                }
                let name = rest.get(1..).unwrap_or_default();
                let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
                let name = name.get(..end).unwrap_or_default();
                self.take(end + 1);
                // SQLite takes `:a::b` and `:a(b)` for one name each, and no other database knows them.
                let cast = self.dialect != Dialect::Sqlite && self.rest().starts_with("::");
                let glued = |c: char| is_word(c) || matches!(c, '$' | '(') || c == ':' && !cast;
                if self.rest().chars().next().is_some_and(glued) {
                    return self.refuse("must have white space or a symbol after a placeholder");
                }
                Ok(Token::Placeholder(name))
            }
            Some(c) if (is_word(c) || c == '$') && self.dialect != Dialect::Postgres => {
                self.refuse("must name its placeholders with letters, digits and `_`")
            }
            _ => Ok(Token::Symbol(self.take(1))),
        }
    }

    fn line_comment(&mut self, rest: &'s str) -> Result<Token<'s>, Unreadable> {
        let after = rest.chars().nth(2);
        if self.dialect == Dialect::Other && after.is_some_and(|c| !c.is_ascii_whitespace()) {
            return self.refuse("must have white space after `--`: some databases see no comment otherwise");
        }
        let ends: &[char] = if self.dialect == Dialect::Postgres { &['\n', '\r'] } else { &['\n'] };
        let end = rest.find(ends).unwrap_or(rest.len());
        if self.dialect == Dialect::Other && rest.get(..end).is_some_and(|text| text.contains('\r')) {
            // Some databases end the comment there; a line that ends with both is common and ends for all of them.
            let line = rest.get(..end).unwrap_or_default();
            if line.find('\r') != Some(line.len().saturating_sub(1)) {
                return self.refuse("must not hold a carriage return within a comment");
            }
        }
        Ok(Token::Blank(self.take(end)))
    }

    fn block_comment(&mut self, rest: &'s str) -> Result<Token<'s>, Unreadable> {
        let (mut depth, mut at) = (0usize, 0usize);
        loop {
            let here = rest.get(at..).unwrap_or_default();
            if here.starts_with("/*") {
                match (self.dialect, depth) {
                    (_, 0) | (Dialect::Postgres, _) => depth = depth.saturating_add(1),
                    (Dialect::Sqlite, _) => {}
                    (Dialect::Other, _) => {
                        return self.refuse("must not nest comments: databases differ in what it means");
                    }
                }
                at += 2;
            } else if here.starts_with("*/") {
                at += 2;
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Ok(Token::Blank(self.take(at)));
                }
            } else if let Some(c) = here.chars().next() {
                at += c.len_utf8();
            } else {
                return self.refuse("holds a comment that does not end");
            }
        }
    }

    /// The length of a quoted stretch; the quote is doubled within, or with `escapes` follows a backslash.
    fn quoted(&self, rest: &str, quote: char, escapes: bool) -> Result<usize, Unreadable> {
        let mut characters = rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = characters.next() {
            let doubled = c == quote && characters.peek().is_some_and(|(_, next)| *next == quote);
            if doubled || escapes && c == '\\' {
                characters.next();
            } else if c == quote {
                return Ok(at + quote.len_utf8());
            }
        }
        Err(Unreadable { at: self.at, rule: "holds a quote that does not end" })
    }

    /// SPEC: PostgreSQL 4.1.2.4: `$tag$ … $tag$`.
    fn dollar(&mut self, rest: &'s str) -> Result<Token<'s>, Unreadable> {
        let body = rest.get(1..).unwrap_or_default();
        let end = body.find(|c: char| !is_word(c)).unwrap_or(body.len());
        let tag = body.get(..end).unwrap_or_default();
        let tagged = body.get(end..).is_some_and(|after| after.starts_with('$'));
        if !tagged || tag.starts_with(|c: char| c.is_ascii_digit()) {
            return self.refuse("must name its placeholders: write `:name`, not `$1`");
        }
        let delimiter = rest.get(..end + 2).unwrap_or_default();
        match rest.get(delimiter.len()..).and_then(|after| after.find(delimiter)) {
            Some(length) => Ok(Token::Text(self.take(delimiter.len() * 2 + length))),
            None => self.refuse("holds a dollar quote that does not end"),
        }
    }

    fn rest(&self) -> &'s str {
        self.sql.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, length: usize) -> &'s str {
        let taken = self.rest().get(..length).unwrap_or_default();
        self.at += taken.len();
        taken
    }

    fn refuse<T>(&self, rule: &'static str) -> Result<T, Unreadable> {
        Err(Unreadable { at: self.at, rule })
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

#[cfg(test)]
mod tests;
