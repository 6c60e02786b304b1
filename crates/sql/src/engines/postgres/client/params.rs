//! Parameters: JSON's scalars as text of the type that the server inferred, refused here where the reason can be told.

use crate::{Refusal, Rule, Value};

const BOOL: u32 = 16;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const OID: u32 = 26;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
const UNKNOWN: u32 = 705;
const BPCHAR: u32 = 1042;
const VARCHAR: u32 = 1043;
const NAME: u32 = 19;
const BYTEA: u32 = 17;
const NUMERIC: u32 = 1700;

/// The parameters as the server reads them.
///
/// # Errors
/// [`Rule::Parameters`], naming `/params/N` and what must hold there; never the value.
pub(super) fn encode(values: &[Value], types: &[u32]) -> Result<Vec<Option<String>>, Refusal> {
    if values.len() != types.len() {
        let message = format!("the statement takes {} parameters, {} were given", types.len(), values.len());
        return Err(Refusal::new(Rule::Parameters, message));
    }
    let one = |(position, (value, &oid)): (usize, (&Value, &u32))| {
        text(value, oid).map_err(|must| unfit(position, must))
    };
    values.iter().zip(types).enumerate().map(one).collect()
}

/// The refusal of one parameter, counted from 0.
pub(super) fn unfit(position: usize, must: &str) -> Refusal {
    Refusal::new(Rule::Parameters, format!("/params/{position} {must}"))
}

fn text(value: &Value, oid: u32) -> Result<Option<String>, &'static str> {
    let must = match oid {
        BOOL => "must be true or false",
        INT2 => "must be an integer of 16 bits",
        INT4 => "must be an integer of 32 bits",
        INT8 => "must be an integer of 64 bits",
        OID => "must be an unsigned integer of 32 bits",
        FLOAT4 | FLOAT8 | NUMERIC => "must be a number",
        TEXT | VARCHAR | BPCHAR | NAME | UNKNOWN => "must be a string",
        _ => "must be a string in the form of its type",
    };
    let fits = |known: bool, text: String| if known { Ok(Some(text)) } else { Err(must) };
    match value {
        Value::Null => Ok(None),
        Value::Boolean(truth) => fits(oid == BOOL, truth.to_string()),
        Value::Integer(n) => match oid {
            BOOL => fits(matches!(n, 0 | 1), (*n == 1).to_string()),
            _ => fits(integer_fits(*n, oid), n.to_string()),
        },
        Value::Real(x) => fits(matches!(oid, FLOAT4 | FLOAT8 | NUMERIC) && x.is_finite(), x.to_string()),
        Value::Decimal(text) => fits(matches!(oid, FLOAT4 | FLOAT8 | NUMERIC), text.clone()),
        Value::Text(text) => match oid {
            INT2 | INT4 | INT8 | OID => fits(text.parse().is_ok_and(|n| integer_fits(n, oid)), text.clone()),
            _ if text.contains('\0') => Err("must not contain a NUL character"),
            _ => Ok(Some(text.clone())),
        },
        Value::Blob(bytes) => {
            fits(oid == BYTEA, bytes.iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}")))
        }
    }
}

fn integer_fits(n: i64, oid: u32) -> bool {
    match oid {
        INT2 => i16::try_from(n).is_ok(),
        INT4 => i32::try_from(n).is_ok(),
        OID => u32::try_from(n).is_ok(),
        INT8 | FLOAT4 | FLOAT8 | NUMERIC => true,
        _ => false,
    }
}
