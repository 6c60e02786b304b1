//! What `doctor` says of databases: whether they can be reached, and what their logins could do if every check of ours failed.

use std::{fs, io, path::Path};

use countersign_tools::RoleReport;
use tokio::runtime::Runtime;

use super::Check;
use crate::{
    compose::engine_error,
    config::{Config, Database, Odbc, Postgres, Source, odbc_name},
    engines,
};

/// The oldest major version of PostgreSQL that gets security fixes.
const OLDEST: u32 = 15;
/// How many tables are named in one line.
const NAMED: usize = 4;

/// Checks every database.
pub(super) fn checks(config: &Config, runtime: &Runtime) -> Vec<Check> {
    let mut checks = Vec::new();
    for (name, database) in &config.databases {
        match &database.source {
            Source::Sqlite { file, .. } => checks.push(sqlite(name, file)),
            Source::Postgres(settings) => checks.extend(postgres(name, database, settings, runtime)),
            Source::Odbc(settings) => checks.extend(odbc(name, database, settings, runtime)),
        }
    }
    if checks.is_empty() {
        checks.push(Check::warning(
            "database",
            "none is configured: there are no tools for SQL",
            "add a `[databases.NAME]`",
        ));
    }
    checks
}

fn sqlite(name: &str, path: &Path) -> Check {
    let file = path.display();
    let header = fs::File::open(path).and_then(|mut file| {
        let mut header = [0; 16];
        io::Read::read_exact(&mut file, &mut header).map(|()| header)
    });
    match header {
        Ok(header) if header == *b"SQLite format 3\0" => {
            Check::good("database", format!("{name}: {file} is an SQLite database"))
        }
        Ok(_) => Check::bad("database", format!("{name}: {file} is no SQLite database"), ""),
        Err(e) => Check::bad("database", format!("{name}: {file} cannot be read: {e}"), ""),
    }
}

fn odbc(name: &str, database: &Database, settings: &Odbc, runtime: &Runtime) -> Vec<Check> {
    let Ok(binary) = std::env::current_exe() else { return Vec::new() };
    let source = odbc_name(&settings.connection);
    match runtime.block_on(engines::start(database, &binary)) {
        Ok(_) => vec![
            Check::good(
                "database",
                format!("{name}: {source} answers over ODBC ({} SQL)", settings.dialect.name()),
            ),
            Check::warning(
                "database",
                format!("{name}: ODBC does not tell what a login may do"),
                "make sure at the source that it can only read, and only what agents may see",
            ),
        ],
        Err(e) => {
            let reason = engine_error(&e);
            let help = match reason.contains("(SQLSTATE IM") {
                true => {
                    "is the driver installed (`odbcinst -q -d`), and the source known (`odbcinst -q -s`)? ODBCSYSINI and ODBCINI say where both are looked up"
                }
                false => {
                    "is the server behind it running, and are user and password right? `isql` asks the same driver"
                }
            };
            vec![Check::bad("database", format!("{name}: {source} cannot be used over ODBC: {reason}"), help)]
        }
    }
}

fn postgres(name: &str, database: &Database, settings: &Postgres, runtime: &Runtime) -> Vec<Check> {
    let target = &settings.target;
    let place = format!("{}:{}/{}", target.host, target.port, target.database);
    let Ok(binary) = std::env::current_exe() else { return Vec::new() };
    let reports =
        runtime.block_on(async { engines::postgres(settings, database, &binary).await?.inspect().await });
    let reports = match reports {
        Ok(reports) => reports,
        Err(e) => {
            return vec![Check::bad(
                "database",
                format!("{name}: {place} cannot be used: {}", engine_error(&e)),
                format!(
                    "calls are refused until it can; is the server running, and are login and password right? `countersign init postgres --database {name}` makes the logins"
                ),
            )];
        }
    };
    let judge = Judge { name, database, logins: &reports };
    let mut checks = vec![version(name, &place, &reports)];
    for report in &reports {
        let found = judge.role(report);
        if found.is_empty() {
            let whom =
                report.tenant.as_ref().map_or(String::new(), |tenant| format!(" for the tenant {tenant}"));
            let rows = if report.tenant.is_some() { ", row security included" } else { "" };
            checks.push(Check::good(
                "database",
                format!("{name}: `{}`{whom} can do what it needs and no more{rows}", report.user),
            ));
        }
        checks.extend(found);
    }
    checks
}

