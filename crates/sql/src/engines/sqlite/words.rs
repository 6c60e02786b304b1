//! The words of a statement, for what SQLite does not report: which of the three writes it is, whether it replaces rows, and what its `WHERE`
//! looks at. SQLite itself has parsed the text before; this only has to tell words from quotes and comments.

/// A word or a quoted name outside all parentheses, or the sign that ends one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// A bare word, in lower case.
    Word(String),
    /// A quoted name, in lower case.
    Name(String),
    /// Anything else: an operator, a literal, a parenthesis.
    Sign(char),
}

/// The tokens of a statement with their depth in parentheses.
pub(super) fn tokens(sql: &str) -> Vec<(Token, usize)> {
    let mut rest = sql.chars().peekable();
    let (mut tokens, mut depth) = (Vec::new(), 0usize);
    while let Some(first) = rest.next() {
        match first {
            '-' if rest.peek() == Some(&'-') => while rest.next_if(|c| *c != '\n').is_some() {},
            '/' if rest.peek() == Some(&'*') => {
                rest.next();
                let mut before = ' ';
                for c in rest.by_ref() {
                    if before == '*' && c == '/' {
                        break;
                    }
                    before = c;
                }
            }
            '\'' => {
                quoted(&mut rest, '\'');
                tokens.push((Token::Sign('\''), depth));
            }
            '"' | '`' => tokens.push((Token::Name(quoted(&mut rest, first)), depth)),
            '[' => {
                let mut name = String::new();
                while let Some(c) = rest.next_if(|c| *c != ']') {
                    name.push(c.to_ascii_lowercase());
                }
                rest.next();
                tokens.push((Token::Name(name), depth));
            }
            '(' => {
                tokens.push((Token::Sign('('), depth));
                depth = depth.saturating_add(1);
            }
            ')' => {
                depth = depth.saturating_sub(1);
                tokens.push((Token::Sign(')'), depth));
            }
            c if is_word(c) => {
                let mut word = String::from(c.to_ascii_lowercase());
                while let Some(c) = rest.next_if(|c| is_word(*c)) {
                    word.push(c.to_ascii_lowercase());
                }
                tokens.push((Token::Word(word), depth));
            }
            c if c.is_ascii_whitespace() => {}
            c => tokens.push((Token::Sign(c), depth)),
        }
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii()
}

/// What stands up to the closing quote; a doubled quote stands for one.
fn quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, quote: char) -> String {
    let mut text = String::new();
    while let Some(c) = rest.next() {
        if c == quote && rest.next_if_eq(&quote).is_none() {
            break;
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_quotes_and_comments() {
        let text = "DELETE /* where */ FROM t -- where x\n WHERE \"a\"\"B\" = 'where ''x' AND [c d] IN (SELECT e FROM f)";
        let top: Vec<Token> =
            tokens(text).into_iter().filter(|(_, depth)| *depth == 0).map(|(t, _)| t).collect();
        let word = |w: &str| Token::Word(w.into());
        let name = |w: &str| Token::Name(w.into());
        let sign = Token::Sign;
        assert_eq!(
            top,
            [
                word("delete"),
                word("from"),
                word("t"),
                word("where"),
                name("a\"b"),
                sign('='),
                sign('\''),
                word("and"),
                name("c d"),
                word("in"),
                sign('('),
                sign(')')
            ]
        );
        assert_eq!(tokens("'"), [(sign('\''), 0)]);
        assert!(tokens("/* never closed").is_empty());
    }
}
