//! Values as the server writes them, to ours. The text form is defined for every type, extensions' too, and loses nothing.

use crate::Value;

/// A value that is not null. Types that are not listed are text: dates and times in ISO 8601, intervals, UUIDs, addresses, arrays, JSON,
/// ranges, composites, enumerations.
pub(super) fn decode(bytes: &[u8], type_oid: u32) -> Value {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => return Value::Blob(bytes.to_vec()),
    };
    let known = match type_oid {
        16 => match text {
            "t" => Some(Value::Boolean(true)),
            "f" => Some(Value::Boolean(false)),
            _ => None,
        },
        20 | 21 | 23 | 26 => text.parse().ok().map(Value::Integer),
        // Infinities and NaN stay text: JSON has no number for them.
        700 | 701 => text.parse().ok().filter(|x: &f64| x.is_finite()).map(Value::Real),
        1700 => Some(Value::Decimal(text.to_owned())),
        17 => text.strip_prefix("\\x").and_then(unhex).map(Value::Blob),
        _ => None,
    };
    known.unwrap_or_else(|| Value::Text(text.to_owned()))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(high)? << 4 | digit(low)?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// The name of a type as the server's `format_type` writes it, for the types that results mostly have.
pub(super) fn type_name(oid: u32) -> Option<&'static str> {
    Some(match oid {
        16 => "boolean",
        17 => "bytea",
        18 => "\"char\"",
        19 => "name",
        20 => "bigint",
        21 => "smallint",
        23 => "integer",
        25 => "text",
        26 => "oid",
        114 => "json",
        142 => "xml",
        600 => "point",
        650 => "cidr",
        700 => "real",
        701 => "double precision",
        790 => "money",
        829 => "macaddr",
        869 => "inet",
        1000 => "boolean[]",
        1005 => "smallint[]",
        1007 => "integer[]",
        1009 => "text[]",
        1015 => "character varying[]",
        1016 => "bigint[]",
        1021 => "real[]",
        1022 => "double precision[]",
        1042 => "character",
        1043 => "character varying",
        1082 => "date",
        1083 => "time without time zone",
        1114 => "timestamp without time zone",
        1115 => "timestamp without time zone[]",
        1182 => "date[]",
        1184 => "timestamp with time zone",
        1185 => "timestamp with time zone[]",
        1186 => "interval",
        1231 => "numeric[]",
        1266 => "time with time zone",
        1560 => "bit",
        1562 => "bit varying",
        1700 => "numeric",
        2950 => "uuid",
        2951 => "uuid[]",
        3614 => "tsvector",
        3615 => "tsquery",
        3802 => "jsonb",
        3807 => "jsonb[]",
        3904 => "int4range",
        3906 => "numrange",
        3908 => "tsrange",
        3910 => "tstzrange",
        3912 => "daterange",
        3926 => "int8range",
        4072 => "jsonpath",
        _ => return None,
    })
}
