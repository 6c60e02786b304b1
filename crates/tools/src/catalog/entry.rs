//! What a catalog holds once its files are read: queries with typed parameters, and entities.

use std::{collections::BTreeMap, sync::Arc};

use countersign_core::{Digest, PowerClass};
use serde_json::Value as Json;

use super::problem::Place;

/// A catalog that was read and holds together by itself; no database has seen it yet.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// The queries, by name.
    pub queries: Vec<Query>,
    /// The entities, by name.
    pub entities: Vec<Entity>,
    /// The fixed answers, by name.
    pub answers: Vec<Answer>,
    /// The resources, by name.
    pub resources: Vec<View>,
    /// SHA-256 over the names and texts of all files: recorded at every start and reload.
    pub digest: Digest,
}

/// `[query.NAME]`: one predefined statement.
#[derive(Clone, Debug)]
pub struct Query {
    /// Its name: 1–64 lower-case letters, digits and `_`, the first a letter; the tool's name when exposed.
    pub name: Arc<str>,
    /// A short name for people.
    pub title: String,
    /// What it answers, for the model.
    pub description: String,
    /// The database's configured name.
    pub database: Arc<str>,
    /// The statement, with `:name` placeholders.
    pub sql: String,
    /// The parameters, by name.
    pub params: Vec<Param>,
    /// Where its results are cut.
    pub rows: RowLimit,
    /// Whether an answer that is cut says how to get the rows that follow.
    pub paged: bool,
    /// Result columns whose values are masked.
    pub mask: Vec<String>,
    /// The class of harm.
    pub power: PowerClass,
    /// Whether it is an `INSERT`, `UPDATE` or `DELETE`.
    pub write: bool,
    /// Whether it is a tool of its own.
    pub expose: bool,
    /// The shape of its result; the shape of `query_NAME` if there is none.
    pub result: Option<ResultShape>,
    /// Where its keys stand: of the entry as a whole under the empty key.
    pub(super) places: BTreeMap<&'static str, Place>,
}

impl Query {
    /// Where the entry stands.
    pub fn place(&self) -> &Place {
        self.key_place("")
    }

    /// Where one of its keys stands, or else the entry.
    pub(super) fn key_place(&self, key: &str) -> &Place {
        static NOWHERE: std::sync::LazyLock<Place> =
            std::sync::LazyLock::new(|| Place { file: "".into(), line: 1, column: 1 });
        self.places.get(key).or_else(|| self.places.get("")).unwrap_or(&NOWHERE)
    }
}

/// Where results are cut; never beyond the database's own limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RowLimit {
    /// At the database's limit.
    Database,
    /// At so many rows.
    Fixed(u64),
    /// At as many rows as this integer parameter says.
    Param(String),
}

/// One parameter.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name: the `:name` of the statement.
    pub name: String,
    /// What it is, for the model.
    pub description: String,
    /// Where its value comes from.
    pub origin: Origin,
    /// What its values may be.
    pub kind: Kind,
    /// JSON Schema of one value: of what a caller may send, or of what an identity may hold.
    pub schema: Json,
    /// Other spellings of values: found in lower case without surrounding white space, replaced by the value. For strings only.
    pub aliases: BTreeMap<String, String>,
    pub(super) place: Place,
}

/// Where a parameter's value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The caller must send it.
    Required,
    /// The caller may send it; else it is this.
    Default(Json),
    /// The caller may send it; else it is NULL.
    Optional,
    /// The caller's verified identity: never the caller's arguments, and not in any schema that a model sees.
    Identity(Bind),
}

/// What of an identity a parameter is bound to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bind {
    /// The tenant.
    Tenant,
    /// The subject: the principal's name at its issuer.
    Subject,
    /// A verified claim. A caller without it is refused.
    Claim(String),
}

/// The type of a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// One value.
    One(Scalar),
    /// A list of values.
    Array(Scalar),
}

/// The type of one value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scalar {
    /// Text.
    String,
    /// A whole number of 64 bits.
    Integer,
    /// A number, with a fraction or without.
    Number,
    /// True or false.
    Boolean,
    /// A day: `2026-11-21`.
    Date,
    /// A moment with its offset (RFC 3339): `2026-11-21T10:00:00Z`.
    Timestamp,
    /// A UUID (RFC 9562).
    Uuid,
}

impl Scalar {
    /// Every type, by its name in catalog files.
    pub const ALL: [(&str, Scalar); 7] = [
        ("string", Scalar::String),
        ("integer", Scalar::Integer),
        ("number", Scalar::Number),
        ("boolean", Scalar::Boolean),
        ("date", Scalar::Date),
        ("timestamp", Scalar::Timestamp),
        ("uuid", Scalar::Uuid),
    ];
}

/// `result = { … }`: the members of the answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResultShape {
    /// The member that holds the rows, the row or the value.
    pub key: String,
    /// What it holds.
    pub rows: Rows,
    /// The member that holds the number of rows, if there is one.
    pub count: Option<String>,
    /// The member that says whether rows are missing. Without a name it is `truncated`, and there only when they are.
    pub truncated: Option<String>,
    /// Parameters whose values are repeated in the answer.
    pub echo: Vec<String>,
}

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rows {
    /// A list of objects, one for each row.
    Objects,
    /// One object for the first row, or null.
    Object,
    /// The first value of the first row, or null.
    Value,
}

/// `[entity.NAME]`: a table under names that people use.
#[derive(Clone, Debug)]
pub struct Entity {
    /// Its name.
    pub name: Arc<str>,
    /// Other names, in lower case.
    pub aliases: Vec<String>,
    /// The database's configured name.
    pub database: Arc<str>,
    /// The table: identifiers joined by dots.
    pub table: String,
    /// What it is, for the model.
    pub description: String,
    pub(super) place: Place,
}

/// `[answer.NAME]`: a tool whose answer is written in the catalog.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The tool's name.
    pub name: Arc<str>,
    /// A short name for people.
    pub title: String,
    /// What it answers, for the model.
    pub description: String,
    /// The answer: an object or a text.
    pub value: Json,
}

/// `[resource.NAME]`: a tool that reads, under a URI.
#[derive(Clone, Debug)]
pub struct View {
    /// The entry's name.
    pub name: Arc<str>,
    /// A URI, or one that ends with `/{variable}`.
    pub uri: String,
    /// A short name for people.
    pub title: String,
    /// What it holds, for the model.
    pub description: String,
    /// The tool behind it.
    pub tool: Arc<str>,
    /// Fixed arguments of that tool.
    pub arguments: BTreeMap<Arc<str>, Json>,
    /// The argument that the rest of the URI is, if there is one.
    pub variable: Option<Arc<str>>,
    pub(super) place: Place,
}
