//! Puts the parts together: the only file that knows every crate.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use countersign_audit::{Log, Options, Rotation};
use countersign_core::{
    Digest, Pipeline, Tool,
    limits::{Limits, RateStore},
    pipeline::Parts,
    ports::{AuditLog, Observer},
    registry::{Registry, RegistryError},
};
use countersign_egress::http::ProxyLogin;
use countersign_identity::{KeyRing, oauth::SharedProofs};
use countersign_mcp::{Changes, Server};
use countersign_policy::{DatabaseFact, PolicyStore, RegistryFacts, RootFact, ToolFact, TrustedHosts};
use countersign_redact::{Redactor, delimit};
use countersign_state::{Desk, SharedRates, StopWatch, Store};
use countersign_tools::{
    Database, DatabaseLimits, EngineError,
    catalog::Prepared,
    database_resources, database_tools,
    files::{Folder, file_resources, file_tools},
};

use crate::{
    callers, catalog,
    config::{self, Config},
    confirm::Confirm,
    contained::{self, Contained},
    credentials::OwnCredentials,
    door::Door,
    engines, fetch,
    runtime::{FileRates, FleetProofs, Host, NoLog, unix_micros},
    state,
};

/// Characters of a statement.
const QUERY_CHARS: u32 = 10_000;

/// Which transport the process serves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Long-lived: rates in memory.
    Http,
    /// Comes and goes with its client: rates in a file.
    Stdio,
}

/// Everything that a serving process holds.
pub(crate) struct Composed {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) policy: Arc<PolicyStore>,
    pub(crate) keys: Arc<KeyRing>,
    /// Approvals and idempotency keys.
    pub(crate) desk: Arc<Desk>,
    /// What is frozen and revoked; somebody must [keep](StopWatch::keep) it fresh.
    pub(crate) stops: Arc<StopWatch>,
    /// Proofs of possession that other instances of a fleet have taken.
    pub(crate) proofs: Option<Arc<dyn SharedProofs>>,
    /// The operator's word on policies that loosen.
    pub(crate) confirm: Confirm,
    pub(crate) audit: Option<Arc<Log>>,
    pub(crate) changes: Changes,
    /// What a reload of the catalog builds on.
    pub(crate) base: Base,
    /// Entries of the catalog that waited for their databases at the start, as a text for the operator.
    pub(crate) waiting: Option<String>,
    /// The files of the catalog whose tools are served; none without a catalog.
    catalog: Mutex<Option<Digest>>,
    /// Held while this process is the only server of its state.
    _only: Option<File>,
}

impl Composed {
    /// Whether exactly this catalog and these tools are served.
    pub(crate) fn is_in_force(&self, catalog: Option<Digest>, tools: &[Arc<dyn Tool>]) -> bool {
        let served = self.pipeline.registry();
        let pins = |name: &Arc<str>, digest| {
            served.get(name).is_some_and(|entry| entry.tool.spec().digest == digest)
        };
        *self.catalog.lock().unwrap_or_else(PoisonError::into_inner) == catalog
            && served.tools().count() == tools.len()
            && tools.iter().all(|tool| pins(&tool.spec().name, tool.spec().digest))
    }

    /// Notes which catalog is served from now on.
    pub(crate) fn catalog_in_force(&self, catalog: Option<Digest>) {
        *self.catalog.lock().unwrap_or_else(PoisonError::into_inner) = catalog;
    }
}

/// The databases, and all tools but those of the catalog: what lasts as long as the process.
pub(crate) struct Base {
    pub(crate) databases: Vec<Arc<Database>>,
    tools: Vec<Arc<dyn Tool>>,
    /// The only tenant of a database, if it has one.
    tenants: BTreeMap<String, Arc<str>>,
    names: Vec<String>,
    /// The roots of files.
    pub(crate) folders: Vec<Arc<Folder>>,
    /// The destinations that are trusted with what callers have read.
    trusted: TrustedHosts,
    /// Who this server is to its egress proxy.
    pub(crate) proxy_login: Option<ProxyLogin>,
    /// The directory of the catalog; it need not exist.
    pub(crate) catalog: PathBuf,
    /// What this machine can contain, and what is absent for want of it.
    pub(crate) contained: Contained,
    #[cfg(feature = "fixtures")]
    fixtures: bool,
    /// What tools announce changes on.
    changes: Changes,
}

