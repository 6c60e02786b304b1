//! A catalog that its databases have judged: what runs, what callers may send, and what they get.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use countersign_core::{Access, Action, Object, Principal, ToolError, schema::Validator};
use countersign_sql::{ColumnInfo, Facts};
use serde_json::Value as Json;

use super::{
    entry::{Answer, Catalog, Entity, Origin, Query, RowLimit, Rows},
    late::{Entry, Late, absence},
    placeholders::{self, Dialect},
    problem::{CatalogErrors, Place, Problem},
    schemas,
};
use crate::database::Database;
use crate::engine::{EngineError, Purpose};

/// A query, judged or waiting for its database.
pub(super) type LateQuery = Late<Query>;
/// An entity, the same.
pub(super) type LateEntity = Late<Entity>;

/// A catalog whose statements were judged by their databases, or wait for them.
pub struct Prepared {
    pub(super) queries: Vec<Arc<LateQuery>>,
    pub(super) entities: Vec<Arc<LateEntity>>,
    pub(super) answers: Vec<Answer>,
    pub(super) digest: countersign_core::Digest,
}

/// One entry: the text that runs is fixed here, and nothing that a caller sends changes it.
pub struct PreparedQuery {
    pub(super) entry: Query,
    pub(super) database: Arc<Database>,
    /// The statement with the engine's placeholders.
    pub(super) sql: String,
    /// For each value that the engine takes, the position of its parameter in `entry.params`.
    pub(super) order: Vec<usize>,
    /// The columns of its result.
    pub(super) columns: Vec<ColumnInfo>,
    /// What the statement touches; policy decides on the facts of each call's own tenant.
    pub(super) facts: Arc<Facts>,
    pub(super) input: Json,
    pub(super) output: Json,
    pub(super) validator: Validator,
    /// The rules of each parameter's value, in the order of `entry.params`.
    pub(super) rules: Vec<Validator>,
}

/// An entity with the statement that counts its rows.
pub(super) struct PreparedEntity {
    pub(super) entity: Entity,
    pub(super) database: Arc<Database>,
    pub(super) count: String,
}

impl Catalog {
    /// Has every statement judged by its database. No row is read.
    ///
    /// # Errors
    /// Every entry that cannot be served, with its place; a database that does not answer is an error of its entries.
    pub async fn prepare(&self, databases: &[Arc<Database>]) -> Result<Prepared, CatalogErrors> {
        self.prepare_with(databases, false).await
    }

    /// The same, but an entry whose database does not answer waits for it: it is there and refuses calls, and the first call that finds the
    /// database has it judged.
    ///
    /// # Errors
    /// Every entry that its database refuses, or that does not hold together.
    pub async fn prepare_or_wait(&self, databases: &[Arc<Database>]) -> Result<Prepared, CatalogErrors> {
        self.prepare_with(databases, true).await
    }

    async fn prepare_with(
        &self,
        databases: &[Arc<Database>],
        may_wait: bool,
    ) -> Result<Prepared, CatalogErrors> {
        let mut problems = Vec::new();
        let mut prepared = Prepared {
            queries: Vec::new(),
            entities: Vec::new(),
            answers: self.answers.clone(),
            digest: self.digest,
        };
        for entry in &self.queries {
            let late = late(entry, &entry.database, databases, may_wait, &mut problems).await;
            prepared.queries.extend(late.map(Arc::new));
        }
        for entry in &self.entities {
            let late = late(entry, &entry.database, databases, may_wait, &mut problems).await;
            prepared.entities.extend(late.map(Arc::new));
        }
        CatalogErrors::unless(prepared, problems)
    }
}

impl Prepared {
    /// The queries that were judged, by name.
    pub fn queries(&self) -> impl Iterator<Item = &PreparedQuery> {
        self.queries.iter().filter_map(|query| query.known().map(Arc::as_ref))
    }

    /// The entries that wait for their databases: the name of each, and the database's.
    pub fn waiting(&self) -> impl Iterator<Item = (&str, &str)> {
        let queries = self.queries.iter().filter(|query| query.known().is_none());
        let entities = self.entities.iter().filter(|entity| entity.known().is_none());
        let queries = queries.map(|query| (query.entry.name.as_ref(), query.entry.database.as_ref()));
        queries.chain(entities.map(|one| (one.entry.name.as_ref(), one.entry.database.as_ref())))
    }

    /// The digest of the files it was read from.
    pub fn digest(&self) -> countersign_core::Digest {
        self.digest
    }
}

impl PreparedQuery {
    /// The entry as it was written.
    pub fn entry(&self) -> &Query {
        &self.entry
    }

    /// JSON Schema of the arguments: the parameters that a caller sends.
    pub fn input_schema(&self) -> &Json {
        &self.input
    }

    /// JSON Schema of the answer.
    pub fn output_schema(&self) -> &Json {
        &self.output
    }

    /// The columns of its result.
    pub fn columns(&self) -> &[ColumnInfo] {
        &self.columns
    }

    /// The objects that its statement touches, as policy names them.
    pub fn touches(&self) -> BTreeSet<String> {
        self.database.accesses(&self.facts).iter().map(Access::to_string).collect()
    }

