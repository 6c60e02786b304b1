//! `init postgres`: the SQL that makes least-privilege logins and row security for tenants, printed for somebody to read, or run.

mod apply;
mod args;
mod script;

use std::{collections::BTreeMap, path::Path};

pub(crate) use self::args::{InitCommand, InitPostgres};
use self::script::{From, Plan, PlannedLogin};
use super::{configuration, runtime};
use crate::{
    config::{Config, Database, Host, Logins, Postgres, Source},
    print::{Exit, Failure, Outcome, Printer, Style, line},
};

/// Connections of a role beyond those of one server: another server while the first drains, and `doctor`.
const SPARE_CONNECTIONS: usize = 4;
/// Bytes of a role's name, so that the names of its policies fit 63 bytes.
const MAX_ROLE: usize = 48;

/// Runs the command.
pub(crate) fn run(command: &InitPostgres, file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    let (name, database, postgres) = chosen(&config, command.database.as_deref())?;
    let mut plan = plan(command, name, database, postgres)?;
    let from = match (&postgres.target.host, &command.from) {
        (Host::Unix(_), _) => From::Socket,
        (_, Some(client)) => From::Network(client.clone()),
        (host, None) if host.is_local() => From::Loopback,
        _ => From::Network("<address of Countersign's machine>/32".to_owned()),
    };
    let access = script::access_lines(&plan, &from);
    if !command.apply {
        print(&plan, &access, postgres, printer);
        return Ok(Exit::Ok);
    }
    set_verifiers(&mut plan, postgres);
    let admin = apply::Administrator::of(command.admin.as_deref().unwrap_or_default(), postgres)?;
    let notices = runtime()?.block_on(admin.run(&script::script(&plan)))?;
    if printer.json {
        printer.value(&serde_json::json!({"applied": true, "notices": notices, "pg_hba": access}));
        return Ok(Exit::Ok);
    }
    notices.iter().for_each(|notice| printer.say(&line(notice)));
    let without: Vec<&str> = postgres
        .logins
        .all()
        .filter(|(_, login)| login.password.is_none())
        .map(|(_, login)| login.user.as_str())
        .collect();
    if !without.is_empty() {
        printer.note(&format!(
            "{} no password is configured for {}: the server must know them otherwise",
            printer.on_err(Style::Warn, "warning:"),
            line(&without.join(", "))
        ));
    }
    printer.say(&format!(
        "\n{}",
        printer.styled(Style::Title, "Put these first into pg_hba.conf, and reload the server")
    ));
    access.lines().for_each(|text| printer.say(&format!("  {}", line(text))));
    printer.say(&format!("\n{}", printer.styled(Style::Title, "Then")));
    printer.say(&format!("  countersign doctor --config {}", config.file.display()));
    Ok(Exit::Ok)
}

/// The database that is meant.
fn chosen<'c>(
    config: &'c Config,
    name: Option<&str>,
) -> Result<(&'c str, &'c Database, &'c Postgres), Failure> {
    let all: BTreeMap<&str, (&Database, &Postgres)> = config
        .databases
        .iter()
        .filter_map(|(name, database)| match &database.source {
            Source::Postgres(postgres) => Some((name.as_str(), (database, postgres.as_ref()))),
            _ => None,
        })
        .collect();
    let names = || {
        match all.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ") {
        names if names.is_empty() => "the configuration names no PostgreSQL database; add a `[databases.NAME]` with `url = \"postgres://…\"`".to_owned(),
        names => format!("there are: {names}"),
    }
    };
    let mut of_any = all.iter();
    match (name, of_any.next(), of_any.next()) {
        (Some(name), ..) => match all.get_key_value(name) {
            Some((name, (database, postgres))) => Ok((name, database, postgres)),
            None => Err(Failure::usage(format!(
                "`{}` is no PostgreSQL database of the configuration",
                line(name)
            ))
            .help(names())),
        },
        (None, Some((name, (database, postgres))), None) => Ok((name, database, postgres)),
        _ => Err(Failure::usage("`--database NAME` is needed").help(names())),
    }
}

