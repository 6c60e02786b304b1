//! What a database holds, read from its own catalogues in one read-only transaction with an empty search path.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::{
    backend::{DataRowBody, Message},
    frontend,
};

mod queries;

use super::{
    ClientError, Connection,
    connection::{BEGIN_READ, LIMIT, RELEASE, ROLLBACK, State},
    errors::ServerError,
    values::type_name,
};
use crate::{
    ColumnDetail, ForeignKey, Refusal, TableDetail, TableInfo, TableKind,
    engines::postgres::guard::{
        Catalogue, Column, Function, Kind, RelationInfo, RelationKey, Syntax, TypeInfo,
    },
};

/// A relation as the server lists it.
#[derive(Clone, Debug)]
pub struct RawRelation {
    /// Its schema and name.
    pub key: RelationKey,
    /// Its object identifier.
    pub oid: u32,
    /// What it is.
    pub kind: Kind,
    /// For views: the text of the query.
    pub definition: Option<String>,
    /// For views: whether it reads with its owner's rights.
    pub owner_rights: bool,
    /// Whether the login may read any column of it.
    pub readable: bool,
    columns: Vec<RawColumn>,
    foreign_keys: Vec<ForeignKey>,
}

#[derive(Clone, Debug)]
struct RawColumn {
    number: i16,
    detail: ColumnDetail,
    sources: BTreeSet<String>,
}

/// A column of a relation, unchanged by any expression.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The relation, `schema.name`.
    pub table: String,
    /// The column.
    pub column: String,
}

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Changes with every change of relations, columns, views, functions, operators and types.
    pub version: String,
    relations: BTreeMap<u32, RawRelation>,
    functions: BTreeMap<RelationKey, Function>,
    operators: BTreeMap<(String, String), bool>,
    types: BTreeMap<(String, String), TypeInfo>,
    type_names: HashMap<u32, String>,
}

type Row = Vec<Option<String>>;

impl Connection {
    /// Reads the schema.
    ///
    /// # Errors
    /// If the connection fails or the server refuses.
    pub async fn schema(&mut self) -> Result<Schema, ClientError> {
        use queries::{COLUMNS, FOREIGN_KEYS, FUNCTIONS, GENERATED, OPERATORS, RELATIONS, TYPES, VERSION};
        let queries = [VERSION, RELATIONS, COLUMNS, GENERATED, FOREIGN_KEYS, FUNCTIONS, OPERATORS, TYPES];
        let answers: [Vec<Row>; 8] = self
            .ask(&queries)
            .await?
            .try_into()
            .map_err(|_| ClientError::Protocol("an answer is missing"))?;
        let [version, relations, columns, generated, foreign_keys, functions, operators, types] = answers;
        let mut schema = Schema { version: first(version), ..Schema::default() };
        schema.relations = relations.into_iter().filter_map(relation).collect();
        for row in columns {
            schema.column(&row);
        }
        for row in generated {
            schema.source(row);
        }
        for row in foreign_keys {
            schema.foreign_key(row);
        }
        for row in functions {
            schema.function(row);
        }
        for row in operators {
            if let [Some(namespace), Some(symbol), Some(extension)] = row.as_slice() {
                let all = schema.operators.entry((namespace.clone(), symbol.clone())).or_insert(true);
                *all &= is(extension);
            }
        }
        for row in types {
            if let [
                Some(namespace),
                Some(name),
                Some(enumeration),
                Some(casts),
                Some(extension),
                Some(oid),
                Some(written),
            ] = row.as_slice()
            {
                let info =
                    TypeInfo { enumeration: is(enumeration), casts: is(casts), extension: is(extension) };
                schema.types.insert((namespace.clone(), name.clone()), info);
                schema.type_names.insert(oid.parse().unwrap_or(0), written.clone());
            }
        }
        Ok(schema)
    }

    /// The version alone: whether a [`Schema`] is still what the database holds.
    ///
    /// # Errors
    /// If the connection fails or the server refuses.
    pub async fn schema_version(&mut self) -> Result<String, ClientError> {
        self.ask(&[queries::VERSION]).await.map(|mut answers| first(answers.pop().unwrap_or_default()))
    }

