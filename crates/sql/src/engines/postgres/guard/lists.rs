//! The lists of what a statement may use: functions, operators, types, settings, options of `EXPLAIN`. What is on none is refused.
//!
//! Chosen by hand from PostgreSQL's catalogue: a function is here if it computes from its arguments, the clock or chance, and writes,
//! locks, sleeps, reads files, settings or catalogues, or runs SQL in a string in none of its forms. Volatility does not decide:
//! `table_to_xml` is stable and dumps a table, `repeat` is immutable and burns minutes. Left out as well are the functions behind operators
//! and types (`int4pl`, `textin`), which nobody calls by name, and some of which would evade a limit on sizes (`dpow`, `bpchar`).

use std::{collections::HashSet, sync::LazyLock};

/// Each line is a group; white space separates names.
const FUNCTIONS: &str = "
    abs acos acosd acosh asin asind asinh atan atan2 atan2d atand atanh cbrt ceil ceiling cos cosd cosh cot cotd degrees div erf erfc exp
    factorial floor gamma gcd lcm lgamma ln log log10 min_scale mod pi pow power radians random random_normal round scale sign sin sind sinh
    sqrt tan tand tanh trim_scale trunc width_bucket

    ascii bit_length btrim casefold char_length character_length chr concat concat_ws convert convert_from convert_to crc32 crc32c decode
    encode format initcap is_normalized left length like like_escape lower lpad ltrim md5 normalize notlike octet_length overlay parse_ident
    position quote_ident quote_literal quote_nullable regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace
    regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim sha224 sha256 sha384 sha512
    similar_escape similar_to_escape split_part starts_with string_to_array string_to_table strpos substr substring to_ascii to_bin to_hex
    to_oct translate unicode_assigned unistr upper

    bit_count get_bit get_byte set_bit set_byte

    age clock_timestamp date_add date_bin date_part date_subtract date_trunc extract isfinite justify_days justify_hours justify_interval
    make_date make_interval make_time make_timestamp make_timestamptz now overlaps statement_timestamp timeofday timezone to_char to_date
    to_number to_timestamp transaction_timestamp

    date float4 float8 int2 int4 int8 numeric text time timestamp timestamptz timetz

    gen_random_uuid uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7

    any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every json_agg json_object_agg jsonb_agg
    jsonb_object_agg max min mode percentile_cont percentile_disc range_agg range_intersect_agg regr_avgx regr_avgy regr_count
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance
    xmlagg

    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number

    array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions array_prepend
    array_remove array_replace array_reverse array_sample array_shuffle array_sort array_to_json array_to_string array_upper cardinality
    generate_subscripts trim_array unnest

    generate_series num_nonnulls num_nulls

    json_array_elements json_array_elements_text json_array_length json_build_array json_build_object json_each json_each_text
    json_extract_path json_extract_path_text json_object json_object_keys json_populate_record json_populate_recordset json_strip_nulls
    json_to_record json_to_recordset json_to_tsvector json_typeof jsonb_array_elements jsonb_array_elements_text jsonb_array_length
    jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object
    jsonb_object_keys jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query jsonb_path_query_array
    jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz jsonb_path_query_tz jsonb_populate_record
    jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_to_tsvector
    jsonb_typeof row_to_json to_json to_jsonb

    datemultirange daterange int4multirange int4range int8multirange int8range isempty lower_inc lower_inf multirange nummultirange numrange
    range_merge tsmultirange tsrange tstzmultirange tstzrange upper_inc upper_inf

    enum_first enum_last enum_range

    abbrev broadcast family host hostmask inet_merge inet_same_family macaddr8_set7bit masklen netmask network set_masklen

    area bound_box box center circle diameter height isclosed ishorizontal isopen isparallel isperp isvertical line lseg npoints path pclose
    point polygon popen radius slope width

    array_to_tsvector numnode phraseto_tsquery plainto_tsquery querytree setweight strip to_tsquery to_tsvector ts_delete ts_filter
    ts_headline ts_rank ts_rank_cd tsquery_phrase tsvector_to_array websearch_to_tsquery

    cash_words xml_is_well_formed xml_is_well_formed_content xml_is_well_formed_document xmlcomment xmlexists xmltext xpath xpath_exists

    current_database current_schema pg_client_encoding pg_collation_for pg_column_size pg_indexes_size pg_relation_size pg_size_bytes
    pg_size_pretty pg_table_size pg_total_relation_size pg_typeof version

    current_setting