fn plan(
    command: &InitPostgres,
    name: &str,
    database: &Database,
    postgres: &Postgres,
) -> Result<Plan, Failure> {
    let mut values = BTreeMap::new();
    for given in &command.tenants {
        let (tenant, value) = given.split_once('=').unwrap_or((given, given));
        if values.insert(tenant, value).is_some() {
            return Err(Failure::usage(format!("`--tenant {}` is given twice", line(tenant))));
        }
    }
    let per_tenant = matches!(postgres.logins, Logins::Tenants(_));
    if per_tenant && command.tenant_column.is_none() {
        return Err(Failure::usage("`--tenant-column COLUMN` is needed: tenants have logins of their own, and their rows are told apart by it")
            .help("for example `--tenant-column tenant_id`"));
    }
    if !per_tenant && (command.tenant_column.is_some() || !values.is_empty()) {
        return Err(Failure::usage(format!("`{name}` has one login for all tenants, which reads every row"))
            .help(format!(
                "give each tenant a login: `[databases.{name}.tenants.TENANT]` with `user` and `password`"
            )));
    }
    if !command.writable.is_empty() && !database.allow_writes {
        return Err(Failure::usage("`--writable` contradicts the configuration")
            .help(format!("set `allow_writes = true` in `[databases.{name}]` first")));
    }
    let mut logins = Vec::new();
    for (tenant, login) in postgres.logins.all() {
        if login.user.len() > MAX_ROLE {
            return Err(Failure::usage(format!(
                "the role `{}` has more than {MAX_ROLE} bytes",
                line(&login.user)
            )));
        }
        let tenant =
            tenant.map(|tenant| (tenant.to_owned(), (*values.get(tenant).unwrap_or(&tenant)).to_owned()));
        let writes = login.writer.is_none();
        logins.push(PlannedLogin { role: login.user.clone(), tenant, verifier: None, writes });
    }
    let known = |tenant: &str| postgres.logins.iter().any(|(one, _)| one == Some(tenant));
    if let Some(unknown) = values.keys().find(|tenant| !known(tenant)) {
        return Err(Failure::usage(format!(
            "`--tenant {}` has no login in the configuration",
            line(unknown)
        ))
        .help(format!("add `[databases.{name}.tenants.{}]` with `user` and `password`", line(unknown))));
    }
    Ok(Plan {
        name: name.to_owned(),
        database: postgres.target.database.clone(),
        logins,
        schemas: postgres.schemas.clone(),
        tables: command.tables.clone(),
        shared: command.shared.clone(),
        writable: command.writable.clone(),
        functions: postgres.functions.clone(),
        tenant_column: command.tenant_column.clone(),
        keep_public: command.keep_public,
        connections: postgres.pool.saturating_mul(2).saturating_add(SPARE_CONNECTIONS),
        timeout_ms: database.timeout.as_millis(),
    })
}

/// The passwords of the configuration, as the server keeps them. In the clear they would stand in its log.
fn set_verifiers(plan: &mut Plan, postgres: &Postgres) {
    for (planned, (_, login)) in plan.logins.iter_mut().zip(postgres.logins.all()) {
        // SPEC: RFC 5803: the verifier tells the server whether a client knows the password, and tells nobody the password.
        planned.verifier = login
            .password
            .as_ref()
            // MUTATE(K1-verifier): the server, and its log, get the password in the clear
            .map(|password| postgres_protocol::password::scram_sha_256(password.reveal().as_bytes()));
    }
}

fn print(plan: &Plan, access: &str, postgres: &Postgres, printer: Printer) {
    let sql = script::script(plan);
    if printer.json {
        printer.value(&serde_json::json!({"sql": sql, "pg_hba": access}));
        return;
    }
    printer.say(&sql);
    printer.say("-- ---- Passwords: not printed. With psql, as the administrator:");
    for (_, login) in postgres.logins.all() {
        let role = login.user.replace('"', "\"\"");
        printer.say(&format!("--   \\password \"{}\"", line(&role)));
    }
    printer.say("-- (or run this command with --apply, which sets those of the configuration)");
    printer.say("--\n-- ---- pg_hba.conf: put these first, and reload the server:");
    access.lines().for_each(|text| printer.say(&format!("--   {}", line(text))));
}
