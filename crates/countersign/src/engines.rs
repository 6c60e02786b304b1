//! From the settings of a database to the engine that runs its statements.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use countersign_egress::Endpoint;
use countersign_sql::{ConnectionString, OdbcSource};
use countersign_tools::{
    Credentials, Engine, EngineError, GuardWorkers, OdbcConfig, OdbcPool, PoolConfig, PostgresConfig,
    PostgresLogin, PostgresLogins, PostgresPool, PostgresTls, SqlitePool,
};

use crate::config::{self, Database, Host, Login, Logins, Source, Tls};

/// The hidden subcommand under which this binary is a worker that holds one connection.
pub(crate) const DATABASE_WORKER: &str = "__sqlite-worker";
/// The hidden subcommand under which this binary is a worker that parses PostgreSQL statements.
pub(crate) const GUARD_WORKER: &str = "__guard-worker";

/// How long an ODBC driver may take to connect.
const ODBC_CONNECT: Duration = Duration::from_secs(10);

/// Starts the engine of a database. SQLite and ODBC prove at once that they can be read. A PostgreSQL server need not be there: calls fail
/// until it is.
///
/// # Errors
/// Why it cannot be used.
pub(crate) async fn start(database: &Database, binary: &Path) -> Result<Arc<dyn Engine>, EngineError> {
    Ok(match &database.source {
        Source::Sqlite { file, workers } => {
            let pool = PoolConfig { workers: *workers, ..PoolConfig::new(binary.to_owned(), worker()) };
            Arc::new(match database.allow_writes {
                true => {
                    SqlitePool::start_writing(pool, file.clone(), database.allow_unfiltered_writes).await?
                }
                false => SqlitePool::start(pool, file.clone()).await?,
            })
        }
        Source::Postgres(settings) => Arc::new(postgres(settings, database, binary).await?),
        Source::Odbc(settings) => {
            let source = OdbcSource {
                connection: connection(settings),
                dialect: settings.dialect,
                functions: settings.functions.iter().cloned().collect(),
                connect: ODBC_CONNECT,
                writable: database.allow_writes,
            };
            let mut config = OdbcConfig::new(binary.to_owned(), worker(), source);
            config.pool.workers = settings.workers;
            config.pool.env = driver_environment();
            Arc::new(OdbcPool::start(config).await?)
        }
    })
}

/// What a database logs in with by its settings; none for a file.
pub(crate) fn credentials(database: &Database) -> Option<Credentials> {
    match &database.source {
        Source::Sqlite { .. } => None,
        Source::Postgres(settings) => Some(Credentials::Postgres {
            readers: logins(&settings.logins),
            writers: write_logins(database, &settings.logins),
        }),
        Source::Odbc(settings) => Some(Credentials::Odbc(connection(settings))),
    }
}

fn connection(settings: &config::Odbc) -> ConnectionString {
    let connection = ConnectionString::new(settings.connection.clone());
    match &settings.password {
        // MUTATE(A1-odbc-login): a source is opened without its password
        Some(password) => connection.with("PWD", password.reveal()),
        None => connection,
    }
}

/// The pool of a PostgreSQL database; no connection is made yet.
///
/// # Errors
/// An authority that cannot be read, or a guard that cannot be started.
pub(crate) async fn postgres(
    settings: &config::Postgres,
    database: &Database,
    binary: &Path,
) -> Result<PostgresPool, EngineError> {
    let guard = GuardWorkers::new(binary.to_owned(), vec![GUARD_WORKER.into()]);
    let target = &settings.target;
    let config = PostgresConfig {
        tls: match &settings.tls {
            Tls::Verify { ca } => PostgresTls::Verified { authorities: ca.clone(), server_name: None },
            Tls::UnlessLocal => PostgresTls::UnlessLocal,
            Tls::Plaintext => PostgresTls::DangerPlaintext,
        },
        schemas: settings.schemas.clone(),
        functions: settings.functions.clone(),
        settings: settings.settings.clone(),
        #[expect(clippy::cast_precision_loss, reason = "an estimate; the largest setting is exact")]
        cost_limit: Some(settings.max_cost as f64),
        statement_timeout: database.timeout,
        writes: database.allow_writes,
        write_logins: write_logins(database, &settings.logins),
        unfiltered_writes: database.allow_unfiltered_writes,
        connections: settings.pool,
        ..PostgresConfig::new(
            endpoint(&target.host, target.port),
            &*target.database,
            logins(&settings.logins),
            guard,
        )
    };
    PostgresPool::start(config).await
}

/// Where a server is dialled. A unix socket's name holds the port.
pub(crate) fn endpoint(host: &Host, port: u16) -> Endpoint {
    match host {
        Host::Tcp(host) => Endpoint::Tcp { host: host.clone(), port },
        Host::Unix(dir) => Endpoint::Unix(PathBuf::from(dir).join(format!(".s.PGSQL.{port}"))),
    }
}

fn login(login: &Login) -> PostgresLogin {
    PostgresLogin::new(&*login.user, login.password.as_ref().map_or("", |password| password.reveal()))
}

/// Who logs in to write, of those who have a login for that.
fn write_logins(database: &Database, logins: &Logins) -> Option<PostgresLogins> {
    // MUTATE(A5-writer): writes take the login that reads
    if !database.allow_writes {
        return None;
    }
    match logins {
        Logins::One(one) => one.writer.as_deref().map(login).map(PostgresLogins::Shared),
        Logins::Tenants(tenants) => {
            let writer =
                |(tenant, one): (&String, &Login)| Some((tenant.clone(), login(one.writer.as_deref()?)));
            Some(PostgresLogins::PerTenant(tenants.iter().filter_map(writer).collect()))
        }
    }
}

fn logins(logins: &Logins) -> PostgresLogins {
    match logins {
        Logins::One(one) => PostgresLogins::Shared(login(one)),
        Logins::Tenants(tenants) => PostgresLogins::PerTenant(
            tenants.iter().map(|(tenant, one)| (tenant.clone(), login(one))).collect(),
        ),
    }
}

fn worker() -> Vec<OsString> {
    vec![DATABASE_WORKER.into()]
}

/// What drivers look for in the environment: paths and names, no secrets.
fn driver_environment() -> Vec<(OsString, OsString)> {
    #[expect(clippy::disallowed_methods, reason = "the binary reads the environment")]
    let set = |name: &&str| Some((OsString::from(name), std::env::var_os(name)?));
    OdbcConfig::ENVIRONMENT.iter().filter_map(set).collect()
}
