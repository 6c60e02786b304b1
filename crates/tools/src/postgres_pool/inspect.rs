//! What the logins could do: questions to the server's own catalogues, one report for each login.

use std::sync::Arc;

use super::{
    report::RoleReport,
    session::engine_error,
    tenant::{Lease, Tenant},
};
use crate::engine::EngineError;

const ROLE: &str = "SELECT current_setting('server_version'), r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolcreatedb, r.rolreplication
    FROM pg_roles r WHERE r.rolname = current_user";

/// `pg_has_role(…, 'MEMBER')` sees memberships at any remove, `SET ROLE` included; a superuser is member of all and is told as such.
const MEMBERSHIPS: &str = "SELECT r.rolname FROM pg_roles r, pg_roles me
    WHERE me.rolname = current_user AND r.oid <> me.oid AND NOT me.rolsuper AND pg_has_role(current_user, r.oid, 'MEMBER') ORDER BY 1";

const OWNED: &str = "SELECT concat(n.nspname, '.', c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_has_role(current_user, c.relowner, 'MEMBER')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' ORDER BY 1 LIMIT 1000";

const WRITABLE: &str = "SELECT concat(n.nspname, '.', c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'f') AND has_schema_privilege(n.oid, 'USAGE')
      AND (has_any_column_privilege(c.oid, 'INSERT, UPDATE') OR has_table_privilege(c.oid, 'DELETE, TRUNCATE, TRIGGER'))
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' ORDER BY 1 LIMIT 1000";

const UNPROTECTED: &str = "SELECT concat(n.nspname, '.', c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relrowsecurity AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' ORDER BY 1 LIMIT 1000";

const CREATES: &str = "SELECT n.nspname FROM pg_namespace n WHERE has_schema_privilege(n.oid, 'CREATE')
    AND n.nspname !~ '^pg_(toast|temp)' ORDER BY 1 LIMIT 1000";

/// What a tenant's logins could do: the one that reads, and the one that writes if that is another.
pub(super) async fn inspect(
    name: Option<&str>,
    tenant: &Arc<Tenant>,
) -> Result<Vec<RoleReport>, EngineError> {
    let logins = tenant.logins();
    let one = logins.reader.user() == logins.writer.user();
    let reader =
        RoleReport { writes: one, ..report(name, logins.reader.user(), tenant.lease().await?).await? };
    if one {
        return Ok(vec![reader]);
    }
    let writer = report(name, logins.writer.user(), tenant.lease_writer().await?).await?;
    Ok(vec![reader, writer])
}

async fn report(name: Option<&str>, user: &str, mut lease: Lease) -> Result<RoleReport, EngineError> {
    let session = lease.session()?;
    let queries = [ROLE, MEMBERSHIPS, OWNED, WRITABLE, UNPROTECTED, CREATES];
    let mut answers = session.connection.ask(&queries).await.map_err(engine_error)?.into_iter();
    let role: Vec<Option<String>> = answers.next().into_iter().flatten().next().unwrap_or_default();
    let is = |position: usize| role.get(position).and_then(Option::as_deref) == Some("t");
    let mut names =
        || -> Vec<String> { answers.next().unwrap_or_default().into_iter().flatten().flatten().collect() };
    let (predefined_roles, member_of) = names().into_iter().partition(|role| role.starts_with("pg_"));
    Ok(RoleReport {
        tenant: name.map(str::to_owned),
        user: user.to_owned(),
        writes: true,
        server_version: role.first().cloned().flatten().unwrap_or_default(),
        tls: session.encrypted,
        peer: session.peer,
        public_address: session.is_public(),
        superuser: is(1),
        bypass_rls: is(2),
        create_role: is(3),
        create_db: is(4),
        replication: is(5),
        predefined_roles,
        member_of,
        owned: names(),
        writable: names(),
        without_row_security: names(),
        may_create_in: names(),
    })
}
