//! `[databases.NAME]`: what a database is, who logs in to it, and the rules that concern more than one setting of it.

mod logins;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_sql::Dialect;

pub(crate) use self::logins::{Login, Logins};
use super::{
    kind::Value,
    raw::Raw,
    secret::{Environment, Reference, Secret, Vault},
    url::{PostgresTarget, Target},
};

/// `[databases.NAME]`
#[derive(Clone, Debug)]
pub(crate) struct Database {
    /// Where it is and how it is reached.
    pub(crate) source: Source,
    /// The only tenant that may use it.
    pub(crate) tenant: Option<String>,
    /// Whether callers may send SQL of their own.
    pub(crate) raw: bool,
    /// Whether there is a tool that writes.
    pub(crate) allow_writes: bool,
    /// Whether `UPDATE` and `DELETE` may do without a `WHERE`.
    pub(crate) allow_unfiltered_writes: bool,
    /// Rows at which results are cut.
    pub(crate) rows: u64,
    /// How long a query may run.
    pub(crate) timeout: Duration,
}

/// Where a database is and how it is reached.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A file; it exists.
    Sqlite {
        /// The file.
        file: PathBuf,
        /// Worker processes.
        workers: usize,
    },
    /// A PostgreSQL server.
    Postgres(Box<Postgres>),
    /// Whatever an ODBC driver reaches.
    Odbc(Odbc),
}

/// Whatever an ODBC driver reaches.
#[derive(Clone, Debug)]
pub(crate) struct Odbc {
    /// The connection string; it holds no password.
    pub(crate) connection: String,
    /// What is added to it as `PWD`.
    pub(crate) password: Option<Secret>,
    /// The SQL that it speaks.
    pub(crate) dialect: Dialect,
    /// Functions beyond the built-in list that queries may call.
    pub(crate) functions: Vec<String>,
    /// Worker processes.
    pub(crate) workers: usize,
}

/// A PostgreSQL database.
#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    /// Server and database.
    pub(crate) target: PostgresTarget,
    /// Who logs in, and for whom.
    pub(crate) logins: Logins,
    /// The schemas whose tables may be named, in the order in which names without one are looked up.
    pub(crate) schemas: Vec<String>,
    /// Functions of the operator's own that queries may call.
    pub(crate) functions: Vec<String>,
    /// Settings of the operator's own applications that queries may read.
    pub(crate) settings: Vec<String>,
    /// The estimate above which a query is refused.
    pub(crate) max_cost: u64,
    /// Connections of each login.
    pub(crate) pool: usize,
    /// Whether the server must prove who it is.
    pub(crate) tls: Tls,
}

/// How a connection is protected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Tls {
    /// TLS, with a certificate that `ca` signed, or an authority of the system.
    Verify { ca: Option<PathBuf> },
    /// None to a loopback address or over a unix socket; should the name turn out to lie elsewhere, as [`Tls::Verify`].
    UnlessLocal,
    /// None at all, under `danger.plaintext_databases`.
    Plaintext,
}

/// All databases of a file. A database with a problem is left out, and the problem added to the file's.
pub(super) fn databases(
    raw: &mut Raw,
    dir: &Path,
    environment: Environment<'_>,
    vault: &mut Vault,
) -> BTreeMap<String, Database> {
    let mut found = BTreeMap::new();
    for name in raw.names("databases") {
        let mut reader = Reader { raw, dir, environment, vault, name: &name };
        if let Some(database) = reader.database() {
            found.insert(name, database);
        }
    }
    found
}

/// Reads the settings of one database.
struct Reader<'r> {
    raw: &'r mut Raw,
    dir: &'r Path,
    environment: Environment<'r>,
    vault: &'r mut Vault,
    name: &'r str,
}

