//! One `[query.NAME.params.X]`: its type and rules become a JSON Schema, which the pipeline's validator enforces.

use std::collections::BTreeMap;

use countersign_core::schema::Validator;
use serde_json::{Map, Value as Json, json};

use super::{
    entry::{Bind, Kind, Origin, Param, Scalar},
    keys::Keys,
    problem::Problem,
};

/// The keys of a parameter.
pub(super) const KEYS: &[&str] = &[
    "type",
    "items",
    "description",
    "required",
    "default",
    "bind",
    "min",
    "max",
    "min_length",
    "max_length",
    "pattern",
    "enum",
    "min_items",
    "max_items",
    "aliases",
];
/// Keys that say what a caller may send, and so mean nothing for a value of the identity.
const SENT: &[&str] = &["required", "default", "aliases"];
/// Characters of a string, and items of an array, unless the entry says otherwise.
const USUAL_LENGTH: u64 = 1000;
const USUAL_ITEMS: u64 = 100;
/// What an entry may raise them to.
const MAX_LENGTH: u64 = 100_000;
const MAX_ITEMS: u64 = 1000;

/// Reads one parameter.
pub(super) fn read(name: &str, keys: &Keys<'_>, problems: &mut Vec<Problem>) -> Option<Param> {
    let before = problems.len();
    let kind = kind(keys, problems)?;
    let description = keys.text("description", 1000, problems).unwrap_or_default();
    let schema = schema(kind, keys, problems);
    let origin = origin(keys, problems);
    let aliases = aliases(kind, keys, problems);
    if problems.len() > before {
        return None;
    }
    let param = Param {
        name: name.to_owned(),
        description,
        origin,
        kind,
        schema,
        aliases,
        place: keys.place().clone(),
    };
    check_values(&param, keys, problems);
    (problems.len() == before).then_some(param)
}

fn kind(keys: &Keys<'_>, problems: &mut Vec<Problem>) -> Option<Kind> {
    let mut words: Vec<(&str, Option<Scalar>)> =
        Scalar::ALL.iter().map(|(word, scalar)| (*word, Some(*scalar))).collect();
    words.push(("array", None));
    if !keys.has("type") {
        keys.required("type", 64, problems);
        return None;
    }
    match keys.word("type", &words, problems)? {
        Some(scalar) => {
            for key in ["items", "min_items", "max_items"] {
                if keys.has(key) {
                    problems.push(keys.wrong(key, "is for `type = \"array\"` alone", None));
                }
            }
            Some(Kind::One(scalar))
        }
        None if !keys.has("items") => {
            keys.required("items", 64, problems);
            None
        }
        None => keys.word("items", &Scalar::ALL, problems).map(Kind::Array),
    }
}

/// The JSON Schema of one value; of an array, its rules for lengths, ranges, patterns and enums are those of the items.
fn schema(kind: Kind, keys: &Keys<'_>, problems: &mut Vec<Problem>) -> Json {
    let (Kind::One(scalar) | Kind::Array(scalar)) = kind;
    let mut one = Map::new();
    let (word, format) = match scalar {
        Scalar::String => ("string", None),
        Scalar::Integer => ("integer", None),
        Scalar::Number => ("number", None),
        Scalar::Boolean => ("boolean", None),
        Scalar::Date => ("string", Some("date")),
        Scalar::Timestamp => ("string", Some("date-time")),
        Scalar::Uuid => ("string", Some("uuid")),
    };
    one.insert("type".into(), word.into());
    one.extend(format.map(|format| ("format".to_owned(), Json::from(format))));
    bounds(scalar, keys, &mut one, problems);
    if scalar == Scalar::String {
        let min = keys.whole("min_length", 0..=MAX_LENGTH, problems);
        let max = keys.whole("max_length", 1..=MAX_LENGTH, problems).unwrap_or(USUAL_LENGTH);
        if min.is_some_and(|min| min > max) {
            problems.push(keys.wrong("min_length", "must not be greater than `max_length`", None));
        }
        one.extend(min.map(|min| ("minLength".to_owned(), Json::from(min))));
        one.insert("maxLength".into(), max.into());
    } else {
        for key in ["min_length", "max_length", "pattern"] {
            if keys.has(key) {
                problems.push(keys.wrong(key, "is for strings alone", None));
            }
        }
    }
    if let Some(pattern) = keys.text("pattern", 1000, problems) {
        match anchored(&pattern) {
            Ok(anchored) => drop(one.insert("pattern".into(), anchored.into())),
            Err(reason) => problems.push(keys.wrong("pattern", &reason, None)),
        }
    }
    match keys.json("enum", problems) {
        None => {}
        Some(Json::Array(values)) if (1..=1000).contains(&values.len()) => {
            drop(one.insert("enum".into(), Json::Array(values)));
        }
        Some(_) => problems.push(keys.wrong("enum", "must be a list of 1 to 1000 values", None)),
    }
    match kind {
        Kind::One(_) => Json::Object(one),
        Kind::Array(_) => {
            let min = keys.whole("min_items", 0..=MAX_ITEMS, problems).unwrap_or(0);
            let max = keys.whole("max_items", 1..=MAX_ITEMS, problems).unwrap_or(USUAL_ITEMS);
            if min > max {
                problems.push(keys.wrong("min_items", "must not be greater than `max_items`", None));
            }
            json!({"type": "array", "items": one, "minItems": min, "maxItems": max})
        }
    }
}

