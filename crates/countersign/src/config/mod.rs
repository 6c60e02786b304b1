//! `countersign.toml`: read once, checked as a whole, and handed on as values that need no further checks.
//!
//! [`load`] goes from text to [`Config`] in three steps: `raw` reads the file against the page of [`settings`], `checked` builds the
//! typed configuration and fetches secrets, `overlap` refuses databases and roots that lie where Countersign keeps its own files. Every step adds
//! to one list of problems, so a person sees all of them at once.

mod checked;
mod databases;
mod error;
mod fetch;
mod files;
mod identity;
mod kind;
mod overlap;
mod programs;
mod raw;
mod schema;
mod scopes;
mod secret;
pub(crate) mod settings;
mod show;
mod state;
#[cfg(test)]
mod tests;
mod units;
mod url;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use countersign_core::{
    Digest,
    limits::{LimitConfig, Rate},
};
use countersign_identity::TlsFiles;
use countersign_redact::{RefusedSecrets, SecretSet};
use countersign_sandbox::ContainerConfig;
use countersign_tools::files::Folder;
use countersign_tools::{commands::CommandConfig, python::PythonConfig};

pub(crate) use databases::{Database, Login, Logins, Odbc, Postgres, Source, Tls};
pub(crate) use error::{ConfigErrors, Problem};
pub(crate) use fetch::Fetch;
pub(crate) use identity::{Identity, Introspection, Issuer};
pub(crate) use kind::Listen;
pub(crate) use schema::schema;
pub(crate) use secret::{Environment, Secret};
pub(crate) use show::{Shown, show};
pub(crate) use state::{SharedState, State};
pub(crate) use units::{size_text, span};
pub(crate) use url::{DatabaseUrl, Host, PostgresTarget, Target, odbc_name};

/// The largest configuration file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration that holds together. All paths are absolute.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file.
    pub(crate) file: PathBuf,
    /// SHA-256 of its text: recorded at every start and reload.
    pub(crate) digest: Digest,
    /// `[server]`
    pub(crate) server: Server,
    /// `[state]`
    pub(crate) state: State,
    /// `[identity]`
    pub(crate) identity: Identity,
    /// `[policy]`
    pub(crate) policy: Policy,
    /// `[approval]`
    pub(crate) approval: Approval,
    /// `[audit]`
    pub(crate) audit: Audit,
    /// `[limits]`
    pub(crate) limits: Limits,
    /// `[catalog]`
    pub(crate) catalog: Catalog,
    /// `[redact.secrets]` and the passwords of databases, fetched.
    pub(crate) secrets: Vec<Secret>,
    /// `[databases.NAME]`
    pub(crate) databases: BTreeMap<String, Database>,
    /// `[sandbox]`, where it asks for containers.
    pub(crate) container: Option<ContainerConfig>,
    /// `[python]`; none: no tool.
    pub(crate) python: Option<PythonConfig>,
    /// `[commands.NAME]`
    pub(crate) commands: BTreeMap<String, CommandConfig>,
    /// `[files.NAME]`, open.
    pub(crate) folders: BTreeMap<String, Arc<Folder>>,
    /// `[fetch]`
    pub(crate) fetch: Fetch,
    /// `[danger]`
    pub(crate) danger: Danger,
    /// Every file and directory that the file names, secrets among them.
    pub(crate) paths: Vec<PathBuf>,
    /// What works, but should not stay so.
    pub(crate) warnings: Vec<String>,
    /// Every setting as it stands, for `config show`.
    pub(crate) shown: Vec<Shown>,
}

/// `[server]`: the HTTP transport.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Whether the process opens only files that the configuration names.
    pub(crate) confine: bool,
    /// A loopback address, a unix socket, or, with TLS, any address.
    pub(crate) listen: Listen,
    /// `[server.tls]`
    pub(crate) tls: Option<TlsFiles>,
    /// Host names beside the loopback names.
    pub(crate) allowed_hosts: Vec<String>,
    /// Origins of web pages that may call.
    pub(crate) allowed_origins: Vec<String>,
    /// How long calls under way may finish.
    pub(crate) drain: Duration,
    /// Bytes of the longest message.
    pub(crate) max_message: usize,
    /// Connections at once.
    pub(crate) max_connections: usize,
    /// Time for the headers of a request.
    pub(crate) header_timeout: Duration,
    /// Time for the body of a request.
    pub(crate) body_timeout: Duration,
    /// Sessions in all.
    pub(crate) max_sessions: usize,
    /// Sessions of one principal.
    pub(crate) max_sessions_per_principal: usize,
    /// When an idle session ends.
    pub(crate) session_idle: Duration,
}

/// `[policy]`
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// The directory of `*.cedar` files.
    pub(crate) dir: PathBuf,
    /// The directory of policies that are only observed.
    pub(crate) observe: Option<PathBuf>,
}

/// `[approval]`
#[derive(Clone, Copy, Debug)]
pub(crate) struct Approval {
    /// Whether the caller's own person may confirm low-impact writes through the client.
    pub(crate) elicitation: bool,
}

/// `[audit]`
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    /// The directory of the log.
    pub(crate) dir: PathBuf,
    /// Bytes that must stay free on its disk.
    pub(crate) reserve: u64,
    /// Bytes after which a log is closed and a new one begun.
    pub(crate) rotate: u64,
}

/// `[limits]`
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Rates and concurrency of authenticated calls.
    pub(crate) calls: LimitConfig,
    /// Failed logins from one address.
    pub(crate) unauthenticated: Rate,
    /// Bytes of the longest result.
    pub(crate) max_result: u64,
}

