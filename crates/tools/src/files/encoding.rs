//! How bytes of a file become text of an answer, and back: strict in both directions, nothing is replaced.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign_core::{Arguments, ToolError};
use serde_json::{Value, json};

/// An encoding of file content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Encoding {
    Utf8,
    Ascii,
    Latin1,
    Base64,
}

impl Encoding {
    const ALL: [Encoding; 4] = [Encoding::Utf8, Encoding::Ascii, Encoding::Latin1, Encoding::Base64];

    /// The name in arguments and answers.
    pub(super) fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Ascii => "ascii",
            Encoding::Latin1 => "latin-1",
            Encoding::Base64 => "base64",
        }
    }

    /// The JSON Schema of the argument `encoding`.
    pub(super) fn schema() -> Value {
        json!({
            "enum": Encoding::ALL.map(Encoding::name), "default": "utf-8",
            "description": "how the content is written as text; base64 for anything that is not text"
        })
    }

    /// The argument `encoding`.
    pub(super) fn of(arguments: &Arguments) -> Result<Encoding, ToolError> {
        let Some(name) = arguments.str("encoding") else { return Ok(Encoding::Utf8) };
        let found = Encoding::ALL.into_iter().find(|encoding| encoding.name() == name);
        found.ok_or_else(|| ToolError::invalid("/encoding", "must be utf-8, ascii, latin-1 or base64"))
    }

    /// Bytes as text. A sequence that is cut off at the end is left out if `cut` says that more would follow; the number of bytes that the
    /// text holds comes with it.
    pub(super) fn decode(self, mut bytes: Vec<u8>, cut: bool) -> Result<(String, usize), &'static str> {
        let length = bytes.len();
        match self {
            Encoding::Utf8 => {
                let whole = match std::str::from_utf8(&bytes) {
                    Ok(_) => length,
                    Err(error) if cut && error.error_len().is_none() => error.valid_up_to(),
                    Err(_) => {
                        return Err("is not UTF-8 from there on; ask for another `encoding`, such as base64");
                    }
                };
                bytes.truncate(whole);
                let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
                Ok((text, whole))
            }
            Encoding::Ascii => match bytes.is_ascii() {
                true => String::from_utf8(bytes).map(|text| (text, length)).map_err(|_| "is not ASCII"),
                false => Err("is not ASCII; ask for another `encoding`"),
            },
            Encoding::Latin1 => Ok((bytes.into_iter().map(char::from).collect(), length)),
            Encoding::Base64 => Ok((STANDARD.encode(bytes), length)),
        }
    }

    /// Text of a caller as bytes.
    pub(super) fn encode(self, text: &str) -> Result<Vec<u8>, &'static str> {
        match self {
            Encoding::Utf8 => Ok(text.as_bytes().to_vec()),
            Encoding::Ascii if text.is_ascii() => Ok(text.as_bytes().to_vec()),
            Encoding::Ascii => Err("must hold ASCII characters only"),
            Encoding::Latin1 => {
                let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
                bytes.ok_or("must hold characters of Latin-1 only")
            }
            Encoding::Base64 => STANDARD.decode(text).map_err(|_| "must be base64 (RFC 4648 §4), padded"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_the_way_there_and_back() {
        for (encoding, text) in [
            (Encoding::Utf8, "ß日😀\n"),
            (Encoding::Ascii, "a\tb"),
            (Encoding::Latin1, "aß\u{80}\u{ff}"),
            (Encoding::Base64, "3q2+7w=="),
        ] {
            let bytes = encoding.encode(text).unwrap();
            let length = bytes.len();
            assert_eq!(encoding.decode(bytes, false), Ok((text.to_owned(), length)), "{}", encoding.name());
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_replaced() {
        assert!(Encoding::Utf8.decode(vec![b'a', 0xff, b'b'], true).is_err());
        assert!(Encoding::Utf8.decode(vec![0xc3], false).is_err());
        assert!(Encoding::Ascii.decode(vec![0x80], false).is_err());
        assert!(Encoding::Ascii.encode("ß").is_err());
        assert!(Encoding::Latin1.encode("日").is_err());
        assert!(Encoding::Base64.encode("3q2+7w").is_err());
        assert!(Encoding::Base64.encode("3q2+\n7w==").is_err());
    }

    #[test]
    fn a_character_that_is_cut_off_waits_for_the_next_range() {
        assert_eq!(Encoding::Utf8.decode(vec![b'a', 0xc3], true), Ok(("a".into(), 1)));
    }
}
