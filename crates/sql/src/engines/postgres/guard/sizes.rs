//! Arguments that make the server work for long where it does not look whether it should stop.
//!
//! `repeat`, `lpad`, `format('%999999999s')`, padded types, powers and XPath run in loops of C without a check for interrupts, so neither
//! `statement_timeout` nor a cancel ends them in time. Their sizes must be literals, and small. `generate_series` and regular expressions do
//! check; literal sizes that can only be meant badly are refused early.

use super::{
    json::Json,
    walk::{Fields, Walk, node},
};
use crate::{Refusal, Rule};

/// Longest result of `lpad` and `rpad`, longest `char(n)` and `bit(n)`, characters.
const MAX_LENGTH: f64 = 10_000.0;
/// What all literal counts of `repeat` may come to, multiplied.
const MAX_REPEATS: f64 = 10_000.0;
/// What the rows of all literal `generate_series` may come to, multiplied.
const MAX_SERIES: f64 = 1_000_000.0;
/// What both may come to together: `string_agg` over a series gathers it in memory.
const MAX_GATHERED: f64 = 10_000_000.0;
/// Largest literal exponent.
const MAX_EXPONENT: f64 = 1_000.0;
/// Digits of a number at most.
const MAX_DIGITS: usize = 1_000;
/// What all bounds of a regular expression may come to, multiplied.
const MAX_BOUNDS: f64 = 10_000.0;
/// Steps of an XPath that can each visit the whole document, at most.
const MAX_XPATH_STEPS: usize = 3;

/// What the sizes met so far come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    repeats: f64,
    series: f64,
    /// Common table expressions that are `NOT MATERIALIZED`.
    pub(super) inlined: usize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { repeats: 1.0, series: 1.0, inlined: 0 }
    }
}

fn refusal(what: &str) -> Refusal {
    Refusal::new(Rule::SizeArgument, what)
}

/// A call by its name, without schema.
pub(super) fn call(walk: &mut Walk<'_>, name: &str, fields: Fields<'_>) -> Result<(), Refusal> {
    let args = fields.list("args");
    let argument = |at: usize| args.get(at);
    let sized = matches!(
        name,
        "repeat"
            | "lpad"
            | "rpad"
            | "format"
            | "array_fill"
            | "generate_series"
            | "pow"
            | "power"
            | "factorial"
            | "xpath"
            | "xpath_exists"
            | "xmlexists"
    );
    if sized && (fields.flag("func_variadic") || args.iter().any(is_named)) {
        return Err(refusal("arguments of this function must be given by position").with_detail(name));
    }
    match name {
        "repeat" => {
            let count = argument(1).and_then(constant_number);
            // MUTATE(A9-pg-repeat): repeat may have any count
            walk.sizes.repeats *= count.ok_or_else(|| refusal("repeat needs a literal count"))?.max(1.0);
            if walk.sizes.repeats > MAX_REPEATS {
                return Err(refusal("the counts of repeat, multiplied, exceed 10000"));
            }
        }
        "lpad" | "rpad" => match argument(1).and_then(constant_number) {
            Some(length) if length <= MAX_LENGTH => {}
            _ => return Err(refusal("lpad and rpad need a literal length up to 10000")),
        },
        "format" => match argument(0).and_then(literal_text) {
            Some(text) if format_is_small(text) => {}
            _ => return Err(refusal("format needs a literal format with widths of at most three digits")),
        },
        "array_fill" => match argument(1).map(array_size) {
            Some(Some(size)) if size <= MAX_LENGTH => {}
            _ => return Err(refusal("array_fill needs literal dimensions up to 10000 elements")),
        },
        "generate_series" => {
            let rows = series_rows(args);
            // MUTATE(A9-pg-series): generate_series may have any number of rows
            walk.sizes.series *= rows.max(1.0);
            if walk.sizes.series > MAX_SERIES {
                return Err(refusal("the rows of generate_series, multiplied, exceed 1000000"));
            }
        }
        "pow" | "power" => exponent(argument(1))?,
        "factorial" => match argument(0).and_then(constant_number) {
            Some(of) if of <= MAX_EXPONENT => {}
            _ => return Err(refusal("factorial needs a literal up to 1000")),
        },
        "xpath" | "xpath_exists" | "xmlexists" => path(argument(0))?,
        "similar_to_escape" | "similar_escape" => pattern(argument(0))?,
        "substring"
        | "regexp_replace"
        | "regexp_match"
        | "regexp_matches"
        | "regexp_split_to_array"
        | "regexp_split_to_table"
        | "regexp_count"
        | "regexp_instr"
        | "regexp_like"
        | "regexp_substr" => {
            pattern(argument(1))?;
        }
        _ => {}
    }
    if walk.sizes.repeats * walk.sizes.series > MAX_GATHERED {
        return Err(refusal("repeat and generate_series together exceed 10000000"));
    }
    Ok(())
}