";

const OPERATORS: &str = "
    + - * / % ^ |/ ||/ @ & | # ~ << >> < <= = <> >= >
    || ~~ ~~* !~~ !~~* ~* !~ !~* ^@ ~<~ ~<=~ ~>=~ ~>~
    -> ->> #> #>> @> <@ ? ?| ?& #- @? @@ @@@
    && -|- &< &> &<| |&> <<| |>> <<= >>= <^ >^
    ## <-> ?# ?- ?-| ?|| @-@ ~= !!
";

const TYPES: &str = "
    bool int2 int4 int8 float4 float8 numeric money
    text varchar bpchar char name bytea bit varbit
    date time timetz timestamp timestamptz interval
    uuid json jsonb jsonpath xml
    inet cidr macaddr macaddr8
    point line lseg box path polygon circle
    tsvector tsquery
    int4range int8range numrange tsrange tstzrange daterange
    int4multirange int8multirange nummultirange tsmultirange tstzmultirange datemultirange
";

const SETTINGS: &str = "
    application_name client_encoding datestyle default_text_search_config default_transaction_isolation default_transaction_read_only
    extra_float_digits intervalstyle lc_collate lc_ctype lc_monetary lc_numeric lc_time lock_timeout max_identifier_length search_path
    server_encoding server_version server_version_num standard_conforming_strings statement_timeout timezone transaction_isolation
    transaction_read_only
";

/// Columns that built-in functions in `FROM` have. None of these is the name of a function that could be called as `alias.name`.
pub(super) const FUNCTION_COLUMNS: &[&str] =
    &["key", "lexeme", "ordinality", "positions", "value", "weights"];

/// Whether a function of `pg_catalog` returns one value in a column that has a name of its own, whatever its alias.
pub(super) fn names_its_value(function: &str) -> bool {
    matches!(
        function,
        "json_array_elements"
            | "json_array_elements_text"
            | "jsonb_array_elements"
            | "jsonb_array_elements_text"
    )
}

/// Views of `information_schema` that may be read: they show what the role has a right to, nothing more.
const INFORMATION: &[&str] =
    &["columns", "key_column_usage", "referential_constraints", "table_constraints", "tables", "views"];

type Names = LazyLock<HashSet<&'static str>>;

/// Whether a function of `pg_catalog` may be called.
pub(super) fn is_function(name: &str) -> bool {
    static NAMES: Names = LazyLock::new(|| FUNCTIONS.split_ascii_whitespace().collect());
    NAMES.contains(name)
}

/// Functions of PostgreSQL's own extensions for text search and phonetics. They only compute, and in time that grows with their input.
const EXTENSION_FUNCTIONS: &[&str] = &[
    "difference",
    "dmetaphone",
    "dmetaphone_alt",
    "metaphone",
    "show_trgm",
    "similarity",
    "soundex",
    "strict_word_similarity",
    "unaccent",
    "word_similarity",
];

/// Whether a function may be called where an extension brought it.
pub(super) fn is_extension_function(name: &str) -> bool {
    EXTENSION_FUNCTIONS.contains(&name)
}

/// Whether an operator of `pg_catalog` may be used.
pub(super) fn is_operator(name: &str) -> bool {
    static NAMES: Names = LazyLock::new(|| OPERATORS.split_ascii_whitespace().collect());
    NAMES.contains(name)
}