/// All tools and what policies may say of them.
pub(crate) struct Toolset {
    pub(crate) tools: Vec<Arc<dyn Tool>>,
    pub(crate) facts: RegistryFacts,
}

/// Builds everything but the listener. Fails when any part that must work does not.
pub(crate) async fn build(
    config: &Config,
    redactor: Redactor,
    observer: Arc<dyn Observer>,
    mode: Mode,
) -> anyhow::Result<Composed> {
    create_private(&config.state.dir)?;
    let base = base(config).await?;
    let catalog = catalog::load(&base.catalog, &base.databases).await?;
    let waiting = catalog.as_ref().and_then(catalog::waiting);
    let toolset = base.toolset(catalog.as_ref());
    let policy = PolicyStore::open(&config.policy.dir, config.policy.observe.clone(), toolset.facts)?;
    let policy = Arc::new(policy);
    let keys = KeyRing::open(&config.identity.keys).context("the API keys cannot be read")?;
    let (audit, log): (Arc<dyn AuditLog>, _) = if config.danger.audit_off {
        (Arc::new(NoLog), None)
    } else {
        let log = Arc::new(open_log(config)?);
        (Arc::clone(&log) as Arc<dyn AuditLog>, Some(log))
    };
    let store = state::store(&config.state).await.context("the state cannot be used")?;
    let rates = rates(config, mode, &store)?;
    let (runs, only) = state::runs(&config.state, mode, &store)?;
    let proofs = config.state.shared.is_some().then(|| Arc::new(FleetProofs(Arc::clone(&store))) as _);
    let desk = state::on(Arc::clone(&store), &config.state.dir).context("the state cannot be used")?;
    state::believes(&desk, &config.state.dir).await?;
    let stops = StopWatch::open(store, unix_micros).await.context("the state cannot be used")?;
    let stops = Arc::new(stops);
    let confirm = Confirm::new(&config.state.dir, Arc::clone(&desk));
    confirm.start(&policy.policies()).await?;
    let pipeline = Pipeline::new(Parts {
        registry: base.registry(toolset.tools, catalog.as_ref())?,
        policy: Arc::clone(&policy) as _,
        audit,
        limits: Limits::new(config.limits.calls, rates),
        environment: Arc::new(Host::new()),
        observer,
        runs: Arc::new(runs),
        reply_bytes: reply_bytes(config),
        redactor,
    })
    .with_state(Arc::clone(&desk) as _, Arc::clone(&desk) as _)
    .with_stops(Arc::clone(&stops) as _)
    .with_elicitation(config.approval.elicitation);
    callers::check_scopes(&config.identity.scopes, &pipeline.registry())?;
    pipeline.replace_scopes(config.identity.scopes.clone());
    Ok(Composed {
        pipeline: Arc::new(pipeline),
        policy,
        keys: Arc::new(keys),
        desk,
        stops,
        proofs,
        confirm,
        audit: log,
        changes: base.changes.clone(),
        base,
        waiting,
        catalog: Mutex::new(catalog.map(|catalog| catalog.digest())),
        _only: only,
    })
}

/// Where rates are counted, if not in memory: those of a fleet in its store, those of processes that come and go in a file.
fn rates(config: &Config, mode: Mode, store: &Arc<dyn Store>) -> anyhow::Result<Option<Arc<dyn RateStore>>> {
    // MUTATE(P4-limits): each instance of a fleet has the limits for itself
    if config.state.shared.is_some() {
        return Ok(Some(Arc::new(SharedRates::new(Arc::clone(store)))));
    }
    if mode == Mode::Http {
        return Ok(None);
    }
    let path = config.state.dir.join("rates");
    let rates = FileRates::open(&path).with_context(|| format!("cannot open `{}`", path.display()))?;
    Ok(Some(Arc::new(rates)))
}