/// An operator by its name, without schema.
pub(super) fn operator(_: &mut Walk<'_>, name: &str, fields: Fields<'_>) -> Result<(), Refusal> {
    match name {
        "^" => exponent(fields.get("rexpr")),
        "~" | "~*" | "!~" | "!~*" => pattern(fields.get("rexpr")),
        _ => Ok(()),
    }
}

fn exponent(argument: Option<&Json<'_>>) -> Result<(), Refusal> {
    match argument.and_then(constant_number) {
        Some(exponent) if exponent.abs() > MAX_EXPONENT => Err(refusal("a literal exponent exceeds 1000")),
        _ => Ok(()),
    }
}

/// A literal: numbers of very many digits are slow to multiply.
pub(super) fn constant(fields: Fields<'_>) -> Result<(), Refusal> {
    let digits = fields.object("fval").and_then(|number| number.text("fval")).unwrap_or_default();
    let exponent = digits.split_once(['e', 'E']).and_then(|(_, exponent)| exponent.parse::<f64>().ok());
    if digits.len() > MAX_DIGITS || exponent.is_some_and(|exponent| exponent.abs() > MAX_EXPONENT) {
        return Err(refusal("a number has more than 1000 digits"));
    }
    Ok(())
}

/// Lengths of a type: `char(n)` and `bit(n)` pad.
pub(super) fn type_modifiers(name: &str, fields: Fields<'_>) -> Result<(), Refusal> {
    let padded = matches!(name, "bpchar" | "char" | "bit" | "varbit");
    for modifier in fields.list("typmods") {
        match node(modifier) {
            Some(("A_Const", _)) => {}
            _ => return Err(refusal("the modifiers of a type must be literals")),
        }
        if padded && constant_number(modifier).is_none_or(|length| length > MAX_LENGTH) {
            return Err(refusal("a padded type is longer than 10000"));
        }
    }
    Ok(())
}

/// `XMLTABLE(path …)`.
pub(super) fn xml_table(fields: Fields<'_>) -> Result<(), Refusal> {
    path(fields.get("rowexpr"))
}

/// `COLUMNS c type PATH path`.
pub(super) fn xml_column(fields: Fields<'_>) -> Result<(), Refusal> {
    match fields.get("colexpr") {
        Some(expression) => path(Some(expression)),
        None => Ok(()),
    }
}

/// An XPath: libxml evaluates it without looking at the clock, and each step over the whole document multiplies.
fn path(argument: Option<&Json<'_>>) -> Result<(), Refusal> {
    let Some(text) = argument.and_then(literal_text) else {
        return Err(refusal("an XPath must be a literal"));
    };
    let steps: usize = ["//", "::", "[", "*"].iter().map(|step| text.matches(step).count()).sum();
    if steps > MAX_XPATH_STEPS || text.len() > 200 {
        return Err(refusal("an XPath has more than 3 steps over the whole document, or is longer than 200"));
    }
    Ok(())
}

/// A literal regular expression: bounds such as `{250}` multiply the automaton.
fn pattern(argument: Option<&Json<'_>>) -> Result<(), Refusal> {
    let Some(text) = argument.and_then(literal_text) else { return Ok(()) };
    let mut product = 1.0;
    for part in text.split('{').skip(1) {
        let bound = part.split('}').next().unwrap_or_default();
        let largest =
            bound.split(',').filter_map(|number| number.trim().parse::<f64>().ok()).fold(1.0, f64::max);
        product *= largest;
    }
    if product > MAX_BOUNDS {
        return Err(refusal("the bounds of a regular expression, multiplied, exceed 10000"));
    }
    Ok(())
}

fn is_named(argument: &Json<'_>) -> bool {
    matches!(node(argument), Some(("NamedArgExpr", _)))
}

/// Widths of at most three digits, none from an argument.
fn format_is_small(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let head = rest.get(..end).unwrap_or_default();
        !head.contains('*')
            && head
                .split(|c: char| !c.is_ascii_digit())
                .all(|digits| digits.trim_start_matches('0').len() <= 3)
    })
}

