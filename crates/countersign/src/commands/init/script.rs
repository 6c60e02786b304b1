//! The SQL that makes least-privilege logins: a head with what is the operator's, and a body that is the same for everybody.
//!
//! INVARIANT: the operator's names and values stand in the head alone, as literals of two `INSERT`s. The body puts them into statements with
//! PostgreSQL's own `format('%I', …)`.

use std::fmt::Write as _;

/// What the script is made for.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// The database's name in the configuration.
    pub(super) name: String,
    /// The database's name on its server.
    pub(super) database: String,
    /// Who logs in.
    pub(super) logins: Vec<PlannedLogin>,
    /// Schemas that queries may name.
    pub(super) schemas: Vec<String>,
    /// The tables to grant; none for all.
    pub(super) tables: Vec<String>,
    /// Tables that every tenant reads whole.
    pub(super) shared: Vec<String>,
    /// Tables that may be written.
    pub(super) writable: Vec<String>,
    /// Functions that queries may call.
    pub(super) functions: Vec<String>,
    /// The column that tells tenants apart.
    pub(super) tenant_column: Option<String>,
    /// Whether the rights of everybody stay as they are.
    pub(super) keep_public: bool,
    /// Connections that one login may have.
    pub(super) connections: usize,
    /// How long a statement may run, in milliseconds.
    pub(super) timeout_ms: u128,
}

/// One login.
#[derive(Clone, Debug)]
pub(super) struct PlannedLogin {
    /// The role.
    pub(super) role: String,
    /// Its tenant, and what the tenant's rows hold in the tenant column.
    pub(super) tenant: Option<(String, String)>,
    /// What the server checks the password against; the password itself stays here.
    pub(super) verifier: Option<String>,
    /// Whether it may write what is writable: not if another login writes in its place.
    pub(super) writes: bool,
}

/// Columns that hold what opens doors, as a regular expression of PostgreSQL, matched without regard to case. The default policy forbids the
/// same ones (`secret-columns`).
pub(super) const SECRET_COLUMNS: &str =
    "password|passwd|passphrase|secret|token$|token_hash$|api_key|apikey|private_key|access_key|credential";

const BODY: &str = include_str!("least_privilege.sql");

/// The whole script.
pub(super) fn script(plan: &Plan) -> String {
    let mut text = format!(
        "-- Least-privilege logins of Countersign for the database {}, made by `countersign init postgres`.\n\
         -- Run it as a superuser, or as a role that owns the tables and may make roles. It is one transaction, and may be run again.\n\
         BEGIN;\n\
         -- Nothing that somebody else put into a schema is taken for what is PostgreSQL's own.\n\
         SET LOCAL search_path = pg_catalog, pg_temp;\n\n\
         CREATE TEMPORARY TABLE countersign_login (role text PRIMARY KEY, tenant text, value text, verifier text, writes boolean) ON COMMIT DROP;\n\
         INSERT INTO countersign_login VALUES\n",
        comment(&plan.name)
    );
    for (position, login) in plan.logins.iter().enumerate() {
        let (tenant, value) = match &login.tenant {
            Some((tenant, value)) => (literal(tenant), literal(value)),
            None => ("NULL".to_owned(), "NULL".to_owned()),
        };
        let verifier = login.verifier.as_deref().map_or("NULL".to_owned(), literal);
        let end = if position + 1 == plan.logins.len() { ";" } else { "," };
        let _ = writeln!(
            text,
            "  ({}, {tenant}, {value}, {verifier}, {}){end}",
            literal(&login.role),
            login.writes
        );
    }
    let _ = write!(
        text,
        "\nCREATE TEMPORARY TABLE countersign_scope (\n  \
           schemas text[], tables text[], shared text[], writable text[], functions text[], tenant_column text, secret_columns text,\n  \
           keep_public boolean, connections int, timeout text) ON COMMIT DROP;\n\
         INSERT INTO countersign_scope VALUES (\n  \
           {},  -- schemas\n  {},  -- tables; none: all of them\n  {},  -- tables that every tenant reads whole\n  {},  -- tables that may be written\n  \
           {},  -- functions\n  {},  -- the column that tells tenants apart\n  {},  -- columns that are granted to nobody\n  \
           {}, {}, {});\n\n",
        array(&plan.schemas),
        array(&plan.tables),
        array(&plan.shared),
        array(&plan.writable),
        array(&plan.functions),
        plan.tenant_column.as_deref().map_or("NULL".to_owned(), literal),
        literal(SECRET_COLUMNS),
        plan.keep_public,
        plan.connections,
        literal(&format!("{}ms", plan.timeout_ms)),
    );
    text.push_str(BODY);
    text
}

/// The lines for `pg_hba.conf`: these roles, this database, SCRAM, TLS, and nothing else.
pub(super) fn access_lines(plan: &Plan, from: &From) -> String {
    let roles: Vec<String> = plan.logins.iter().map(|login| hba(&login.role)).collect();
    let (roles, database) = (roles.join(","), hba(&plan.database));
    let first = match from {
        From::Socket => format!("local    {database}  {roles}  scram-sha-256\n"),
        From::Loopback => format!(
            "host     {database}  {roles}  127.0.0.1/32  scram-sha-256\nhost     {database}  {roles}  ::1/128  scram-sha-256\n"
        ),
        From::Network(client) => format!("hostssl  {database}  {roles}  {client}  scram-sha-256\n"),
    };
    format!("{first}local    all  {roles}  reject\nhost     all  {roles}  all  reject\n")
}

/// From where Countersign connects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum From {
    /// A unix socket.
    Socket,
    /// The server's own machine.
    Loopback,
    /// An address range, or what the operator must put in its place.
    Network(String),
}

/// SPEC: `pg_hba.conf`: a quoted name has no special meaning; a quote cannot be written, so such a name is left to the operator.
fn hba(name: &str) -> String {
    let bare = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    match (bare && !matches!(name, "all" | "replication" | "sameuser" | "samerole"), name.contains('"')) {
        (true, _) => name.to_owned(),
        (false, false) => format!("\"{name}\""),
        (false, true) => "<name with quotes>".to_owned(),
    }
}

/// A string literal that means itself whatever `standard_conforming_strings` is.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match text.contains('\\') {
        true => format!("E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}

fn array(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| literal(item)).collect();
    format!("ARRAY[{}]::text[]", items.join(", "))
}

/// Text for a comment: one line.
fn comment(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests;