/// The MCP server in front of a pipeline, behind its door.
pub(crate) fn server(config: &Config, composed: &Composed, door: Arc<Door>) -> anyhow::Result<Server> {
    let settings = &config.server;
    let mcp = countersign_mcp::Config {
        instructions: instructions(),
        body_bytes: settings.max_message,
        sessions_per_principal: settings.max_sessions_per_principal,
        sessions_total: settings.max_sessions,
        session_idle: settings.session_idle,
        header_timeout: settings.header_timeout,
        body_timeout: settings.body_timeout,
        drain: settings.drain,
        connections: settings.max_connections,
        failures_per_minute: config.limits.unauthenticated.per_minute,
        failures_burst: config.limits.unauthenticated.burst,
        hosts: callers::hosts(config),
        origins: settings.allowed_origins.clone(),
        oauth: callers::oauth(config),
        resource_updates: config.danger.fixtures,
        ..countersign_mcp::Config::default()
    };
    let own = OwnCredentials::of(config, &composed.pipeline, door.credentials.as_ref());
    let server = Server::new(mcp, Arc::clone(&composed.pipeline), door, composed.changes.clone())?;
    let server = match own {
        Some(own) => server.with_credentials(Arc::new(own)),
        None => server,
    };
    #[cfg(feature = "fixtures")]
    let server = match config.danger.fixtures {
        true => server.with_prompts(countersign_mcp::fixtures::prompts()),
        false => server,
    };
    Ok(server)
}

/// The tools of a configuration, with those of its catalog.
pub(crate) async fn toolset(config: &Config) -> anyhow::Result<Toolset> {
    let base = base(config).await?;
    Ok(base.toolset(catalog::load(&base.catalog, &base.databases).await?.as_ref()))
}

/// The databases of a configuration and their tools. One worker of each SQLite and ODBC database is started, which proves that it can be read; a PostgreSQL
/// server that is down is an error of calls, and of `doctor`, since it may come back without us.
pub(crate) async fn base(config: &Config) -> anyhow::Result<Base> {
    let binary = std::env::current_exe().context("cannot find this program's own file")?;
    let mut databases = Vec::new();
    for (name, settings) in &config.databases {
        let engine = engines::start(settings, &binary)
            .await
            .map_err(|e| anyhow::anyhow!("the database `{name}` cannot be used: {}", engine_error(&e)))?;
        let limits = DatabaseLimits {
            rows: settings.rows,
            bytes: config.limits.max_result,
            time: settings.timeout,
            query_chars: QUERY_CHARS,
        };
        let database = Database::new(name, engine, limits).of_tenant(settings.tenant.as_deref());
        databases.push(Arc::new(if settings.raw { database } else { database.catalog_only() }));
    }
    let changes = Changes::default();
    let mut tools = database_tools(&databases);
    let contained = contained::start(config).await;
    tools.extend(contained.tools.iter().cloned());
    let folders: Vec<_> = config.folders.values().map(Arc::clone).collect();
    tools.extend(file_tools(&folders));
    tools.extend(fetch::tools(&config.fetch, &binary)?);
    #[cfg(feature = "fixtures")]
    if config.danger.fixtures {
        tools.extend(countersign_mcp::fixtures::tools(&changes));
    }
    #[cfg(feature = "bench")]
    tools.extend(countersign_mcp::bench::tools());
    let own = |(name, settings): (&String, &config::Database)| {
        Some((name.clone(), Arc::from(settings.tenant.as_deref()?)))
    };
    Ok(Base {
        databases,
        tools,
        tenants: config.databases.iter().filter_map(own).collect(),
        names: config.databases.keys().cloned().collect(),
        folders,
        trusted: fetch::trusted(&config.fetch),
        proxy_login: config.fetch.proxy_login.clone(),
        catalog: config.catalog.dir.clone(),
        contained,
        #[cfg(feature = "fixtures")]
        fixtures: config.danger.fixtures,
        changes,
    })
}

/// A tool, and the only tenant that may see it.
type Owned = (Arc<dyn Tool>, Option<Arc<str>>);

