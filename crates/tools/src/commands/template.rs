//! A command's arguments: fixed words, and slots that callers fill.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::slot::{Checked, Kind, Slot};

/// One place in the argument vector.
enum Piece {
    /// This word.
    Word(String),
    /// All values of this slot, each after the slot's option if it has one.
    Slot(usize),
}

/// The argument vector with its gaps. Every slot stands in it once.
pub(super) struct Template {
    pieces: Vec<Piece>,
    slots: Vec<Checked>,
}

/// What a caller gave for each slot, by the slot's position.
pub(super) type Filled = BTreeMap<usize, Vec<String>>;

/// Which argument breaks which rule; `field` is a name or a position below the tool's arguments.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Unfit {
    pub(super) field: String,
    pub(super) rule: String,
}

impl Template {
    /// `argv` is the operator's: `{name}` as a whole word is a slot, anything else stands as it is.
    ///
    /// # Errors
    /// A slot that is not declared, stands twice, is never used, or breaks a rule.
    pub(super) fn new(argv: &[String], slots: Vec<Slot>) -> Result<Template, String> {
        let mut checked = Vec::with_capacity(slots.len());
        let mut options = BTreeSet::new();
        for slot in slots {
            let name = slot.name.clone();
            let words: Vec<String> = match (&slot.option, &slot.kind) {
                (Some(option), _) => vec![option.clone()],
                (None, Kind::Choice(words)) => words.clone(),
                _ => Vec::new(),
            };
            for word in words {
                if !options.insert(word.clone()) {
                    return Err(format!("the word `{word}` belongs to two slots"));
                }
            }
            checked.push(Checked::new(slot).map_err(|rule| format!("slot `{name}`: {rule}"))?);
        }
        let mut used = BTreeSet::new();
        let mut pieces = Vec::with_capacity(argv.len());
        for word in argv {
            let Some(name) = word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
                if word.contains('\0') {
                    return Err("`argv` must hold no NUL".into());
                }
                pieces.push(Piece::Word(word.clone()));
                continue;
            };
            let at = checked.iter().position(|one: &Checked| one.slot.name == name);
            let at = at.ok_or_else(|| format!("`argv` names the slot `{name}`, which is not declared"))?;
            if !used.insert(at) {
                return Err(format!("`argv` names the slot `{name}` twice"));
            }
            pieces.push(Piece::Slot(at));
        }
        match checked.iter().enumerate().find(|(at, _)| !used.contains(at)) {
            Some((_, unused)) => Err(format!("the slot `{}` does not stand in `argv`", unused.slot.name)),
            None => Ok(Template { pieces, slots: checked }),
        }
    }

    /// The words that the program gets.
    pub(super) fn render(&self, filled: &Filled) -> Vec<String> {
        let mut words = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Word(word) => words.push(word.clone()),
                Piece::Slot(at) => {
                    let option = self.slots.get(*at).and_then(|one| one.slot.option.as_ref());
                    for value in filled.get(at).into_iter().flatten() {
                        words.extend(option.cloned());
                        words.push(value.clone());
                    }
                }
            }
        }
        words
    }

    /// Reads words as a person types them after the command's name: options with their values, words of choices, and the rest in order.
    ///
    /// # Errors
    /// The position of the word, and the rule that it breaks.
    pub(super) fn of_words(&self, words: &[&str]) -> Result<Filled, Unfit> {
        let mut filled = Filled::new();
        let mut rest = words.iter().enumerate();
        while let Some((at, word)) = rest.next() {
            let field = format!("/{at}");
            if let Some(slot) = self.with_option(word) {
                let (at, value) = rest.next().ok_or_else(|| Unfit {
                    field: field.clone(),
                    rule: "must be followed by its value, as an argument of its own".into(),
                })?;
                self.put(&mut filled, slot, format!("/{at}"), |one| one.of_word(value))?;
            } else if let Some(slot) = self.with_choice(word) {
                self.put(&mut filled, slot, field, |one| one.of_word(word))?;
            // MUTATE(D1-flag): a word that looks like an option fills a slot
            } else if word.starts_with('-') {
                return Err(Unfit { field, rule: self.unknown_option() });
            } else {
                let slot = self.next_free(&filled, word).ok_or_else(|| self.no_room(&field, word))?;
                self.put(&mut filled, slot, field, |one| one.of_word(word))?;
            }
        }
        self.complete(filled)
    }

    /// Reads named arguments.
    ///
    /// # Errors
    /// The name of the argument, and the rule that it breaks.
    pub(super) fn of_names(&self, arguments: &Map<String, Json>) -> Result<Filled, Unfit> {
        let mut filled = Filled::new();
        for (name, value) in arguments {
            let field = format!("/{name}");
            let slot = self.slots.iter().position(|one| one.slot.name == *name);
            let slot = slot.ok_or_else(|| Unfit {
                field: field.clone(),
                rule: "is not a slot of this command".into(),
            })?;
            match value {
                Json::Array(values) => {
                    for (at, value) in values.iter().enumerate() {
                        self.put(&mut filled, slot, format!("{field}/{at}"), |one| one.of_value(value))?;
                    }
                }
                value => self.put(&mut filled, slot, field, |one| one.of_value(value))?,
            }
        }
        self.complete(filled)
    }

    /// The JSON Schema of named arguments.
    pub(super) fn schema(&self) -> Json {
        let properties: Map<String, Json> =
            self.slots.iter().map(|one| (one.slot.name.clone(), one.schema())).collect();
        let required: Vec<&str> =
            self.slots.iter().filter(|one| one.slot.required).map(|one| one.slot.name.as_str()).collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }

    /// The slots as a line of usage, in the order of the template.
    pub(super) fn usage(&self) -> String {
        let slots = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Word(_) => None,
            Piece::Slot(at) => self.slots.get(*at).map(Checked::usage),
        });
        slots.collect::<Vec<_>>().join(" ")
    }

    fn put(
        &self,
        filled: &mut Filled,
        slot: usize,
        field: String,
        check: impl FnOnce(&Checked) -> Result<String, String>,
    ) -> Result<(), Unfit> {
        let Some(one) = self.slots.get(slot) else {
            return Err(Unfit { field, rule: "is not a slot of this command".into() });
        };
        let value = check(one).map_err(|rule| Unfit { field: field.clone(), rule })?;
        let values = filled.entry(slot).or_default();
        if values.len() >= one.slot.most as usize {
            return Err(Unfit { field, rule: format!("may be given at most {} time(s)", one.slot.most) });
        }
        values.push(value);
        Ok(())
    }

    fn complete(&self, filled: Filled) -> Result<Filled, Unfit> {
        let missing =
            self.slots.iter().enumerate().find(|(at, one)| one.slot.required && !filled.contains_key(at));
        match missing {
            Some((_, one)) => {
                Err(Unfit { field: String::new(), rule: format!("`{}` is required", one.slot.name) })
            }
            None => Ok(filled),
        }
    }

    fn with_option(&self, word: &str) -> Option<usize> {
        self.slots.iter().position(|one| one.slot.option.as_deref() == Some(word))
    }

    fn with_choice(&self, word: &str) -> Option<usize> {
        let is_choice = |one: &Checked| matches!(one.slot.kind, Kind::Choice(_));
        self.slots.iter().position(|one| is_choice(one) && one.takes_word(word))
    }

    /// The first slot, in the order of the template, that has room and takes the word.
    fn next_free(&self, filled: &Filled, word: &str) -> Option<usize> {
        let has_room =
            |at: &usize, one: &Checked| filled.get(at).map_or(0, Vec::len) < one.slot.most as usize;
        self.positional().find(|(at, one)| has_room(at, one) && one.takes_word(word)).map(|(at, _)| at)
    }

    /// The slots without an option, in the order of the template.
    fn positional(&self) -> impl Iterator<Item = (usize, &Checked)> {
        let slots = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Word(_) => None,
            Piece::Slot(at) => Some((*at, self.slots.get(*at)?)),
        });
        slots.filter(|(_, one)| one.slot.option.is_none())
    }

    /// Why a word that is no option found no slot: the rule of the slot that it would have filled, if there is just one.
    fn no_room(&self, field: &str, word: &str) -> Unfit {
        let mut open = self.positional().filter(|(_, one)| !matches!(one.slot.kind, Kind::Choice(_)));
        let rule = match (open.next(), open.next()) {
            (Some((_, only)), None) => Some(match only.of_word(word) {
                Err(rule) => rule,
                Ok(_) => format!("is one too many: `{}` takes at most {}", only.slot.name, only.slot.most),
            }),
            _ => None,
        };
        let rule = rule.unwrap_or_else(|| match self.usage() {
            usage if usage.is_empty() => "is one too many: this command takes no arguments".into(),
            usage => format!("fits no argument of this command: {usage}"),
        });
        Unfit { field: field.to_owned(), rule }
    }

    fn unknown_option(&self) -> String {
        match self.usage() {
            usage if usage.is_empty() => "is no option of this command, which takes no arguments".into(),
            usage => format!("is no option of this command: {usage}"),
        }
    }
}
