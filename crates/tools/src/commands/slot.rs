//! Slots: the typed gaps of a command's argument template, and the only places where a caller's text reaches a program.

use countersign_core::schema::Validator;
use serde_json::{Map, Value as Json, json};

use super::path;

/// What a slot takes.
#[derive(Clone, Debug)]
pub enum Kind {
    /// One of these words, as they stand.
    Choice(Vec<String>),
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A path below the command's root.
    Path,
    /// Text that a regular expression matches as a whole.
    Pattern {
        /// The expression, in linear time: no look-around, no references back.
        pattern: String,
        /// Characters of the longest text.
        max_length: u32,
    },
}

/// A gap in a command's arguments, as the operator declared it.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Its name in the template, and as an argument.
    pub name: String,
    /// What it takes.
    pub kind: Kind,
    /// The option that stands before each value, such as `--maxfail`.
    pub option: Option<String>,
    /// How many values it takes at most.
    pub most: u32,
    /// Whether it takes at least one.
    pub required: bool,
    /// What it is for.
    pub description: String,
}

/// A slot whose rules are compiled.
pub(super) struct Checked {
    pub(super) slot: Slot,
    rules: Validator,
}

impl Checked {
    /// # Errors
    /// The rule that the declaration breaks.
    pub(super) fn new(slot: Slot) -> Result<Checked, String> {
        check_declaration(&slot)?;
        let compile = |schema: &Json| {
            let rule = "`pattern` must be a regular expression without look-around and references back";
            Validator::compile(schema).map_err(|_| rule.to_owned())
        };
        if let Kind::Pattern { pattern, .. } = &slot.kind {
            // INVARIANT: whole by itself, so that no stray parenthesis ends the group that anchors it.
            compile(&json!({"type": "string", "pattern": pattern}))?;
        }
        let rules = compile(&one(&slot.kind))?;
        Ok(Checked { slot, rules })
    }

    /// The JSON Schema of the slot as a named argument.
    pub(super) fn schema(&self) -> Json {
        let mut schema = one(&self.slot.kind);
        if self.slot.most > 1 {
            schema = json!({"type": "array", "items": schema, "minItems": 1, "maxItems": self.slot.most});
        }
        if let (Some(schema), false) = (schema.as_object_mut(), self.slot.description.is_empty()) {
            schema.insert("description".into(), self.slot.description.as_str().into());
        }
        schema
    }

    /// Whether a word on a command line may be meant for this slot: it has no option of its own, and takes such words.
    pub(super) fn takes_word(&self, word: &str) -> bool {
        self.slot.option.is_none() && self.of_word(word).is_ok()
    }

    /// A word of a command line, as the program gets it.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn of_word(&self, word: &str) -> Result<String, String> {
        match self.slot.kind {
            // Only the plain spelling of a number is one: no sign in front, no space, no leading zero.
            Kind::Integer { .. } => match word.parse::<i64>() {
                Ok(number) if number.to_string() == word => self.of_value(&number.into()),
                _ => Err(self.rule()),
            },
            _ => self.of_value(&word.into()),
        }
    }

    /// A JSON value, as the program gets it.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn of_value(&self, value: &Json) -> Result<String, String> {
        // MUTATE(D1-slot): a slot takes whatever it is given
        self.rules.check(value).map_err(|_| self.rule())?;
        match (&self.slot.kind, value) {
            (Kind::Path, Json::String(text)) => path::contained(text).map_err(str::to_owned),
            // INVARIANT: what a caller writes freely never reads as an option.
            (Kind::Pattern { .. }, Json::String(text)) if text.starts_with('-') => {
                Err("must not start with `-`".into())
            }
            (_, Json::String(text)) if text.contains('\0') => Err("must hold no NUL".into()),
            (_, Json::String(text)) => Ok(text.clone()),
            // `3.0` is an integer to JSON Schema, and none to a program.
            (_, Json::Number(number)) => number.as_i64().map(|n| n.to_string()).ok_or_else(|| self.rule()),
            _ => Err(self.rule()),
        }
    }

    /// What must hold, to be read after the slot's name.
    pub(super) fn rule(&self) -> String {
        match &self.slot.kind {
            Kind::Choice(words) => format!("must be one of {}", words.join(", ")),
            Kind::Integer { min, max } => format!("must be a whole number from {min} to {max}"),
            Kind::Path => "must be a path below the command's root".into(),
            Kind::Pattern { pattern, max_length } => {
                format!("must match the pattern {pattern} with at most {max_length} characters")
            }
        }
    }

    /// The slot in a line of usage.
    pub(super) fn usage(&self) -> String {
        let value = match &self.slot.kind {
            Kind::Choice(words) => words.join("|"),
            Kind::Integer { min, max } => format!("{min}..{max}"),
            Kind::Path => "PATH".into(),
            Kind::Pattern { .. } => self.slot.name.to_ascii_uppercase(),
        };
        let value = match &self.slot.option {
            Some(option) => format!("{option} {value}"),
            None => value,
        };
        let more = if self.slot.most > 1 { "..." } else { "" };
        if self.slot.required { format!("<{value}>{more}") } else { format!("[{value}]{more}") }
    }
}

/// The JSON Schema of one value.
fn one(kind: &Kind) -> Json {
    match kind {
        Kind::Choice(words) => json!({"type": "string", "enum": words}),
        Kind::Integer { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Path => json!({"type": "string", "minLength": 1, "maxLength": 4096}),
        Kind::Pattern { pattern, max_length } => {
            // Without the flag `m`, `^` and `$` are the ends of the text; the group keeps the expression's own flags and alternatives inside.
            let mut schema = Map::new();
            schema.insert("type".into(), "string".into());
            schema.insert("pattern".into(), format!("^(?:{pattern})$").into());
            schema.insert("maxLength".into(), (*max_length).into());
            Json::Object(schema)
        }
    }
}

fn check_declaration(slot: &Slot) -> Result<(), String> {
    if let Some(option) = &slot.option
        && !is_option(option)
    {
        return Err("`option` must be an option such as `--maxfail` or `-k`".into());
    }
    match &slot.kind {
        Kind::Choice(words) if words.is_empty() => Err("`values` must list at least one word".into()),
        Kind::Choice(words)
            if words.iter().any(|word| word.is_empty() || word.chars().any(char::is_control)) =>
        {
            Err("`values` must be words without control characters".into())
        }
        Kind::Integer { min, max } if min > max => Err("`min` must not be above `max`".into()),
        _ => Ok(()),
    }
}

fn is_option(text: &str) -> bool {
    let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
    name.is_some_and(|name| {
        name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    })
}
