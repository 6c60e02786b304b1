//! The functions that a statement may call: those that read nothing but their arguments, the clock and chance.
//!
//! Left out on purpose: `load_extension` and `edit` (run code), `fts3_tokenizer` (pointers), `writefile`, `readfile` (files), `sqlite_*`
//! (build and settings), `changes`, `total_changes`, `last_insert_rowid` (state), `fts5`, `fts5_*`, `rtreecheck` and `rtreenode`
//! (internals). Whatever is not listed is refused, so a newer SQLite adds no function here by itself.

/// Sorted, for the documentation and for binary search.
pub const ALLOWED_FUNCTIONS: &[&str] = &[
    "->", "->>", "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "avg", "bm25", "ceil", "ceiling", "char",
    "coalesce", "concat", "concat_ws", "cos", "cosh", "count", "cume_dist", "current_date", "current_time", "current_timestamp",
    "date", "datetime", "degrees", "dense_rank", "exp", "first_value", "floor", "format", "glob", "group_concat", "hex",
    "highlight", "if", "ifnull", "iif", "instr", "json", "json_array", "json_array_insert", "json_array_length",
    "json_error_position", "json_extract", "json_group_array", "json_group_object", "json_insert", "json_object", "json_patch",
    "json_pretty", "json_quote", "json_remove", "json_replace", "json_set", "json_type", "json_valid", "jsonb", "jsonb_array",
    "jsonb_array_insert", "jsonb_extract", "jsonb_group_array", "jsonb_group_object", "jsonb_insert", "jsonb_object",
    "jsonb_patch", "jsonb_remove", "jsonb_replace", "jsonb_set", "julianday", "lag", "last_value", "lead", "length", "like",
    "likelihood", "likely", "ln", "log", "log10", "log2", "lower", "ltrim", "match", "matchinfo", "max", "median", "min", "mod",
    "nth_value", "ntile", "nullif", "octet_length", "offsets", "percent_rank", "percentile", "percentile_cont",
    "percentile_disc", "pi", "pow", "power", "printf", "quote", "radians", "random", "randomblob", "rank", "regexp", "replace",
    "round", "row_number", "rtrim", "sign", "sin", "sinh", "snippet", "soundex", "sqlite_version", "sqrt", "strftime",
    "string_agg", "substr", "substring", "sum", "tan", "tanh", "time", "timediff", "total", "trim", "trunc",
    "typeof", "unhex", "unicode", "unistr", "unistr_quote", "unixepoch", "unlikely", "upper", "zeroblob",
];

/// Whether the list holds a function, in any case.
pub(super) fn allowed(name: &str) -> bool {
    // MUTATE(SQL-FUNCTIONS): every function is allowed
    ALLOWED_FUNCTIONS.binary_search(&name.to_ascii_lowercase().as_str()).is_ok()
}
