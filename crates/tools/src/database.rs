//! A configured database as its tools see it: statements are judged, remembered, and run under exactly what was granted.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use countersign_core::{
    Access, Action, Object, Permit, Preview, PreviewPermit, Principal, RowSet, ToolError, ToolSpec,
};
use countersign_sql::{Facts, Rule, Run, RunLimits, TableDetail, TableInfo, Value};

use crate::{
    answer::{row_set, tool_error},
    engine::{Caller, Credentials, Engine, EngineError, Purpose, Rehearsed},
    paging::{Cursors, Page, Subject, no_cursor},
    table_stats::TableStats,
};

/// Where results are cut.
#[derive(Clone, Copy, Debug)]
pub struct DatabaseLimits {
    /// Rows at most.
    pub rows: u64,
    /// Bytes of values at most.
    pub bytes: u64,
    /// How long a statement may run.
    pub time: Duration,
    /// Characters of statement text at most.
    pub query_chars: u32,
}

/// One configured database.
pub struct Database {
    name: Arc<str>,
    tenant: Option<Box<str>>,
    engine: Arc<dyn Engine>,
    limits: DatabaseLimits,
    raw: bool,
    judged: Mutex<HashMap<Judged, Arc<Facts>>>,
    cursors: Option<Cursors>,
}

/// What a judgement holds for: a purpose, a tenant where that matters, and the exact text.
#[derive(PartialEq, Eq, Hash)]
struct Judged {
    purpose: Purpose,
    tenant: Option<Box<str>>,
    sql: Box<str>,
}

/// Statements whose facts are remembered; when full, all are forgotten.
const REMEMBERED: usize = 1024;

impl Database {
    /// A database under its configured name.
    pub fn new(name: &str, engine: Arc<dyn Engine>, limits: DatabaseLimits) -> Database {
        Database {
            name: name.into(),
            tenant: None,
            engine,
            limits,
            raw: true,
            judged: Mutex::default(),
            cursors: Cursors::new(),
        }
    }

    /// Takes raw SQL away: no tool runs or explains a statement that a caller wrote, only queries of the catalog.
    #[must_use]
    pub fn catalog_only(self) -> Database {
        Database { raw: false, ..self }
    }

    /// Gives the database to one tenant: for callers of others it does not exist, and nothing is asked of it for them.
    #[must_use]
    pub fn of_tenant(self, tenant: Option<&str>) -> Database {
        Database { tenant: tenant.map(Into::into), ..self }
    }

    /// Whether the database exists for a caller. Policy decides the rest, but only once a statement was judged.
    pub(crate) fn is_for(&self, principal: &Principal) -> bool {
        // MUTATE(H7-database): what a statement names is looked up in another tenant's database
        self.tenant.as_deref().is_none_or(|tenant| tenant == principal.tenant())
    }

    /// Whether callers may send statements of their own.
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// The configured name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where results are cut.
    pub fn limits(&self) -> DatabaseLimits {
        self.limits
    }

    /// The facts of a statement. Remembered ones may be stale, which is safe: the run enforces what was granted on them.
    pub(crate) async fn judge(
        &self,
        principal: &Principal,
        purpose: Purpose,
        sql: &str,
    ) -> Result<Arc<Facts>, ToolError> {
        let key = self.key(principal, purpose, sql);
        if let Some(facts) = self.judged().get(&key) {
            return Ok(Arc::clone(facts));
        }
        let judged = self.engine.prepare(planning(principal), purpose, sql).await;
        let facts = Arc::new(judged.map_err(|e| tool_error(e, "query"))?);
        let mut judged = self.judged();
        if judged.len() >= REMEMBERED {
            judged.clear();
        }
        judged.insert(key, Arc::clone(&facts));
        Ok(facts)
    }

    /// The tenants to judge a statement for ahead of all calls: each that has a login, or any one if they see the same.
    pub(crate) fn tenants(&self) -> Vec<String> {
        if self.engine.is_per_tenant() { self.engine.tenants() } else { vec![String::new()] }
    }

    /// Judges a statement of the catalog before anybody calls.
    pub(crate) async fn judge_ahead(
        &self,
        tenant: &str,
        purpose: Purpose,
        sql: &str,
    ) -> Result<Arc<Facts>, EngineError> {
        self.engine.prepare(Caller { tenant, call: None }, purpose, sql).await.map(Arc::new)
    }

    fn key(&self, principal: &Principal, purpose: Purpose, sql: &str) -> Judged {
        let tenant = self.engine.is_per_tenant().then(|| principal.tenant().into());
        Judged { purpose, tenant, sql: sql.into() }
    }