    /// The access that stands for the entry itself.
    pub(super) fn own_access(&self) -> Access {
        let (database, name) = (Arc::clone(&self.entry.database), self.entry.name.to_string());
        Access::required(Action::Use, Object::Query { database, name })
    }

    /// All that a call of this entry by `principal` touches: the entry, and everything in its statement as if it had been sent as raw SQL.
    pub(super) async fn accesses(&self, principal: &Principal) -> Result<Vec<Access>, ToolError> {
        let facts = self.database.judge(principal, self.purpose(), &self.sql).await?;
        // MUTATE(A11-inner-access): a query of the catalog runs whatever its tables
        let mut accesses = self.database.accesses(&facts);
        // MUTATE(A11-entry-access): policy is not asked about the entry itself
        accesses.push(self.own_access());
        Ok(accesses)
    }

    pub(super) fn purpose(&self) -> Purpose {
        if self.entry.write { Purpose::Write } else { Purpose::Read }
    }
}

/// An entry, judged; or waiting, if it may and its database does not answer.
async fn late<E: Entry + Clone>(
    entry: &E,
    database: &str,
    databases: &[Arc<Database>],
    may_wait: bool,
    problems: &mut Vec<Problem>,
) -> Option<Late<E>> {
    let (mut own, mut absent) = (Vec::new(), None);
    let judged = entry.judge(databases, &mut own, &mut absent).await;
    let database = databases.iter().find(|one| **one.name() == *database);
    match (judged, absent, database) {
        (Some(judged), _, Some(database)) if own.is_empty() => {
            Some(Late::new(entry.clone(), Arc::clone(database), Some(judged)))
        }
        (None, Some(_), Some(database)) if may_wait => {
            Some(Late::new(entry.clone(), Arc::clone(database), None))
        }
        _ => {
            problems.append(&mut own);
            None
        }
    }
}

#[async_trait]
impl Entry for Query {
    type Judged = PreparedQuery;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    async fn judge(
        &self,
        databases: &[Arc<Database>],
        problems: &mut Vec<Problem>,
        absent: &mut Option<String>,
    ) -> Option<PreparedQuery> {
        query(self, databases, problems, absent).await
    }
}

#[async_trait]
impl Entry for Entity {
    type Judged = PreparedEntity;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    async fn judge(
        &self,
        databases: &[Arc<Database>],
        problems: &mut Vec<Problem>,
        absent: &mut Option<String>,
    ) -> Option<PreparedEntity> {
        entity(self, databases, problems, absent).await
    }
}

async fn query(
    entry: &Query,
    databases: &[Arc<Database>],
    problems: &mut Vec<Problem>,
    absent: &mut Option<String>,
) -> Option<PreparedQuery> {
    let before = problems.len();
    let database = find(&entry.database, databases, entry.key_place("database"), problems)?;
    let mut wrong = |key: &str, message: String, help: Option<String>| {
        problems.push(Problem { place: entry.key_place(key).clone(), message, help });
    };
    let name = &entry.name;
    let rewritten = match placeholders::rewrite(&entry.sql, Dialect::of(database.engine().dialect())) {
        Ok(rewritten) => rewritten,
        Err(unreadable) => {
            let line = entry.sql.get(..unreadable.at).unwrap_or_default().matches('\n').count() + 1;
            wrong(
                "sql",
                format!("`query.{name}.sql`, line {line} of the statement, {}", unreadable.rule),
                None,
            );
            return None;
        }
    };
    let mut order = Vec::new();
    for used in &rewritten.order {
        match entry.params.iter().position(|param| param.name == *used) {
            Some(position) => order.push(position),
            None => {
                let help = format!("add `[query.{name}.params.{used}]` with its `type`");
                wrong("sql", format!("`query.{name}.sql` uses `:{used}`, which is no parameter"), Some(help));
            }
        }
    }
    for param in &entry.params {
        let limit = entry.rows == RowLimit::Param(param.name.clone());
        if !limit && !rewritten.order.contains(&param.name) {
            let message = format!(
                "`query.{name}.params.{}` is not used: the statement has no `:{}`",
                param.name, param.name
            );
            problems.push(Problem { place: param.place.clone(), message, help: None });
        } else if schemas::encode_array(param, database.engine().dialect()).is_err() {
            let message = format!("`query.{name}.params.{}`: this database takes no arrays", param.name);
            problems.push(Problem { place: param.place.clone(), message, help: None });
        }
    }
    if problems.len() > before {
        return None;
    }
    let purpose = if entry.write { Purpose::Write } else { Purpose::Read };
    let place = (name.as_ref(), entry.key_place("sql"));
    let facts = judged(&database, purpose, &rewritten.sql, place, problems, absent).await?;
    let mut wrong = |key: &str, message: String, help: Option<String>| {
        problems.push(Problem { place: entry.key_place(key).clone(), message, help });
    };
    // INVARIANT: engine and rewriter see the same placeholders. If they did not, a value could be taken for another.
    let takes = order.len();
    if usize::try_from(facts.parameters).ok() != Some(takes) {
        let message = format!(
            "`query.{name}.sql` has {takes} placeholders, but the database counts {}",
            facts.parameters
        );
        wrong("sql", message, Some("write placeholders as `:name`, apart from everything else".into()));
    }
    for masked in &entry.mask {
        let known = facts.columns.iter().any(|column| column.name.eq_ignore_ascii_case(masked));
        if !known && !facts.columns.is_empty() {
            wrong("mask", format!("`query.{name}.mask` names a column that the result does not have"), None);
        }
    }
    if let Some(result) = &entry.result {
        let distinct: BTreeSet<&str> = facts.columns.iter().map(|column| column.name.as_str()).collect();
        if result.rows != Rows::Value && distinct.len() != facts.columns.len() {
            let rule = "needs columns of different names; give each an `AS name`";
            wrong("result", format!("`query.{name}.result` {rule}"), None);
        }
        if result.rows == Rows::Value && facts.columns.len() > 1 {
            wrong(
                "result",
                format!("`query.{name}.result` with `rows = \"value\"` needs exactly one column"),
                None,
            );
        }
    }
    let input = schemas::input(&entry.params);
    let output = schemas::output(entry, &facts.columns);
    let rules = entry.params.iter().map(|param| Validator::compile(&param.schema));
    let compiled = Validator::compile(&output)
        .and_then(|_| Validator::compile(&input))
        .and_then(|all| Ok((all, rules.collect::<Result<Vec<_>, _>>()?)));
    let (validator, rules) = match compiled {
        Ok(compiled) => compiled,
        Err(cause) => {
            wrong("", format!("the schema of `query.{name}` cannot be used: {cause}"), None);
            return None;
        }
    };
    (problems.len() == before).then(|| PreparedQuery {
        entry: entry.clone(),
        sql: rewritten.sql,
        order,
        columns: facts.columns.clone(),
        facts,
        input,
        output,
        validator,
        rules,
        database,
    })
}

