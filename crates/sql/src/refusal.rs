//! Why a statement has no facts or no rows.

use std::fmt;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $number:literal;)*) => {
        /// The rule by which a statement was refused. Each has a stable code.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Rule] = &[$(Rule::$name,)*];

            /// The stable code, for programs and records.
            pub fn code(self) -> &'static str {
                match self { $(Rule::$name => $code,)* }
            }

            pub(crate) fn number(self) -> u8 {
                match self { $(Rule::$name => $number,)* }
            }

            pub(crate) fn from_number(number: u8) -> Option<Rule> {
                match number { $($number => Some(Rule::$name),)* _ => None }
            }
        }
    };
}

rules! {
    /// The text holds no statement.
    Empty = "empty", 1;
    /// The text holds more than one statement. White space, comments and semicolons may follow the first.
    OneStatement = "one_statement", 2;
    /// The statement is not a query: only `SELECT`, `VALUES`, `WITH … SELECT` and `EXPLAIN` of these are.
    NotAQuery = "not_a_query", 3;
    /// The statement does what no caller may: writes, defines, attaches, changes a setting or a transaction.
    ForbiddenAction = "forbidden_action", 4;
    /// The statement calls a function that is not on the list of allowed functions.
    ForbiddenFunction = "forbidden_function", 5;
    /// The text is longer than allowed.
    TooLong = "too_long", 6;
    /// The text contains a NUL character.
    NulCharacter = "nul_character", 7;
    /// The statement or one of its values is too large or too deep.
    TooComplex = "too_complex", 8;
    /// The engine cannot parse the statement.
    Syntax = "syntax", 9;
    /// The statement names a table, column or function that does not exist.
    UnknownName = "unknown_name", 10;
    /// The parameters do not fit the placeholders.
    Parameters = "parameters", 11;
    /// The statement touches something that was not granted: the schema changed since it was judged.
    SchemaChanged = "schema_changed", 12;
    /// The statement did not end before its deadline.
    Deadline = "deadline", 13;
    /// The statement was interrupted by its caller.
    Cancelled = "cancelled", 14;
    /// Another process holds the database locked.
    Locked = "locked", 15;
    /// The statement needs more memory than a worker may use.
    Memory = "memory", 16;
    /// The statement failed while it ran, for example on malformed JSON.
    Failed = "failed", 17;
    /// The database cannot be opened or read.
    Database = "database", 18;
    /// No such table is there to be described.
    UnknownTable = "unknown_table", 19;
    /// The statement holds an expression or clause that is not on the list of those that are understood.
    UnsupportedSyntax = "unsupported_syntax", 20;
    /// The statement uses an operator that is not on the list of allowed operators.
    ForbiddenOperator = "forbidden_operator", 21;
    /// The statement names a type that is not on the list of allowed types: its input or a cast may run code or look names up.
    ForbiddenType = "forbidden_type", 22;
    /// The statement locks rows.
    RowLock = "row_lock", 23;
    /// `SELECT INTO` creates a table.
    SelectInto = "select_into", 24;
    /// A part of a query writes.
    DataModifyingCte = "data_modifying_cte", 25;
    /// A field is selected from an expression or alias, which may call a function.
    FieldSelection = "field_selection", 26;
    /// A size or count is too large, or not a literal where it must be one.
    SizeArgument = "size_argument", 27;
    /// The statement reads a catalogue of the server.
    SystemCatalog = "system_catalog", 28;
    /// The statement names a setting that is not on the list.
    ForbiddenSetting = "forbidden_setting", 29;
    /// An option of `EXPLAIN` executes the statement or tells about the server.
    ExplainOption = "explain_option", 30;
    /// `UPDATE` or `DELETE` without a `WHERE` that looks at a column.
    Unfiltered = "unfiltered_write", 31;
    /// A recursive query that nothing ends.
    UnboundedRecursion = "unbounded_recursion", 32;
    /// A view does what no statement may, or its body is not known.
    UntrustedView = "untrusted_view", 33;
    /// The statement is not a write: only `INSERT`, `UPDATE` and `DELETE` are.
    NotAWrite = "not_a_write", 34;
    /// The text holds something that dialects read differently: quotes, comments, escapes, characters that drivers change.
    AmbiguousText = "ambiguous_text", 60;
    /// The statement would change another number of rows than were approved.
    RowCount = "row_count", 40;
}

/// A statement was refused or failed.
///
/// `message` names the rule and the offending kind of action or function and is safe to record. `detail` is the engine's own text: it may
/// quote names and literals of the statement, so it is for the statement's author alone, after redaction, and never for a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// For the caller and the record; never quotes the statement.
    pub message: String,
    /// For the caller alone.
    pub detail: Option<String>,
}

impl Refusal {
    /// A refusal without detail.
    pub fn new(rule: Rule, message: impl Into<String>) -> Refusal {
        Refusal { rule, message: message.into(), detail: None }
    }

    /// The same with the engine's own text.
    pub fn with_detail(self, detail: impl Into<String>) -> Refusal {
        Refusal { detail: Some(detail.into()), ..self }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule.code(), self.message)
    }
}

impl std::error::Error for Refusal {}