/// `min` and `max` of numbers; integers have those of 64 bits in any case.
fn bounds(scalar: Scalar, keys: &Keys<'_>, one: &mut Map<String, Json>, problems: &mut Vec<Problem>) {
    let usual = match scalar {
        Scalar::Integer => [Some(Json::from(i64::MIN)), Some(Json::from(i64::MAX))],
        _ => [None, None],
    };
    for ((key, word), usual) in [("min", "minimum"), ("max", "maximum")].into_iter().zip(usual) {
        let written = keys.json(key, problems);
        let fits = |bound: &Json| match scalar {
            Scalar::Integer => bound.is_i64(),
            Scalar::Number => bound.is_number(),
            _ => false,
        };
        if written.as_ref().is_some_and(|bound| !fits(bound)) {
            let rule = match scalar {
                Scalar::Integer => "must be a whole number",
                Scalar::Number => "must be a number",
                _ => "is for numbers alone",
            };
            problems.push(keys.wrong(key, rule, None));
        }
        one.extend(written.or(usual).map(|bound| (word.to_owned(), bound)));
    }
    let bound = |word: &str| one.get(word).and_then(Json::as_f64);
    if let (Some(min), Some(max)) = (bound("minimum"), bound("maximum"))
        && min > max
    {
        problems.push(keys.wrong("min", "must not be greater than `max`", None));
    }
}

/// A pattern that must match the whole value.
///
/// INVARIANT: the pattern compiles by itself before it is put in parentheses, so that `a)|(b` cannot close them.
fn anchored(pattern: &str) -> Result<String, String> {
    let compiles = |pattern: &str| {
        let schema = json!({"type": "string", "pattern": pattern});
        Validator::compile(&schema)
            .map(drop)
            .map_err(|_| "must be a regular expression without look-around and back-references".to_owned())
    };
    compiles(pattern)?;
    // MUTATE(A11-anchored): a pattern need only match a part of the value
    let whole = format!("^(?:{pattern})$");
    compiles(&whole)?;
    Ok(whole)
}

fn origin(keys: &Keys<'_>, problems: &mut Vec<Problem>) -> Origin {
    if let Some(bound) = keys.text("bind", 128, problems) {
        for key in SENT.iter().filter(|key| keys.has(key)) {
            problems.push(keys.wrong(key, "means nothing for a parameter with `bind`", None));
        }
        return match bound.split_once(':') {
            None if bound == "tenant" => Origin::Identity(Bind::Tenant),
            None if bound == "subject" => Origin::Identity(Bind::Subject),
            Some(("claim", name)) if !name.is_empty() => Origin::Identity(Bind::Claim(name.to_owned())),
            _ => {
                let rule = "must be \"tenant\", \"subject\" or \"claim:NAME\"";
                problems.push(keys.wrong("bind", rule, None));
                Origin::Required
            }
        };
    }
    let required = keys.flag("required", problems);
    match keys.json("default", problems) {
        Some(_) if required == Some(true) => {
            problems.push(keys.wrong("required", "must not be true with a default", None));
            Origin::Required
        }
        Some(default) => Origin::Default(default),
        None if required == Some(false) => Origin::Optional,
        None => Origin::Required,
    }
}

fn aliases(kind: Kind, keys: &Keys<'_>, problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let mut aliases = BTreeMap::new();
    for chosen in keys.chosen("aliases", problems) {
        if kind != Kind::One(Scalar::String) {
            problems.push(keys.wrong("aliases", "is for strings alone", None));
            break;
        }
        match chosen.text(USUAL_LENGTH as usize) {
            Some(text) => drop(aliases.insert(chosen.name.trim().to_lowercase(), text)),
            None => problems.push(chosen.wrong("must be a text")),
        }
    }
    aliases
}

/// Values of the entry itself keep the rules that callers must keep.
fn check_values(param: &Param, keys: &Keys<'_>, problems: &mut Vec<Problem>) {
    let Ok(validator) = Validator::compile(&param.schema) else {
        problems.push(keys.wrong("type", "and its rules do not make a valid schema", None));
        return;
    };
    if let Origin::Default(default) = &param.origin
        && let Err(denied) = validator.check(default)
    {
        problems.push(keys.wrong("default", &format!("breaks its own rules: {}", denied.public()), None));
    }
    let one = match param.kind {
        Kind::One(_) => param.schema.clone(),
        Kind::Array(_) => param.schema.get("items").cloned().unwrap_or_default(),
    };
    let listed = one.get("enum").and_then(Json::as_array).cloned().unwrap_or_default();
    let mut rest = one;
    rest.as_object_mut().map(|rules| rules.remove("enum"));
    if Validator::compile(&rest).is_ok_and(|rules| listed.iter().any(|value| rules.check(value).is_err())) {
        problems.push(keys.wrong("enum", "must hold values that keep the parameter's other rules", None));
    }
    if param.aliases.values().any(|value| validator.check(&Json::from(value.as_str())).is_err()) {
        problems.push(keys.wrong("aliases", "must stand for values that keep the parameter's rules", None));
    }
}