/// Elements of `ARRAY[2, 3]` as dimensions.
fn array_size(argument: &Json<'_>) -> Option<f64> {
    match node(argument) {
        Some(("A_ArrayExpr", array)) => {
            array.list("elements").iter().map(constant_number).try_fold(1.0, |size, next| Some(size * next?))
        }
        _ => None,
    }
}

/// Rows of a series between literals; 1 if a bound is not one, since the executor can stop a series at every row.
fn series_rows(args: &[Json<'_>]) -> f64 {
    let numbers: Vec<Option<f64>> = args.iter().map(constant_number).collect();
    let step = match numbers.get(2) {
        None => 1.0,
        Some(Some(step)) => step.abs().max(1e-9),
        Some(None) => return 1.0,
    };
    match (numbers.first(), numbers.get(1)) {
        (Some(Some(from)), Some(Some(to))) => ((to - from).abs() / step).max(1.0),
        // From a column or placeholder to a huge number is as bad.
        (_, Some(Some(to))) if to.abs() > MAX_SERIES => to.abs() / step,
        _ => 1.0,
    }
}

/// The text of a string literal, also behind casts that leave it as it is.
pub(super) fn literal_text<'t>(json: &'t Json<'t>) -> Option<&'t str> {
    match node(json)? {
        ("A_Const", constant) => Some(constant.object("sval")?.text("sval").unwrap_or_default()),
        ("TypeCast", cast) if casts_to(cast, &["text", "varchar", "xml"]) => literal_text(cast.get("arg")?),
        _ => None,
    }
}

/// Whether a cast is to one of these types, without a length that would cut or pad.
fn casts_to(cast: Fields<'_>, types: &[&str]) -> bool {
    cast.object("typeName").is_some_and(|to| {
        to.list("typmods").is_empty()
            && to.list("arrayBounds").is_empty()
            && match to.names("names").as_slice() {
                [name] | ["pg_catalog", name] => types.contains(name),
                _ => false,
            }
    })
}

/// The value of a literal number: plain, in a string, negated, cast to a number, or computed from whole numbers.
///
/// INVARIANT: the server's value is at most twice as large. So arithmetic takes whole numbers alone, without casts and division, which
/// round, and without shifts, which wrap.
fn constant_number(json: &Json<'_>) -> Option<f64> {
    let value = match node(json)? {
        ("A_Expr", _) => whole_number(json).or_else(|| negated(json))?,
        ("TypeCast", cast) if casts_to(cast, &["int2", "int4", "int8", "numeric", "float4", "float8"]) => {
            let number = cast.get("arg")?;
            leaf(number).or_else(|| negated(number))?
        }
        _ => leaf(json)?,
    };
    // Not a number compares as nothing: count it as too much.
    Some(if value.is_nan() { f64::INFINITY } else { value })
}

fn leaf(json: &Json<'_>) -> Option<f64> {
    let ("A_Const", constant) = node(json)? else { return None };
    if let Some(number) = constant.object("ival") {
        Some(number.number("ival") as f64)
    } else if let Some(number) = constant.object("fval") {
        numeral(number.text("fval")?)
    } else {
        numeral(constant.object("sval")?.text("sval")?)
    }
}

fn negated(json: &Json<'_>) -> Option<f64> {
    match node(json)? {
        ("A_Expr", expression)
            if expression.get("lexpr").is_none() && expression.names("name").last() == Some(&"-") =>
        {
            Some(-leaf(expression.get("rexpr")?)?)
        }
        _ => None,
    }
}

fn whole_number(json: &Json<'_>) -> Option<f64> {
    match node(json)? {
        ("A_Const", constant) => Some(constant.object("ival")?.number("ival") as f64),
        ("A_Expr", expression) => {
            let right = whole_number(expression.get("rexpr")?)?;
            let left = match expression.get("lexpr") {
                Some(left) => whole_number(left)?,
                None => 0.0,
            };
            match *expression.names("name").last()? {
                "+" => Some(left + right),
                "-" => Some(left - right),
                "*" => Some(left * right),
                "^" => Some(left.powf(right)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A number as PostgreSQL writes it, also `0x10` and `1_000`.
fn numeral(text: &str) -> Option<f64> {
    let text: String = text.trim().chars().filter(|c| *c != '_').collect();
    let radix = |prefix: &str, radix| {
        text.strip_prefix(prefix)
            .and_then(|digits| u128::from_str_radix(digits, radix).ok())
            .map(|value| value as f64)
    };
    radix("0x", 16)
        .or_else(|| radix("0X", 16))
        .or_else(|| radix("0o", 8))
        .or_else(|| radix("0b", 2))
        .or_else(|| text.parse().ok())
}