impl Base {
    /// All tools, with those of a catalog, and what policies may say of them.
    pub(crate) fn toolset(&self, catalog: Option<&Prepared>) -> Toolset {
        let tenant = |name: &str| self.tenants.get(name).map(Arc::clone);
        let own = |tool: &Arc<dyn Tool>| {
            let name = &tool.spec().name;
            let own = name.strip_prefix("query_").or_else(|| name.strip_prefix("write_"));
            let database = own.and_then(tenant);
            (Arc::clone(tool), database)
        };
        let mut tools: Vec<Owned> = self.tools.iter().map(own).collect();
        for one in catalog.into_iter().flat_map(Prepared::tools) {
            // MUTATE(A14-catalog-tenant): a query of a tenant's database is shown to other tenants
            let owner = one.database.as_deref().and_then(tenant);
            tools.push((one.tool, owner));
        }
        tools.sort_by(|(a, _), (b, _)| a.spec().name.cmp(&b.spec().name));
        let fact =
            |(tool, tenant): &Owned| ToolFact { spec: Arc::clone(tool.spec()), tenant: tenant.clone() };
        let database = |name: &String| DatabaseFact { name: name.as_str().into(), tenant: tenant(name) };
        let root = |folder: &Folder| RootFact {
            name: Arc::clone(folder.root().name()),
            tenant: folder.settings().tenant.clone(),
        };
        let facts = RegistryFacts {
            tools: tools.iter().map(fact).collect(),
            databases: self.names.iter().map(database).collect(),
            roots: self.folders.iter().map(|folder| root(folder)).collect(),
            trusted: self.trusted.clone(),
        };
        Toolset { tools: tools.into_iter().map(|(tool, _)| tool).collect(), facts }
    }

    /// The registry of these tools and of all resources, with those of a catalog.
    ///
    /// # Errors
    /// If two tools share a name, or two resources a URI.
    pub(crate) fn registry(
        &self,
        tools: Vec<Arc<dyn Tool>>,
        catalog: Option<&Prepared>,
    ) -> Result<Registry, RegistryError> {
        let mut resources = database_resources(&self.databases);
        resources.extend(catalog.into_iter().flat_map(Prepared::resources).cloned());
        let owner = |database: &serde_json::Value| self.tenants.get(database.as_str()?).cloned();
        for resource in &mut resources {
            // MUTATE(H7-resource-database): the schema of a tenant's database is named to other tenants
            resource.tenant = resource.fixed.get("database").and_then(owner);
        }
        resources.extend(file_resources(&self.folders));
        #[cfg(feature = "fixtures")]
        let resources = match self.fixtures {
            true => [resources, countersign_mcp::fixtures::resources()].concat(),
            false => resources,
        };
        Registry::new(tools, resources)
    }
}

/// What an operator is told about an engine that does not start.
pub(crate) fn engine_error(error: &EngineError) -> String {
    match error {
        EngineError::Refused(refusal) => refusal.message.clone(),
        EngineError::Broken(cause) | EngineError::Unreachable(cause) => cause.clone(),
        EngineError::Busy { .. } | EngineError::Killed => "its worker does not answer".into(),
    }
}

/// What a model is told about this server.
fn instructions() -> String {
    format!(
        "Every call is checked against policy and recorded. A refusal names its rule; do not try to get around it. {}",
        delimit::INSTRUCTIONS
    )
}

/// Text that doubles in a reply (structured and as text) and grows by escaping must still fit what a tool was allowed to read.
fn reply_bytes(config: &Config) -> u64 {
    config.limits.max_result.saturating_mul(8)
}

pub(crate) fn open_log(config: &Config) -> anyhow::Result<Log> {
    let rotation = Rotation { bytes: config.audit.rotate, ..Rotation::default() };
    let options = Options { reserve: config.audit.reserve, rotation, ..Options::default() };
    Log::open(&config.audit.dir, &options).with_context(|| {
        format!(
            "the audit log cannot be opened; see `countersign audit verify {}`",
            config.audit.dir.display()
        )
    })
}

/// Makes a directory that nobody else may enter, if there is none.
pub(crate) fn create_private(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("cannot make the directory `{}`", dir.display()))
}
