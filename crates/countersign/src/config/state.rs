//! `[state]`: where approvals, stops and shared limits are kept: files of this machine, or a database that a fleet shares.

use std::path::{Path, PathBuf};

use super::{
    kind::Value,
    raw::Raw,
    secret::{Environment, Secret, Vault},
    url::{Host, PostgresTarget, Target},
};

/// `[state]`: what outlives calls.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The directory of this instance's own files.
    pub(crate) dir: PathBuf,
    /// The database that a fleet shares; none: one file in `dir`.
    pub(crate) shared: Option<SharedState>,
}

/// A PostgreSQL database that a fleet shares.
#[derive(Clone, Debug)]
pub(crate) struct SharedState {
    /// Server and database.
    pub(crate) target: PostgresTarget,
    /// The role.
    pub(crate) user: String,
    /// Its password.
    pub(crate) password: Option<Secret>,
    /// Who signed the server's certificate; none: an authority of the system, and no TLS within this machine.
    pub(crate) ca: Option<PathBuf>,
    /// Sessions at most.
    pub(crate) pool: usize,
}

/// The shared database, if the file names one. What is wrong with it becomes a problem of the file.
pub(super) fn shared(
    raw: &mut Raw,
    dir: &Path,
    environment: Environment<'_>,
    vault: &mut Vault,
) -> Option<SharedState> {
    let Some(Value::Url(url)) = value(raw, "state.url") else {
        for key in ["state.password", "state.ca"] {
            if value(raw, key).is_some() {
                problem(raw, key, "belongs to no database", "write `state.url` beside it, or leave it out");
            }
        }
        return None;
    };
    let Target::Postgres(target) = url.target() else {
        problem(
            raw,
            "state.url",
            "must name a PostgreSQL database",
            "without `state.url` the state is an SQLite file in `state.dir`",
        );
        return None;
    };
    let Some(user) = target.user.clone() else {
        problem(raw, "state.url", "names no login", "write `postgres://user@host:port/database`");
        return None;
    };
    let ca = match value(raw, "state.ca") {
        Some(Value::Path(path)) => Some(dir.join(path)),
        _ => None,
    };
    if ca.as_ref().is_some_and(|file| !file.is_file()) {
        let help = "it is the certificate of the authority that signed the server's, in PEM";
        problem(raw, "state.ca", "names no file", help);
    }
    if ca.is_some() && matches!(target.host, Host::Unix(_)) {
        problem(
            raw,
            "state.ca",
            "has no use over a unix socket",
            "leave it out: nothing leaves this machine",
        );
    }
    let pool = match value(raw, "state.pool") {
        Some(Value::Number(number)) => usize::try_from(number).ok()?,
        _ => return None,
    };
    let password = vault.fetch(raw, "state.password", "state_password", dir, environment);
    Some(SharedState { target: target.clone(), user, password, ca, pool })
}

fn value(raw: &Raw, key: &str) -> Option<Value> {
    raw.values.get(key).map(|read| read.value.clone())
}

fn problem(raw: &mut Raw, key: &str, message: &str, help: &str) {
    let place = raw.values.get(key).and_then(|read| read.place).unwrap_or((1, 1));
    raw.problem(place, format!("`{key}` {message}"), Some(help.to_owned()));
}