/// `[catalog]`
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    /// The directory of `*.toml` files; it need not exist.
    pub(crate) dir: PathBuf,
}

/// `[danger]`: everything that loosens a default.
#[derive(Clone, Debug)]
pub(crate) struct Danger {
    /// Callers need no key; they are this tenant, with these roles.
    pub(crate) anonymous: Option<Anonymous>,
    /// Issuers whose tokens need not say what they are.
    pub(crate) untyped_tokens: Vec<String>,
    /// No record is kept.
    pub(crate) audit_off: bool,
    /// Databases beyond this machine may be reached without TLS.
    pub(crate) plaintext_databases: bool,
    /// `fetch_url` reaches private networks.
    pub(crate) fetch_networks: bool,
    /// `fetch_url` reaches names of private networks.
    pub(crate) fetch_names: bool,
    /// A proxy decides where names lead.
    pub(crate) fetch_proxy_resolves: bool,
    /// Conformance fixtures are served.
    pub(crate) fixtures: bool,
}

/// Who an anonymous caller is.
#[derive(Clone, Debug)]
pub(crate) struct Anonymous {
    pub(crate) tenant: String,
    pub(crate) roles: Vec<String>,
}

impl Danger {
    /// The switches that are on, as they are named in the file.
    pub(crate) fn switches(&self) -> Vec<&'static str> {
        let all = [
            ("danger.anonymous", self.anonymous.is_some()),
            ("danger.untyped_tokens", !self.untyped_tokens.is_empty()),
            ("danger.audit_off", self.audit_off),
            ("danger.plaintext_databases", self.plaintext_databases),
            ("danger.fetch_networks", self.fetch_networks),
            ("danger.fetch_names", self.fetch_names),
            ("danger.fetch_proxy_resolves", self.fetch_proxy_resolves),
            ("danger.fixtures", self.fixtures),
        ];
        all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
    }
}

impl Config {
    /// The secrets for the redactor. [`load`] has made sure that they can be guarded.
    ///
    /// # Errors
    /// Names the secrets that are too short or otherwise cannot be found safely in text.
    pub(crate) fn secret_set(&self) -> Result<SecretSet, RefusedSecrets> {
        secret_set(&self.secrets)
    }
}

/// Every secret that this process was ever told.
///
/// INVARIANT: what was opened with an earlier value goes on with it, so that value stays a secret until the process ends.
pub(crate) struct EverySecret(Vec<Secret>);

impl EverySecret {
    /// Those of the configuration at the start.
    pub(crate) fn of(config: &Config) -> EverySecret {
        EverySecret(config.secrets.clone())
    }

    /// Those of a later configuration as well: all of them, for the redactor.
    ///
    /// # Errors
    /// If all together are more than can be searched for; what was known stays.
    pub(crate) fn join(&mut self, config: &Config) -> Result<SecretSet, RefusedSecrets> {
        let known = |one: &&Secret| {
            !self.0.iter().any(|old| (old.name == one.name) && (old.reveal() == one.reveal()))
        };
        // MUTATE(K2-former): a secret that was replaced passes, though it still opens what it opened
        let former = self.0.as_slice();
        let all: Vec<Secret> = former.iter().chain(config.secrets.iter().filter(known)).cloned().collect();
        let set = secret_set(&all)?;
        self.0 = all;
        Ok(set)
    }
}

fn secret_set(secrets: &[Secret]) -> Result<SecretSet, RefusedSecrets> {
    SecretSet::new(secrets.iter().map(|secret| (secret.name.clone(), secret.reveal().to_owned())))
}

/// Reads and checks a configuration file, with secrets from this process's environment. `serve` calls it at start and at every reload.
///
/// # Errors
/// Every problem of the file.
pub(crate) fn load(path: &Path) -> Result<Config, ConfigErrors> {
    load_with(path, &|name| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the binary reads the environment, and this is the place where it does"
        )]
        std::env::var(name).ok()
    })
}

/// As [`load`], with another environment.
pub(crate) fn load_with(path: &Path, environment: Environment<'_>) -> Result<Config, ConfigErrors> {
    let failed = |file: &Path, message: String, help: Option<String>| ConfigErrors {
        file: file.to_owned(),
        problems: vec![Problem { place: None, message, help }],
    };
    let file = match path.canonicalize() {
        Ok(file) => file,
        Err(e) => {
            let help =
                "`countersign quickstart` makes a configuration; `--config FILE` names another".to_owned();
            return Err(failed(path, format!("cannot read the configuration: {e}"), Some(help)));
        }
    };
    let text = match fs::metadata(&file) {
        Ok(meta) if !meta.is_file() => Err("the configuration is no regular file".to_owned()),
        Ok(meta) if meta.len() > MAX_BYTES => Err(format!("the file is longer than {MAX_BYTES} bytes")),
        _ => fs::read_to_string(&file).map_err(|e| format!("cannot read the configuration: {e}")),
    };
    let text = text.map_err(|message| failed(&file, message, None))?;
    let mut raw = raw::read(&text);
    let built = checked::build(&file, Digest::of(text.as_bytes()), &mut raw, environment);
    if let Some(config) = &built {
        raw.problems.extend(overlap::problems(config, &raw));
        raw.problems.extend(identity::problems(config, &raw));
        raw.problems.extend(scopes::problems(&raw));
    }
    raw.problems.sort();
    match built {
        Some(config) if raw.problems.is_empty() => Ok(config),
        _ => Err(ConfigErrors { file, problems: raw.problems }),
    }
}