    /// Rows of statements of our own, in one read-only transaction with an empty search path. Never for a caller's text.
    ///
    /// # Errors
    /// If the connection fails or the server refuses.
    pub async fn ask(&mut self, queries: &[&'static str]) -> Result<Vec<Vec<Row>>, ClientError> {
        self.settle().await?;
        self.state = State::Busy;
        self.queue(BEGIN_READ, &[], 0)?;
        self.queue(LIMIT, &[Some("10000"), Some("countersign/schema")], 0)?;
        let first = "SELECT set_config('search_path', '', true)";
        for sql in std::iter::once(&first).chain(queries) {
            frontend::parse("", sql, [], &mut self.wire.outbox)?;
            self.queue("", &[], 0)?;
        }
        frontend::sync(&mut self.wire.outbox);
        self.queue(ROLLBACK, &[], 0)?;
        self.queue(RELEASE, &[], 0)?;
        frontend::sync(&mut self.wire.outbox);
        self.wire.flush().await?;
        let (mut answers, mut rows) = (Vec::new(), Vec::new());
        loop {
            match self.wire.next_within(usize::MAX).await? {
                Some(Message::ParseComplete | Message::BindComplete) => {}
                Some(Message::DataRow(row)) => rows.push(texts(&row)?),
                Some(Message::CommandComplete(_)) => answers.push(std::mem::take(&mut rows)),
                Some(Message::ErrorResponse(body)) => {
                    let error = ServerError::read(&body).classify();
                    if matches!(self.wire.next().await, Ok(Message::ReadyForQuery(_))) {
                        self.state = State::Settling;
                    }
                    return Err(error);
                }
                Some(Message::ReadyForQuery(_)) => break,
                _ => return Err(ClientError::Protocol("an unexpected message in an answer")),
            }
        }
        self.state = State::Settling;
        // Those of the transaction's begin and its two settings.
        Ok(answers.split_off(answers.len().min(3)))
    }
}

fn texts(row: &DataRowBody) -> Result<Row, ClientError> {
    let text = |range: Option<std::ops::Range<usize>>| {
        Ok(range
            .and_then(|range| row.buffer().get(range))
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
    };
    Ok(row.ranges().map(text).collect()?)
}

fn first(rows: Vec<Row>) -> String {
    rows.into_iter().flatten().flatten().next().unwrap_or_default()
}

fn is(text: &str) -> bool {
    text == "t"
}

fn relation(row: Row) -> Option<(u32, RawRelation)> {
    let Ok([Some(oid), Some(schema), Some(name), Some(kind), definition, Some(owner_rights), Some(readable)]) =
        <[Option<String>; 7]>::try_from(row)
    else {
        return None;
    };
    let oid = oid.parse().ok()?;
    let kind = match kind.as_str() {
        "r" | "p" => Kind::Table,
        "v" => Kind::View,
        "m" => Kind::MaterializedView,
        "f" => Kind::Foreign,
        _ => Kind::Sequence,
    };
    let relation = RawRelation {
        key: RelationKey::new(schema, name),
        oid,
        kind,
        definition,
        owner_rights: is(&owner_rights),
        readable: is(&readable),
        columns: Vec::new(),
        foreign_keys: Vec::new(),
    };
    Some((oid, relation))
}

impl Schema {
    fn of(&mut self, oid: &Option<String>) -> Option<&mut RawRelation> {
        self.relations.get_mut(&oid.as_ref()?.parse().ok()?)
    }

    fn column(&mut self, row: &[Option<String>]) {
        let [oid, Some(number), Some(name), Some(decl_type), Some(not_null), Some(key)] = row else { return };
        let Some(relation) = self.of(oid) else { return };
        let detail = ColumnDetail {
            name: name.clone(),
            decl_type: decl_type.clone(),
            nullable: !is(not_null),
            primary_key: key.parse().unwrap_or(0),
        };
        relation.columns.push(RawColumn {
            number: number.parse().unwrap_or(0),
            detail,
            sources: BTreeSet::new(),
        });
    }

    fn source(&mut self, row: Row) {
        let Ok([oid, Some(number), Some(source)]) = <[Option<String>; 3]>::try_from(row) else { return };
        let Some(relation) = self.of(&oid) else { return };
        let generated = relation.columns.iter_mut().find(|column| column.number.to_string() == number);
        if let Some(column) = generated {
            column.sources.insert(source);
        }
    }

    fn foreign_key(&mut self, row: Row) {
        let Ok([oid, Some(column), Some(schema), Some(table), references]) =
            <[Option<String>; 5]>::try_from(row)
        else {
            return;
        };
        if let Some(relation) = self.of(&oid) {
            let table = RelationKey::new(schema, table).written();
            relation.foreign_keys.push(ForeignKey { column, table, references });
        }
    }

    fn function(&mut self, row: Row) {
        let Ok(
            [
                Some(schema),
                Some(name),
                Some(owner),
                Some(definer),
                Some(volatile),
                Some(extension),
                Some(columns),
            ],
        ) = <[Option<String>; 7]>::try_from(row)
        else {
            return;
        };
        let function = self.functions.entry(RelationKey::new(schema, name)).or_insert_with(|| Function {
            owner,
            extension: true,
            ..Function::default()
        });
        function.security_definer |= is(&definer);
        function.volatile |= is(&volatile);
        function.extension &= is(&extension);
        function.columns.extend(columns.split('\u{1f}').filter(|name| !name.is_empty()).map(str::to_owned));
    }

    /// All relations.
    pub fn relations(&self) -> impl Iterator<Item = &RawRelation> {
        self.relations.values()
    }

    /// What the guard resolves names by. `bodies` holds the judgement of each view's text, by the view's object identifier.
    pub fn catalogue(
        &self,
        search_path: &[String],
        bodies: &HashMap<u32, Result<Syntax, Refusal>>,
    ) -> Catalogue {
        let info = |relation: &RawRelation| RelationInfo {
            oid: relation.oid,
            kind: relation.kind,
            columns: relation
                .columns
                .iter()
                .map(|column| Column {
                    name: column.detail.name.clone(),
                    type_name: column.detail.decl_type.clone(),
                    sources: column.sources.clone(),
                })
                .collect(),
            body: bodies.get(&relation.oid).cloned(),
            owner_rights: relation.owner_rights,
        };
        Catalogue {
            search_path: search_path.to_vec(),
            relations: self
                .relations
                .values()
                .map(|relation| (relation.key.clone(), info(relation)))
                .collect(),
            functions: self.functions.clone(),
            operators: self.operators.clone(),
            types: self.types.clone(),
        }
    }

    /// Which column of which relation a result's column is.
    pub fn origin(&self, table: u32, column: i16) -> Option<Origin> {
        let relation = self.relations.get(&table)?;
        let found = relation.columns.iter().find(|known| known.number == column)?;
        Some(Origin { table: relation.key.written(), column: found.detail.name.clone() })
    }

    /// A type's name; `unknown` for one that is newer than this schema.
    pub fn type_name(&self, oid: u32) -> &str {
        type_name(oid).or_else(|| self.type_names.get(&oid).map(String::as_str)).unwrap_or("unknown")
    }

    /// The tables and views that the login may read, in the given schemas, by name.
    pub fn tables(&self, schemas: &[String]) -> Vec<TableInfo> {
        let listed = |relation: &&RawRelation| relation.readable && schemas.contains(&relation.key.schema);
        let info = |relation: &RawRelation| TableInfo {
            name: relation.key.written(),
            kind: table_kind(relation.kind),
        };
        let mut tables: Vec<_> = self.relations.values().filter(listed).map(info).collect();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        tables
    }

    /// One of these, found by `schema.name`, or by name alone along `schemas`.
    pub fn describe(&self, table: &str, schemas: &[String]) -> Option<TableDetail> {
        let relation = self.readable(table, schemas)?;
        Some(TableDetail {
            name: relation.key.written(),
            kind: table_kind(relation.kind),
            columns: relation.columns.iter().map(|column| column.detail.clone()).collect(),
            foreign_keys: relation.foreign_keys.clone(),
        })
    }

    /// The relation whose key is written so, whether or not it may be read.
    pub fn relation(&self, written: &str) -> Option<&RawRelation> {
        self.relations.values().find(|relation| relation.key.written() == written)
    }

    /// A relation that the login may read.
    pub fn readable(&self, table: &str, schemas: &[String]) -> Option<&RawRelation> {
        let readable = || self.relations.values().filter(|relation| relation.readable);
        let named = |schema: &String| {
            readable().find(|relation| &relation.key.schema == schema && relation.key.name == table)
        };
        readable().find(|relation| relation.key.written() == table).or_else(|| schemas.iter().find_map(named))
    }
}

fn table_kind(kind: Kind) -> TableKind {
    match kind {
        Kind::View | Kind::MaterializedView => TableKind::View,
        Kind::Foreign => TableKind::Virtual,
        Kind::Table | Kind::Sequence => TableKind::Table,
    }
}