/// Server, version and protection of the connection.
fn version(name: &str, place: &str, reports: &[RoleReport]) -> Check {
    let Some(first) = reports.first() else {
        return Check::bad("database", format!("{name}: {place} has no login"), "");
    };
    let major = first.server_version.split('.').next().and_then(|major| major.trim().parse::<u32>().ok());
    let protection = match (first.tls, first.peer) {
        (true, _) => "TLS with a verified certificate",
        (false, None) => "a unix socket",
        (false, Some(peer)) if peer.ip().is_loopback() => "without TLS, on this machine",
        (false, Some(_)) => "WITHOUT TLS",
    };
    let found = format!("{name}: PostgreSQL {} at {place}, {protection}", first.server_version);
    if !first.tls && first.peer.is_some_and(|peer| !peer.ip().is_loopback()) {
        return Check::bad(
            "database",
            found,
            "leave `tls` out, and name the authority in `ca`: passwords and rows can be read on the way",
        );
    }
    // A certificate says nothing on a socket of this machine, and everything beyond it.
    if first.public_address {
        return Check::warning(
            "database",
            format!("{found}; the address is a public one"),
            "let the server listen on a private address only, and admit Countersign's alone in pg_hba.conf",
        );
    }
    match major {
        Some(major) if major >= OLDEST => Check::good("database", found),
        Some(_) => {
            Check::warning("database", found, format!("versions before {OLDEST} get no security fixes"))
        }
        None => Check::warning("database", format!("{found}: the version is unknown"), ""),
    }
}

/// Judges what a login could do.
struct Judge<'j> {
    name: &'j str,
    database: &'j Database,
    logins: &'j [RoleReport],
}

impl Judge<'_> {
    fn role(&self, report: &RoleReport) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut bad = |found: String, help: String| checks.push(Check::bad("database", found, help));
        let who = format!("{}: `{}`", self.name, report.user);
        let own =
            format!("use a login of its own; `countersign init postgres --database {}` makes it", self.name);
        // MUTATE(A15-doctor): an administrator's login counts as sound
        if report.superuser {
            bad(
                format!("{who} is a superuser: it can do everything, on the server's machine too"),
                own.clone(),
            );
            return checks;
        }
        let attributes = [
            (report.bypass_rls, "BYPASSRLS: it sees every tenant's rows"),
            (report.create_role, "CREATEROLE: it can make itself more than it is"),
            (report.replication, "REPLICATION: it can copy the whole server"),
            (report.create_db, "CREATEDB"),
        ];
        for (_, attribute) in attributes.iter().filter(|(has, _)| *has) {
            bad(format!("{who} has {attribute}"), own.clone());
        }
        if !report.predefined_roles.is_empty() {
            let roles = report.predefined_roles.join(", ");
            let revoke = format!("REVOKE {roles} FROM {}", quoted(&report.user));
            bad(format!("{who} is a member of {roles}, which reaches beyond its grants"), revoke);
        }
        let (tenants, others): (Vec<&String>, Vec<&String>) =
            report.member_of.iter().partition(|role| self.logins.iter().any(|login| login.user == **role));
        if !tenants.is_empty() {
            let revoke = format!("REVOKE {} FROM {}", names(&tenants), quoted(&report.user));
            bad(
                format!("{who} is a member of another tenant's role, and can become it: {}", names(&tenants)),
                revoke,
            );
        }
        if !report.owned.is_empty() {
            bad(
                format!("{who} owns {}: row security does not bind an owner", several(&report.owned)),
                own.clone(),
            );
        }
        let mut warn = |found: String, help: String| checks.push(Check::warning("database", found, help));
        if !others.is_empty() {
            let revoke = format!("REVOKE {} FROM {}", names(&others), quoted(&report.user));
            warn(format!("{who} is a member of {}, and can do what that may", names(&others)), revoke);
        }
        let again = format!("`countersign init postgres --database {}` takes it back", self.name);
        let writes = self.database.allow_writes && report.writes;
        if !writes && !report.writable.is_empty() {
            let although = if report.writes { "writes are off" } else { "another login is for writes" };
            warn(
                format!("{who} may write {}, although {although}", several(&report.writable)),
                again.clone(),
            );
        }
        if writes && report.writable.is_empty() {
            warn(
                format!("{who} may write nothing, although writes are on"),
                format!("`countersign init postgres --database {} --writable TABLE` grants it", self.name),
            );
        }
        if !report.may_create_in.is_empty() {
            warn(format!("{who} may create objects in {}", several(&report.may_create_in)), again.clone());
        }
        if report.tenant.is_some() && !report.without_row_security.is_empty() {
            warn(
                format!("{who} reads {} whole: no row security", several(&report.without_row_security)),
                "right for tables that tenants share; for others, see `init postgres --tenant-column`".into(),
            );
        }
        checks
    }
}

/// At most a few names, and how many more there are.
fn several(items: &[String]) -> String {
    let named: Vec<String> = items.iter().take(NAMED).map(|item| format!("`{item}`")).collect();
    match items.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn names(items: &[&String]) -> String {
    items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ")
}

/// An identifier for a statement that a person may copy.
fn quoted(name: &str) -> String {
    let bare = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
    if bare { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