impl Reader<'_> {
    fn database(&mut self) -> Option<Database> {
        let Value::Url(url) = self.value("url")? else { return None };
        let source = match url.target() {
            Target::Sqlite(file) => {
                Source::Sqlite { file: self.dir.join(file), workers: self.count("workers")? }
            }
            Target::Postgres(target) => Source::Postgres(Box::new(self.postgres(target)?)),
            Target::Odbc(connection) => Source::Odbc(Odbc {
                connection: connection.clone(),
                password: self.secret("password"),
                dialect: {
                    let name = self.text("dialect")?;
                    *Dialect::ALL.iter().find(|dialect| dialect.name() == name)?
                },
                functions: self.texts("functions")?,
                workers: self.count("workers")?,
            }),
        };
        Some(Database {
            source,
            tenant: self.text("tenant"),
            raw: self.flag("raw")?,
            allow_writes: self.switch("allow_writes")?,
            allow_unfiltered_writes: self.flag("allow_unfiltered_writes")?,
            rows: self.count("rows")?,
            timeout: match self.value("timeout")? {
                Value::Span(span) => span,
                _ => return None,
            },
        })
    }

    fn postgres(&mut self, target: &PostgresTarget) -> Option<Postgres> {
        let logins = self.logins(target);
        let tls = self.tls(target);
        Some(Postgres {
            target: target.clone(),
            logins: logins?,
            schemas: self.schemas()?,
            functions: self.qualified_functions()?,
            settings: self.application_settings()?,
            max_cost: self.count("max_cost")?,
            pool: self.count("pool")?,
            tls: tls?,
        })
    }

    fn schemas(&mut self) -> Option<Vec<String>> {
        let schemas = self.texts("schemas")?;
        let own = |schema: &String| schema.starts_with("pg_") || schema == "information_schema";
        if schemas.is_empty() || schemas.iter().any(own) {
            self.problem(
                "schemas",
                "must name at least one schema, and none of PostgreSQL's own",
                "`list_tables` and `describe_table` answer what callers may know of the catalogue",
            );
        }
        Some(schemas)
    }

    fn qualified_functions(&mut self) -> Option<Vec<String>> {
        let functions = self.texts("functions")?;
        if !functions.iter().all(|function| function.contains('.')) {
            self.problem(
                "functions",
                "must name the schema of each function",
                "for example `app.tax_rate`: which function a bare name means depends on the search path",
            );
        }
        Some(functions)
    }

    fn application_settings(&mut self) -> Option<Vec<String>> {
        let settings = self.texts("settings")?;
        if !settings.iter().all(|setting| setting.contains('.')) {
            self.problem(
                "settings",
                "must name settings of applications, with a dot",
                "for example `app.region`: settings of the server itself are on a list that is not changed",
            );
        }
        Some(settings)
    }

    fn tls(&mut self, target: &PostgresTarget) -> Option<Tls> {
        let ca = match self.value("ca") {
            Some(Value::Path(path)) => Some(self.dir.join(path)),
            _ => None,
        };
        let local = target.host.is_local();
        let demanded = match self.text("tls")?.as_str() {
            "verify" => true,
            "off" => false,
            _ => !local || ca.is_some(),
        };
        if demanded {
            if ca.as_ref().is_some_and(|file| !file.is_file()) {
                self.problem(
                    "ca",
                    "names no file",
                    "it is the certificate of the authority that signed the server's, in PEM",
                );
            }
            if matches!(target.host, super::url::Host::Unix(_)) {
                self.problem(
                    "tls",
                    "cannot be demanded of a unix socket",
                    "leave it out: nothing leaves this machine",
                );
            }
            return Some(Tls::Verify { ca });
        }
        let dangerous = self.raw.values.get("danger.plaintext_databases").map(|read| &read.value)
            == Some(&Value::Flag(true));
        // MUTATE(A21-plaintext): a database beyond this machine may be reached without TLS
        if !local && !dangerous {
            self.problem(
                "tls",
                "must be on: this database is beyond this machine, and passwords and rows could be read on the way",
                "leave `tls` out, and name the authority in `ca`; for tests only there is `danger.plaintext_databases`",
            );
        }
        if ca.is_some() {
            self.problem("ca", "has no use while `tls` is off", "leave one of them out");
        }
        Some(if local { Tls::UnlessLocal } else { Tls::Plaintext })
    }

    /// A switch that the environment may hold. A variable that is not set is off.
    fn switch(&mut self, key: &str) -> Option<bool> {
        let Value::Reference(Reference::Env(variable)) = self.value(key)? else { return self.flag(key) };
        match (self.environment)(&variable).as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "1" | "yes" | "on") => Some(true),
            None | Some("" | "false" | "0" | "no" | "off") => Some(false),
            Some(_) => {
                let message = format!("needs `{variable}` in the environment to be `true` or `false`");
                self.problem(key, &message, "`1`, `yes` and `on`, `0`, `no` and `off` will do as well");
                None
            }
        }
    }

    fn secret(&mut self, key: &str) -> Option<Secret> {
        let full = self.key(key);
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String =
            format!("{}_{}", self.name, key.trim_start_matches("tenants.")).chars().map(plain).collect();
        self.vault.fetch(self.raw, &full, &name, self.dir, self.environment)
    }

    fn key(&self, key: &str) -> String {
        format!("databases.{}.{key}", self.name)
    }

    fn value(&self, key: &str) -> Option<Value> {
        self.raw.values.get(&self.key(key)).map(|read| read.value.clone())
    }

    fn text(&self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn texts(&self, key: &str) -> Option<Vec<String>> {
        match self.value(key)? {
            Value::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    fn count<T: TryFrom<u64>>(&self, key: &str) -> Option<T> {
        match self.value(key)? {
            Value::Number(number) => number.try_into().ok(),
            _ => None,
        }
    }

    /// A problem of one setting, at its place or else at that of the url.
    fn problem(&mut self, key: &str, message: &str, help: &str) {
        let full = self.key(key);
        let place = |key: &str| self.raw.values.get(key).and_then(|read| read.place);
        let place = place(&full).or_else(|| place(&self.key("url"))).unwrap_or((1, 1));
        self.raw.problem(place, format!("`{full}` {message}"), Some(help.to_owned()));
    }
}
