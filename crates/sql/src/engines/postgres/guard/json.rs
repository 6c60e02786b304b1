//! A borrowed reader for the parser's JSON: small, capped in depth, and strict, since what it cannot read is refused.

use std::borrow::Cow;

/// A value. Numbers keep their text; members keep their order.
#[derive(Debug)]
pub(super) enum Json<'a> {
    Null,
    Flag(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(&'a str, Json<'a>)>),
}

/// Why a text was not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unread {
    /// It nests deeper than allowed, or holds more values than allowed.
    TooComplex,
    /// It is not the JSON that the parser writes.
    Malformed,
}

/// Reads one value and nothing after it.
pub(super) fn read(text: &str, max_depth: usize, max_values: usize) -> Result<Json<'_>, Unread> {
    let mut reader = Reader { text, at: 0, values: max_values };
    let value = reader.value(max_depth)?;
    if reader.at == text.len() { Ok(value) } else { Err(Unread::Malformed) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// How many more values may be read.
    values: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Json<'a>, Unread> {
        let depth = depth.checked_sub(1).ok_or(Unread::TooComplex)?;
        self.values = self.values.checked_sub(1).ok_or(Unread::TooComplex)?;
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Json::Text),
            Some(b't') => self.word("true", Json::Flag(true)),
            Some(b'f') => self.word("false", Json::Flag(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(Unread::Malformed),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, Unread> {
        self.at += 1;
        if self.take(b'}') {
            return Ok(Json::Object(Vec::new()));
        }
        // Most objects are nodes around their fields: one member, and no more room than that.
        let only = self.member(depth)?;
        if self.take(b'}') {
            return Ok(Json::Object(vec![only]));
        }
        let mut members = Vec::with_capacity(4);
        members.push(only);
        while self.take(b',') {
            members.push(self.member(depth)?);
        }
        if self.take(b'}') { Ok(Json::Object(members)) } else { Err(Unread::Malformed) }
    }

    fn member(&mut self, depth: usize) -> Result<(&'a str, Json<'a>), Unread> {
        let Cow::Borrowed(name) = self.string()? else { return Err(Unread::Malformed) };
        if !self.take(b':') {
            return Err(Unread::Malformed);
        }
        Ok((name, self.value(depth)?))
    }

    fn list(&mut self, depth: usize) -> Result<Json<'a>, Unread> {
        self.at += 1;
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            if self.take(b']') {
                return Ok(Json::List(items));
            }
            if !self.take(b',') {
                return Err(Unread::Malformed);
            }
        }
    }

    fn number(&mut self) -> Result<Json<'a>, Unread> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end =
            rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).map(Json::Number).ok_or(Unread::Malformed)
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, Unread> {
        match self.text.get(self.at..) {
            Some(rest) if rest.starts_with(word) => {
                self.at += word.len();
                Ok(value)
            }
            _ => Err(Unread::Malformed),
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Unread> {
        if !self.take(b'"') {
            return Err(Unread::Malformed);
        }
        let rest = self.text.get(self.at..).ok_or(Unread::Malformed)?;
        let end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\')).ok_or(Unread::Malformed)?;
        let plain = rest.get(..end).ok_or(Unread::Malformed)?;
        self.at += end;
        if self.take(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut owned = plain.to_owned();
        loop {
            let rest = self.text.get(self.at..).ok_or(Unread::Malformed)?;
            let end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\')).ok_or(Unread::Malformed)?;
            owned.push_str(rest.get(..end).ok_or(Unread::Malformed)?);
            self.at += end;
            if self.take(b'"') {
                return Ok(Cow::Owned(owned));
            }
            self.at += 1;
            owned.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, Unread> {
        let escaped = self.peek().ok_or(Unread::Malformed)?;
        self.at += 1;
        Ok(match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                // The writer escapes control characters alone: never a surrogate.
                let digits = self.text.get(self.at..self.at + 4).ok_or(Unread::Malformed)?;
                self.at += 4;
                u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).ok_or(Unread::Malformed)?
            }
            _ => return Err(Unread::Malformed),
        })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }
}
