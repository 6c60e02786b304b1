//! What a pool of PostgreSQL connections is told: where the server is, who logs in for whom, and where statements are cut.

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf, time::Duration};

use countersign_egress::{AddressPolicy, Endpoint};

/// What a pool connects to, as whom, and how much of it.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// A host and port, or the path of the server's unix socket (`DIR/.s.PGSQL.5432`).
    pub endpoint: Endpoint,
    /// The database on that server.
    pub database: String,
    /// Addresses that may be dialled.
    pub addresses: AddressPolicy,
    /// How the connection is protected.
    pub tls: PostgresTls,
    /// Who logs in for whom.
    pub logins: PostgresLogins,
    /// Who logs in to write, where that is allowed; none for the same logins. A tenant without one writes as it reads.
    pub write_logins: Option<PostgresLogins>,
    /// Whether statements may write.
    pub writes: bool,
    /// Whether `UPDATE` and `DELETE` may do without a `WHERE`.
    pub unfiltered_writes: bool,
    /// Schemas that names without one are looked up in, after `pg_catalog`, and whose tables are listed.
    pub schemas: Vec<String>,
    /// Functions beyond the built-in list that statements may call: `schema.name`.
    pub functions: Vec<String>,
    /// Operators beyond those of `pg_catalog`, by symbol; those of extensions need not be named.
    pub operators: Vec<String>,
    /// Types beyond those of `pg_catalog`: `schema.name`; enumerations need not be named.
    pub types: Vec<String>,
    /// Settings beyond the built-in list that `SHOW` and `current_setting` may name.
    pub settings: Vec<String>,
    /// The planner's estimate above which a statement is not run; none for no limit.
    pub cost_limit: Option<f64>,
    /// How long a statement may run at most, whatever its caller has.
    pub statement_timeout: Duration,
    /// How long a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// Memory of one sort or hash, in kilobytes.
    pub work_mem_kb: u32,
    /// Connections of each tenant.
    pub connections: usize,
    /// Callers of one tenant that may wait for a connection.
    pub queue: usize,
    /// How long each may wait.
    pub queue_wait: Duration,
    /// How long connecting may take, with TLS and login.
    pub connect_timeout: Duration,
    /// How long a cancelled statement may take to end before its connection is dropped.
    pub grace: Duration,
    /// How long a statement may take to be judged.
    pub judging: Duration,
    /// The processes that parse statements.
    pub guard: GuardWorkers,
}

/// The processes that parse statements: the C parser meets hostile text where no key is.
#[derive(Clone, Debug)]
pub struct GuardWorkers {
    /// The program that serves as worker, by absolute path: our own binary.
    pub program: PathBuf,
    /// The arguments that make it one.
    pub args: Vec<OsString>,
    /// Processes at most.
    pub workers: usize,
    /// Resource limits of each.
    pub limits: countersign_sandbox::Limits,
}

/// How connections are protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostgresTls {
    /// Verified TLS: the server proves the name by a certificate.
    Verified {
        /// A PEM file of the authorities that are trusted; none for the system's.
        authorities: Option<PathBuf>,
        /// The name to prove; none for the endpoint's host.
        server_name: Option<String>,
    },
    /// No TLS to a loopback address or over a unix socket; elsewhere as [`PostgresTls::Verified`] with the system's authorities.
    UnlessLocal,
    /// No TLS anywhere: passwords and rows cross the network in the clear.
    DangerPlaintext,
}

/// Who logs in for whom.
#[derive(Clone, Debug)]
pub enum PostgresLogins {
    /// One login for all callers: what rows they see does not depend on their tenant.
    Shared(PostgresLogin),
    /// A login for each tenant; a tenant without one is refused.
    PerTenant(BTreeMap<String, PostgresLogin>),
}

impl PostgresLogins {
    /// The login of a tenant.
    pub(super) fn of(&self, tenant: &str) -> Option<&PostgresLogin> {
        match self {
            PostgresLogins::Shared(login) => Some(login),
            PostgresLogins::PerTenant(logins) => logins.get(tenant),
        }
    }
}

/// A role and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresLogin {
    user: String,
    password: String,
}

impl PostgresLogin {
    /// A role that logs in with this password.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> PostgresLogin {
        PostgresLogin { user: user.into(), password: password.into() }
    }

    /// The role's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for PostgresLogin {
    /// INVARIANT: the password is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

impl GuardWorkers {
    /// Two processes of 256 MiB at most.
    pub fn new(program: PathBuf, args: Vec<OsString>) -> GuardWorkers {
        let limits = countersign_sandbox::Limits {
            address_space: Some(256 << 20),
            ..countersign_sandbox::Limits::default()
        };
        GuardWorkers { program, args, workers: 2, limits }
    }
}

impl PostgresConfig {
    /// Ten connections for each tenant, 64 waiting callers for up to two seconds each, the schema `public`, ten seconds a statement, TLS
    /// unless the server is local.
    pub fn new(
        endpoint: Endpoint,
        database: impl Into<String>,
        logins: PostgresLogins,
        guard: GuardWorkers,
    ) -> PostgresConfig {
        PostgresConfig {
            endpoint,
            database: database.into(),
            addresses: AddressPolicy::operator_named(),
            tls: PostgresTls::UnlessLocal,
            logins,
            write_logins: None,
            writes: false,
            unfiltered_writes: false,
            schemas: vec!["public".to_owned()],
            functions: Vec::new(),
            operators: Vec::new(),
            types: Vec::new(),
            settings: Vec::new(),
            cost_limit: None,
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(1),
            work_mem_kb: 16 << 10,
            connections: 10,
            queue: 64,
            queue_wait: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(5),
            grace: Duration::from_millis(50),
            judging: Duration::from_secs(2),
            guard,
        }
    }
}
