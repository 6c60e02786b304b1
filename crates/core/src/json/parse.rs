//! The reader: recursive descent with an explicit depth limit, one pass over the bytes.

use std::{borrow::Cow, collections::HashSet};

use super::{JsonError, Limits, Member, Value};

/// Reads one JSON text; nothing but white space may follow it.
pub fn parse(text: &[u8], limits: Limits) -> Result<Value<'_>, JsonError> {
    if text.len() > limits.bytes {
        return Err(JsonError::Bytes(limits.bytes));
    }
    let text = std::str::from_utf8(text).map_err(|e| JsonError::Syntax(e.valid_up_to()))?;
    let mut reader = Reader { text, at: 0, depth: 0, nodes: 0, limits };
    reader.space();
    let value = reader.value()?;
    reader.space();
    if reader.at == text.len() { Ok(value) } else { Err(JsonError::Syntax(reader.at)) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    nodes: usize,
    limits: Limits,
}

/// Objects with more members than this are checked for duplicates with a set instead of pairwise.
const PAIRWISE: usize = 12;

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn slice(&self, from: usize, to: usize) -> Result<&'a str, JsonError> {
        self.text.get(from..to).ok_or(JsonError::Syntax(from))
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, literal: &str) -> Result<(), JsonError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(literal) {
            return Err(JsonError::Syntax(self.at));
        }
        self.at += literal.len();
        Ok(())
    }

    fn count(&mut self) -> Result<(), JsonError> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes { Err(JsonError::Nodes(self.limits.nodes)) } else { Ok(()) }
    }

    fn enter(&mut self) -> Result<(), JsonError> {
        self.depth += 1;
        if self.depth > self.limits.depth { Err(JsonError::Depth(self.limits.depth)) } else { Ok(()) }
    }

    fn value(&mut self) -> Result<Value<'a>, JsonError> {
        self.count()?;
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string().map(Value::String),
            Some(b't') => self.expect("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.expect("false").map(|()| Value::Bool(false)),
            Some(b'n') => self.expect("null").map(|()| Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(JsonError::Syntax(self.at)),
        }
    }

    fn object(&mut self) -> Result<Value<'a>, JsonError> {
        self.enter()?;
        self.at += 1;
        self.space();
        let mut members: Vec<Member<'a>> = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.depth -= 1;
            return Ok(Value::Object(members));
        }
        loop {
            let start = self.at;
            self.count()?;
            if self.peek() != Some(b'"') {
                return Err(JsonError::Syntax(self.at));
            }
            let key = self.string()?;
            // MUTATE(B2-duplicate-keys): a second member of the same name passes
            if is_duplicate(&members, &mut seen, &key) {
                return Err(JsonError::DuplicateKey(start));
            }
            self.space();
            self.expect(":")?;
            self.space();
            let from = self.at;
            let value = self.value()?;
            members.push(Member { key, value, raw: self.slice(from, self.at)? });
            self.space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                }
                Some(b'}') => {
                    self.at += 1;
                    self.depth -= 1;
                    return Ok(Value::Object(members));
                }
                _ => return Err(JsonError::Syntax(self.at)),
            }
        }
    }

    fn array(&mut self) -> Result<Value<'a>, JsonError> {
        self.enter()?;
        self.at += 1;
        self.space();
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            self.depth -= 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                }
                Some(b']') => {
                    self.at += 1;
                    self.depth -= 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(JsonError::Syntax(self.at)),
            }
        }
    }

    fn number(&mut self) -> Result<Value<'a>, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(JsonError::Syntax(self.at)),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let lexeme = self.slice(start, self.at)?;
        match lexeme.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Number(lexeme)),
            _ => Err(JsonError::Number(start)),
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(JsonError::Syntax(self.at)) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let start = self.at;
        let mut owned: Option<String> = None;
        let mut run = start;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let tail = self.slice(run, self.at)?;
                    self.at += 1;
                    return Ok(match owned {
                        None => Cow::Borrowed(tail),
                        Some(mut text) => {
                            text.push_str(tail);
                            Cow::Owned(text)
                        }
                    });
                }
                Some(b'\\') => {
                    let head = self.slice(run, self.at)?;
                    let text = owned.get_or_insert_with(String::new);
                    text.push_str(head);
                    self.at += 1;
                    let unescaped = self.escape()?;
                    if let Some(text) = owned.as_mut() {
                        text.push(unescaped);
                    }
                    run = self.at;
                }
                Some(0..=0x1f) | None => return Err(JsonError::Syntax(self.at)),
                Some(_) => self.at += 1,
            }
        }
    }

    /// SPEC: RFC 8259 §7; a lone surrogate is no character and is refused.
    fn escape(&mut self) -> Result<char, JsonError> {
        let at = self.at;
        let byte = self.peek().ok_or(JsonError::Syntax(at))?;
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex4()?;
                let code = if (0xd800..0xdc00).contains(&high) {
                    self.expect("\\u")?;
                    let low = self.hex4()?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(JsonError::Syntax(at));
                    }
                    0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                } else {
                    high
                };
                char::from_u32(code).ok_or(JsonError::Syntax(at))?
            }
            _ => return Err(JsonError::Syntax(at)),
        })
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(JsonError::Syntax(self.at))?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(JsonError::Syntax(self.at));
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| JsonError::Syntax(self.at))
    }
}

fn is_duplicate(members: &[Member<'_>], seen: &mut HashSet<String>, key: &str) -> bool {
    if members.len() < PAIRWISE {
        return members.iter().any(|member| member.key == key);
    }
    if seen.is_empty() {
        seen.extend(members.iter().map(|member| member.key.to_string()));
    }
    !seen.insert(key.to_owned())
}