/// Whether a type of `pg_catalog` may be named.
pub(super) fn is_type(name: &str) -> bool {
    static NAMES: Names = LazyLock::new(|| TYPES.split_ascii_whitespace().collect());
    NAMES.contains(name)
}

/// Types of `pg_catalog` that are refused even without a schema: input functions that look names up, and internals.
pub(super) fn is_refused_type(name: &str) -> bool {
    name.starts_with("reg")
        || name.starts_with("pg_")
        || name.starts_with("any")
        || name.starts_with('_')
        || matches!(
            name,
            "oid"
                | "oidvector"
                | "int2vector"
                | "tid"
                | "xid"
                | "xid8"
                | "cid"
                | "cstring"
                | "record"
                | "refcursor"
                | "aclitem"
                | "txid_snapshot"
                | "gtsvector"
                | "internal"
                | "unknown"
                | "void"
                | "trigger"
                | "event_trigger"
                | "language_handler"
                | "fdw_handler"
                | "index_am_handler"
                | "table_am_handler"
                | "tsm_handler"
        )
}

/// Whether a setting may be shown.
pub(super) fn is_setting(name: &str) -> bool {
    static NAMES: Names = LazyLock::new(|| SETTINGS.split_ascii_whitespace().collect());
    NAMES.contains(name)
}

/// Whether a name means a relation of the system. All relations of `pg_catalog`, which every search path holds first, begin with `pg_`.
pub(super) fn is_system_relation(schema: Option<&str>, name: &str) -> bool {
    match schema {
        None => name.starts_with("pg_"),
        Some("information_schema") => !INFORMATION.contains(&name),
        Some(schema) => schema.starts_with("pg_"),
    }
}

/// The function behind a value such as `CURRENT_USER`.
pub(super) fn value_function(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "SVFOP_CURRENT_DATE" => "current_date",
        "SVFOP_CURRENT_TIME" | "SVFOP_CURRENT_TIME_N" => "current_time",
        "SVFOP_CURRENT_TIMESTAMP" | "SVFOP_CURRENT_TIMESTAMP_N" => "current_timestamp",
        "SVFOP_LOCALTIME" | "SVFOP_LOCALTIME_N" => "localtime",
        "SVFOP_LOCALTIMESTAMP" | "SVFOP_LOCALTIMESTAMP_N" => "localtimestamp",
        "SVFOP_CURRENT_ROLE" | "SVFOP_CURRENT_USER" | "SVFOP_USER" => "current_user",
        "SVFOP_SESSION_USER" => "session_user",
        "SVFOP_CURRENT_CATALOG" => "current_database",
        "SVFOP_CURRENT_SCHEMA" => "current_schema",
        _ => return None,
    })
}

/// Whether a name is one that [`value_function`] gives.
pub(super) fn is_value_function(name: &str) -> bool {
    matches!(
        name,
        "current_date"
            | "current_time"
            | "current_timestamp"
            | "localtime"
            | "localtimestamp"
            | "current_user"
            | "session_user"
    )
}

/// Names that the server gives to columns that the text does not name.
pub(super) fn value_label(name: &str) -> bool {
    matches!(
        name,
        "array"
            | "case"
            | "coalesce"
            | "exists"
            | "greatest"
            | "grouping"
            | "least"
            | "nullif"
            | "row"
            | "xmlconcat"
            | "xmlelement"
            | "xmlforest"
            | "xmlparse"
            | "xmlpi"
            | "xmlroot"
            | "xmlserialize"
            | "?column?"
            | "column1"
            | "column2"
            | "column3"
            | "column4"
            | "column5"
            | "column6"
            | "column7"
            | "column8"
            | "column9"
    )
}

/// Whether an option of `EXPLAIN` may be given. `ANALYZE` executes; `SETTINGS` tells the server's configuration.
pub(super) fn is_explain_option(name: &str) -> bool {
    matches!(name, "verbose" | "costs" | "format" | "summary" | "buffers" | "generic_plan")
}
