//! From settings to the typed configuration: absolute paths, fetched secrets, and rules that concern more than one setting.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use countersign_core::{
    Digest,
    limits::{Breaker, LimitConfig, Rate},
};

use super::{
    Anonymous, Approval, Audit, Catalog, Config, Danger, Database, Fetch, Limits, Listen, Policy, Secret,
    Server, State, databases,
    error::Problem,
    fetch, files, identity,
    kind::Value,
    programs,
    raw::Raw,
    secret::{Environment, Reference, Vault},
    secret_set, show, state,
};

/// Builds the configuration; `None` when a setting that everything needs could not be read, which is then among the problems.
pub(super) fn build(
    file: &Path,
    digest: Digest,
    raw: &mut Raw,
    environment: Environment<'_>,
) -> Option<Config> {
    let dir = file.parent().unwrap_or(Path::new("/")).to_owned();
    let mut vault = Vault::default();
    for name in raw.names("redact.secrets") {
        vault.fetch(raw, &format!("redact.secrets.{name}"), &name, &dir, environment);
    }
    let mut issuers = BTreeMap::new();
    for name in raw.names("identity.issuers") {
        let key = format!("identity.issuers.{name}.introspection_secret");
        let stands_for = identity::secret_name(&name);
        if let Some(secret) = vault.fetch(raw, &key, &stands_for, &dir, environment) {
            issuers.insert(stands_for, secret);
        }
    }
    let databases = databases::databases(raw, &dir, environment, &mut vault);
    let shared = state::shared(raw, &dir, environment, &mut vault);
    let folders = files::folders(raw, &dir);
    let proxy_login = fetch::proxy_login(raw, &mut vault, &dir, environment);
    if let Err(refused) = secret_set(&vault.secrets) {
        raw.problems.push(Problem { place: None, message: refused.to_string(), help: None });
    }
    let python = programs::python(raw, &dir);
    let container = programs::container(raw, &dir);
    let commands = programs::commands(raw, &dir, container.is_some());
    let config =
        Settings { raw, dir: &dir, environment, secrets: &issuers }.config(file, digest, databases, vault);
    if let Some(config) = &config {
        raw.problems.extend(config.fetch.problems());
    }
    let config = config.map(|config| {
        let state = State { shared, ..config.state };
        let fetch = Fetch { proxy_login, ..config.fetch };
        Config { state, python, commands, container, folders, fetch, ..config }
    });
    if config.is_none() && raw.problems.is_empty() {
        let message = "a setting has no entry on the page of settings".to_owned();
        raw.problems.push(Problem {
            place: None,
            message,
            help: Some("this is a defect of Countersign".into()),
        });
    }
    config
}

/// Typed access to settings that were read.
pub(super) struct Settings<'r> {
    pub(super) raw: &'r Raw,
    dir: &'r Path,
    environment: Environment<'r>,
    /// The secrets that settings of identity refer to.
    pub(super) secrets: &'r BTreeMap<String, Secret>,
}