    /// The engine, for what it alone can say of itself.
    pub(crate) fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// Runs a judged statement under the granted accesses.
    pub(crate) async fn run(
        &self,
        permit: &Permit,
        sql: &str,
        params: Vec<Value>,
    ) -> Result<RowSet, ToolError> {
        self.run_page(permit, sql, params, u64::MAX, None).await
    }

    /// The page of a result that a call asks for by `cursor`; none where results have one page.
    pub(crate) fn page(
        &self,
        principal: &Principal,
        tool: &ToolSpec,
        (sql, params): (&str, &[Value]),
        cursor: Option<&str>,
    ) -> Result<Option<Page>, ToolError> {
        let subject = Subject { principal, tool, database: &self.name, sql, params };
        match (&self.cursors, cursor) {
            (Some(cursors), cursor) => cursors.page(&subject, cursor).map(Some),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(no_cursor()),
        }
    }

    /// As [`Database::run`], cut at `rows` rows if that is less than the database's own limit. Where there are pages, the one asked for, with
    /// the cursor of the next.
    pub(crate) async fn run_page(
        &self,
        permit: &Permit,
        sql: &str,
        params: Vec<Value>,
        rows: u64,
        page: Option<&Page>,
    ) -> Result<RowSet, ToolError> {
        let run = self.to_run(permit.granted(), sql, params);
        let skip = page.map_or(0, Page::skip);
        let run = Run { limits: RunLimits { skip, rows: rows.min(self.limits.rows), ..run.limits }, ..run };
        let principal = permit.principal();
        let caller = Caller { tenant: principal.tenant(), call: Some(permit.call()) };
        match self.engine.run(caller, run).await {
            Ok(rows) => {
                let next = match (&self.cursors, page) {
                    (Some(cursors), Some(page)) => cursors.next(page, &rows)?,
                    _ => None,
                };
                Ok(row_set(rows, next))
            }
            Err(error) => {
                if matches!(&error, EngineError::Refused(refusal) if refusal.rule == Rule::SchemaChanged) {
                    self.judged().remove(&self.key(principal, Purpose::Read, sql));
                }
                Err(tool_error(error, "query"))
            }
        }
    }

    /// Takes changed passwords of the engine; says whether one changed.
    pub fn renew(&self, credentials: &Credentials) -> bool {
        self.engine.renew(credentials)
    }

    /// Tries a judged write out under the granted accesses.
    pub(crate) async fn rehearse(
        &self,
        permit: &PreviewPermit,
        sql: &str,
        params: Vec<Value>,
    ) -> Result<Preview, ToolError> {
        let run = self.to_run(permit.granted(), sql, params);
        let caller = Caller { tenant: permit.principal().tenant(), call: Some(permit.call()) };
        let rehearsed = self.engine.rehearse(caller, run).await;
        let shown = |rows| row_set(rows, None);
        let Rehearsed { affected, before, after, warnings } =
            rehearsed.map_err(|e| tool_error(e, "statement"))?;
        Ok(Preview {
            affected,
            before: before.map(shown),
            after: after.map(shown),
            warnings,
            ..Preview::default()
        })
    }

    /// Runs a judged write under the granted accesses. It lasts only if it changes as many rows as people approved.
    pub(crate) async fn write(
        &self,
        permit: &Permit,
        sql: &str,
        params: Vec<Value>,
    ) -> Result<u64, ToolError> {
        let run = self.to_run(permit.granted(), sql, params);
        let caller = Caller { tenant: permit.principal().tenant(), call: Some(permit.call()) };
        let expected = permit.approved().and_then(|approved| approved.request.preview.affected);
        let written = self.engine.write(caller, run, expected).await;
        if matches!(&written, Err(EngineError::Refused(refusal)) if refusal.rule == Rule::SchemaChanged) {
            self.judged().remove(&self.key(permit.principal(), Purpose::Write, sql));
        }
        written.map_err(|e| tool_error(e, "statement"))
    }

    fn to_run(&self, granted: &[Access], sql: &str, params: Vec<Value>) -> Run {
        Run {
            sql: sql.to_owned(),
            params,
            granted: granted.iter().filter_map(|access| self.to_engine(access)).collect(),
            masked: granted.iter().filter_map(|access| self.to_mask(access)).collect(),
            limits: RunLimits {
                skip: 0,
                rows: self.limits.rows,
                bytes: self.limits.bytes,
                time: self.limits.time,
            },
        }
    }

    pub(crate) async fn tables(&self, principal: &Principal) -> Result<Vec<TableInfo>, ToolError> {
        self.engine.tables(planning(principal)).await.map_err(|e| tool_error(e, "database"))
    }

