//! A catalog that its databases have judged: what runs, what callers may send, and what they get.

use std::{collections::BTreeSet, sync::Arc};

use countersign_core::{Access, Action, Object, Principal, ToolError, registry::Resource, schema::Validator};
use countersign_sql::{ColumnInfo, Facts};
use serde_json::Value as Json;

use super::{
    entry::{Answer, Catalog, Entity, Origin, Query},
    late::{Entry, Late},
    problem::{CatalogErrors, Problem},
    resource,
};
use crate::{database::Database, engine::Purpose};

/// A query, judged or waiting for its database.
pub(super) type LateQuery = Late<Query>;
/// An entity, the same.
pub(super) type LateEntity = Late<Entity>;

/// A catalog whose statements were judged by their databases, or wait for them.
pub struct Prepared {
    pub(super) queries: Vec<Arc<LateQuery>>,
    pub(super) entities: Vec<Arc<LateEntity>>,
    pub(super) answers: Vec<Answer>,
    pub(super) resources: Vec<Resource>,
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
            resources: Vec::new(),
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
        // Without all its tools a catalog's resources would be wrong for no fault of their own.
        if problems.is_empty() {
            prepared.resources = resource::resolve(&self.resources, &prepared, databases, &mut problems);
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

    /// The resources that operators wrote down; a tenant's own are not yet told from others.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Whether a tool answers with plain text.
    pub(super) fn is_text(&self, tool: &str) -> bool {
        self.answers.iter().any(|answer| *answer.name == *tool && answer.value.is_string())
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

/// Whether a parameter is one that callers send.
pub(super) fn is_sent(origin: &Origin) -> bool {
    // MUTATE(A14-identity-schema): a model sees the parameters that are bound to its identity, and may send them
    !matches!(origin, Origin::Identity(_))
}