impl Settings<'_> {
    fn config(
        &self,
        file: &Path,
        digest: Digest,
        databases: BTreeMap<String, Database>,
        vault: Vault,
    ) -> Option<Config> {
        Some(Config {
            file: file.to_owned(),
            digest,
            server: self.server()?,
            state: State { dir: self.path("state.dir")?, shared: None },
            identity: identity::identity(self)?,
            policy: Policy { dir: self.path("policy.dir")?, observe: self.path("policy.observe") },
            approval: Approval { elicitation: self.flag("approval.elicitation")? },
            audit: Audit {
                dir: self.path("audit.dir")?,
                reserve: self.number("audit.reserve")?,
                rotate: self.number("audit.rotate")?,
            },
            limits: self.limits()?,
            catalog: Catalog { dir: self.path("catalog.dir")? },
            secrets: vault.secrets,
            databases,
            container: None,
            python: None,
            commands: BTreeMap::new(),
            folders: BTreeMap::new(),
            fetch: self.fetch()?,
            paths: self.paths(),
            danger: self.danger()?,
            warnings: vault.warnings,
            shown: show::settings(self.raw),
        })
    }

    fn server(&self) -> Option<Server> {
        let Value::Listen(listen) = self.value("server.listen")? else { return None };
        let listen = match listen {
            Listen::Unix(path) => Listen::Unix(self.dir.join(path)),
            Listen::Tcp(address) => Listen::Tcp(*address),
        };
        Some(Server {
            confine: self.flag("server.confine")?,
            listen,
            tls: identity::tls(self)?,
            allowed_hosts: self.texts("server.allowed_hosts")?,
            allowed_origins: self.texts("server.allowed_origins")?,
            drain: self.span("server.drain")?,
            max_message: self.count("server.max_message")?,
            max_connections: self.count("server.max_connections")?,
            header_timeout: self.span("server.header_timeout")?,
            body_timeout: self.span("server.body_timeout")?,
            max_sessions: self.count("server.max_sessions")?,
            max_sessions_per_principal: self.count("server.max_sessions_per_principal")?,
            session_idle: self.span("server.session_idle")?,
        })
    }

    fn limits(&self) -> Option<Limits> {
        Some(Limits {
            calls: LimitConfig {
                principal: self.rate("limits.principal")?,
                tenant: self.rate("limits.tenant")?,
                tool: self.rate("limits.tool")?,
                run: self.rate("limits.run")?,
                repeat: self.rate("limits.repeat")?,
                server: self.rate("limits.server")?,
                run_calls: self.count("limits.run_calls")?,
                rows_per_hour: self.number("limits.rows_per_hour")?,
                bytes_per_hour: self.number("limits.bytes_per_hour")?,
                concurrent_principal: self.count("limits.concurrent_principal")?,
                concurrent_server: self.count("limits.concurrent_server")?,
                breaker: Breaker {
                    failures: self.count("limits.breaker.failures")?,
                    rest: self.span("limits.breaker.rest")?,
                },
            },
            unauthenticated: self.rate("limits.unauthenticated")?,
            max_result: self.number("limits.max_result")?,
        })
    }

    fn fetch(&self) -> Option<Fetch> {
        Some(Fetch {
            allow: self.parsed("fetch.allow")?,
            trusted: self.parsed("fetch.trusted")?,
            types: self.texts("fetch.types")?,
            max_body: self.number("fetch.max_body")?,
            max_chars: self.count("fetch.max_chars")?,
            timeout: self.span("fetch.timeout")?,
            ca: self.path("fetch.ca"),
            proxy: self.text("fetch.proxy").and_then(|proxy| proxy.parse().ok()),
            proxy_login: None,
            nat64: self.parsed("fetch.nat64")?,
            networks: self.parsed("danger.fetch_networks")?,
            names: self.parsed("danger.fetch_names")?,
            proxy_resolves: self.flag("danger.fetch_proxy_resolves")?,
            platform: (self.environment)("KUBERNETES_SERVICE_HOST").and_then(|host| host.parse().ok()),
            send: fetch::Sending {
                allow: self.parsed("fetch.send.allow")?,
                methods: self.texts("fetch.send.methods")?,
                types: self.texts("fetch.send.types")?,
                max_body: self.number("fetch.send.max_body")?,
                low: self.text("fetch.send.power")? == "write-low",
            },
        })
    }

    fn danger(&self) -> Option<Danger> {
        let anonymous = Anonymous {
            tenant: self.text("danger.anonymous_tenant")?,
            roles: self.texts("danger.anonymous_roles")?,
        };
        Some(Danger {
            anonymous: self.flag("danger.anonymous")?.then_some(anonymous),
            untyped_tokens: self.texts("danger.untyped_tokens")?,
            audit_off: self.flag("danger.audit_off")?,
            plaintext_databases: self.flag("danger.plaintext_databases")?,
            fetch_networks: !self.texts("danger.fetch_networks")?.is_empty(),
            fetch_names: !self.texts("danger.fetch_names")?.is_empty(),
            fetch_proxy_resolves: self.flag("danger.fetch_proxy_resolves")?,
            fixtures: self.flag("danger.fixtures")?,
        })
    }

    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.raw.values.get(key).map(|read| &read.value)
    }

    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        match self.value(key)? {
            Value::Path(path) => Some(self.dir.join(path)),
            _ => None,
        }
    }

    /// Every path of the file, whatever it is for.
    fn paths(&self) -> Vec<PathBuf> {
        let path = |value: &Value| match value {
            Value::Path(path) | Value::Reference(Reference::File(path)) => Some(self.dir.join(path)),
            _ => None,
        };
        self.raw.values.values().filter_map(|read| path(&read.value)).collect()
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.value(key)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn count<T: TryFrom<u64>>(&self, key: &str) -> Option<T> {
        self.number(key)?.try_into().ok()
    }

    pub(super) fn span(&self, key: &str) -> Option<Duration> {
        match self.value(key)? {
            Value::Span(span) => Some(*span),
            _ => None,
        }
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    pub(super) fn texts(&self, key: &str) -> Option<Vec<String>> {
        match self.value(key)? {
            Value::Texts(texts) => Some(texts.clone()),
            _ => None,
        }
    }

    /// Texts of a form, which the reader has checked.
    fn parsed<T: FromStr>(&self, key: &str) -> Option<Vec<T>> {
        self.texts(key)?.iter().map(|text| text.parse().ok()).collect()
    }

    fn rate(&self, table: &str) -> Option<Rate> {
        Some(Rate {
            per_minute: self.count(&format!("{table}.per_minute"))?,
            burst: self.count(&format!("{table}.burst"))?,
        })
    }
}