    pub(crate) async fn describe(
        &self,
        principal: &Principal,
        table: &str,
    ) -> Result<TableDetail, ToolError> {
        self.engine.describe(planning(principal), table).await.map_err(|e| tool_error(e, "table"))
    }

    pub(crate) async fn stats(
        &self,
        principal: &Principal,
        table: &str,
    ) -> Result<(String, TableStats), ToolError> {
        self.engine.stats(planning(principal), table).await.map_err(|e| tool_error(e, "table"))
    }

    /// The accesses of a statement in the pipeline's words.
    pub(crate) fn accesses(&self, facts: &Facts) -> Vec<Access> {
        facts.accesses.iter().map(|access| self.required(access, &facts.projected)).collect()
    }

    /// The table as policy names it.
    pub(crate) fn table(&self, table: &str) -> Object {
        Object::Table { database: Arc::clone(&self.name), table: self.engine.fold(table) }
    }

    /// The column as policy names it.
    pub(crate) fn column(&self, table: &str, column: &str) -> Object {
        Object::Column {
            database: Arc::clone(&self.name),
            table: self.engine.fold(table),
            column: self.engine.fold(column),
        }
    }

    fn required(
        &self,
        access: &countersign_sql::Access,
        projected: &BTreeSet<countersign_sql::Object>,
    ) -> Access {
        let database = Arc::clone(&self.name);
        use countersign_sql::{Action as Done, Object as Sql};
        let action = match access.action {
            Done::Read => Action::Read,
            Done::Write => Action::Write,
        };
        match access.object.clone() {
            Sql::Table { table } => Access::required(action, Object::Table { database, table }),
            Sql::Column { table, column } => {
                let object = Object::Column { database, table, column };
                match access.action == Done::Read && projected.contains(&access.object) {
                    true => Access::maskable(object),
                    false => Access::required(action, object),
                }
            }
            Sql::Function { name } => Access::required(Action::Use, Object::Function { database, name }),
        }
    }

    /// A column that the statement may project, but whose values are masked.
    fn to_mask(&self, access: &Access) -> Option<countersign_sql::Object> {
        match (access.action, &access.object) {
            (Action::Mask, Object::Column { database, table, column }) if *database == self.name => {
                Some(countersign_sql::Object::Column { table: table.clone(), column: column.clone() })
            }
            _ => None,
        }
    }

    /// INVARIANT: a grant on another database's object is no grant here.
    fn to_engine(&self, access: &Access) -> Option<countersign_sql::Access> {
        match (access.action, &access.object) {
            (Action::Write, Object::Table { database, table }) if *database == self.name => {
                Some(countersign_sql::Access::table(table.as_str()).written())
            }
            (Action::Write, Object::Column { database, table, column }) if *database == self.name => {
                Some(countersign_sql::Access::column(table.as_str(), column.as_str()).written())
            }
            // A masked column is read by the engine, which masks it.
            (Action::Mask, Object::Column { database, table, column }) if *database == self.name => {
                Some(countersign_sql::Access::column(table.as_str(), column.as_str()))
            }
            (Action::Read, Object::Table { database, table }) if *database == self.name => {
                Some(countersign_sql::Access::table(table.as_str()))
            }
            (Action::Read, Object::Column { database, table, column }) if *database == self.name => {
                Some(countersign_sql::Access::column(table.as_str(), column.as_str()))
            }
            (Action::Use, Object::Function { database, name }) if *database == self.name => {
                Some(countersign_sql::Access::function(name.as_str()))
            }
            _ => None,
        }
    }

    fn judged(&self) -> std::sync::MutexGuard<'_, HashMap<Judged, Arc<Facts>>> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The database that a `database` argument names, of those that exist for the caller.
pub(crate) fn find<'d>(
    databases: &'d [Arc<Database>],
    name: Option<&str>,
    principal: &Principal,
) -> Result<&'d Arc<Database>, ToolError> {
    let mut theirs = databases.iter().filter(|database| database.is_for(principal));
    theirs
        .find(|database| Some(database.name.as_ref()) == name)
        .ok_or_else(|| ToolError::invalid("/database", "must name a configured database"))
}

/// The JSON Schema of a `database` argument. It lists no names: another tenant's databases are nobody's business.
pub(crate) fn database_schema() -> serde_json::Value {
    serde_json::json!({
        "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$",
        "description": "a database's name: the NAME of a query_NAME tool"
    })
}

/// The caller of a plan: no call has an id in the engine before it is permitted.
fn planning(principal: &Principal) -> Caller<'_> {
    Caller { tenant: principal.tenant(), call: None }
}