async fn entity(
    entry: &Entity,
    databases: &[Arc<Database>],
    problems: &mut Vec<Problem>,
    absent: &mut Option<String>,
) -> Option<PreparedEntity> {
    let database = find(&entry.database, databases, &entry.place, problems)?;
    let count = format!("SELECT COUNT(*) AS total FROM {}", entry.table);
    judged(&database, Purpose::Read, &count, (&entry.name, &entry.place), problems, absent).await?;
    Some(PreparedEntity { entity: entry.clone(), database, count })
}

fn find(
    name: &str,
    databases: &[Arc<Database>],
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Database>> {
    let found = databases.iter().find(|database| **database.name() == *name);
    if found.is_none() {
        let known: Vec<&str> = databases.iter().map(|database| database.name().as_ref()).collect();
        let near = super::problem::nearest(name, known.iter().copied());
        problems.push(Problem {
            place: place.clone(),
            message: "`database` must name a configured database".into(),
            help: Some(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("configured: {}", known.join(", ")),
            }),
        });
    }
    found.cloned()
}

/// The facts of a statement, which must be the same whichever tenant asks.
async fn judged(
    database: &Database,
    purpose: Purpose,
    sql: &str,
    (name, place): (&str, &Place),
    problems: &mut Vec<Problem>,
    absent: &mut Option<String>,
) -> Option<Arc<Facts>> {
    let mut first: Option<Arc<Facts>> = None;
    for tenant in database.tenants() {
        let facts = match database.judge_ahead(&tenant, purpose, sql).await {
            Ok(facts) => facts,
            Err(error) => {
                *absent = absence(&error);
                let (reason, help) = reason(error);
                let message = format!("`{name}` is refused by its database: {reason}");
                problems.push(Problem { place: place.clone(), message, help });
                return None;
            }
        };
        if first
            .as_ref()
            .is_some_and(|known| known.columns != facts.columns || known.parameters != facts.parameters)
        {
            let message = format!("`{name}` has other columns for one tenant than for another");
            problems.push(Problem { place: place.clone(), message, help: None });
            return None;
        }
        first.get_or_insert(facts);
    }
    if first.is_none() {
        let message = format!("`{name}` cannot be judged: no tenant has a login");
        problems.push(Problem { place: place.clone(), message, help: None });
    }
    first
}

/// Why a statement was not judged, for the catalog's author.
fn reason(error: EngineError) -> (String, Option<String>) {
    match error {
        EngineError::Refused(refusal) => {
            (format!("{} [{}]", refusal.message, refusal.rule.code()), refusal.detail)
        }
        EngineError::Busy { .. } => ("all its workers are busy".into(), None),
        EngineError::Killed => ("it did not answer in time".into(), None),
        EngineError::Broken(cause) | EngineError::Unreachable(cause) => {
            ("it cannot be reached".into(), Some(cause))
        }
    }
}

/// Whether a parameter is one that callers send.
pub(super) fn is_sent(origin: &Origin) -> bool {
    // MUTATE(A14-identity-schema): a model sees the parameters that are bound to its identity, and may send them
    !matches!(origin, Origin::Identity(_))
}
