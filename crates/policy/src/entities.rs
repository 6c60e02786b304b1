//! Principals, tools and objects as Cedar entities, built from data. No identifier is ever parsed from text.

use std::{collections::HashSet, str::FromStr, sync::Arc};

use cedar_policy::{EntityId, EntityTypeName, EntityUid};
use cedar_policy_core::ast::Value;
use countersign_core::{AuthMethod, Object, Principal, PrincipalKind, Sensitivity};

use crate::{
    facts::{ToolFact, TrustedHosts},
    judge::{Entity, entity},
    roles::Roles,
    schema,
};

/// The names of all entity types.
pub(crate) struct Names {
    user: EntityTypeName,
    agent: EntityTypeName,
    role: EntityTypeName,
    tenant: EntityTypeName,
    server: EntityTypeName,
    power: EntityTypeName,
    permission: EntityTypeName,
    tool: EntityTypeName,
    database: EntityTypeName,
    table: EntityTypeName,
    column: EntityTypeName,
    function: EntityTypeName,
    query: EntityTypeName,
    root: EntityTypeName,
    file: EntityTypeName,
    host: EntityTypeName,
    command: EntityTypeName,
    interpreter: EntityTypeName,
    action: EntityTypeName,
}

impl Names {
    /// The fixed names; `Err` only if Cedar stopped accepting one of them.
    pub(crate) fn new() -> Result<Names, String> {
        let name = |text: &str| EntityTypeName::from_str(text).map_err(|cause| format!("`{text}`: {cause}"));
        Ok(Names {
            user: name("User")?,
            agent: name("Agent")?,
            role: name("Role")?,
            tenant: name("Tenant")?,
            server: name("Server")?,
            power: name("PowerClass")?,
            permission: name("Permission")?,
            tool: name("Tool")?,
            database: name("Database")?,
            table: name("Table")?,
            column: name("Column")?,
            function: name("Function")?,
            query: name("Query")?,
            root: name("Root")?,
            file: name("File")?,
            host: name("Host")?,
            command: name("Command")?,
            interpreter: name("Interpreter")?,
            action: name("Action")?,
        })
    }

    /// An action, by name.
    pub(crate) fn action(&self, name: &str) -> EntityUid {
        uid(&self.action, name)
    }

    /// An action as a member of its group.
    pub(crate) fn action_entity(&self, name: &str, group: &str) -> Entity {
        entity(self.action(name), [], HashSet::from([self.action(group)]), [])
    }

    /// A tool's identity.
    pub(crate) fn tool(&self, name: &str) -> EntityUid {
        uid(&self.tool, name)
    }

    /// What a tool is a member of: its server, its power class and the permissions that it needs.
    pub(crate) fn tool_parents(&self, fact: &ToolFact) -> HashSet<EntityUid> {
        let spec = &fact.spec;
        // MUTATE(H4-permissions): a tool is no member of the permissions that it needs
        let permissions = spec.permissions.iter().map(|one| uid(&self.permission, one.name()));
        permissions.chain([uid(&self.server, &spec.server), uid(&self.power, spec.power.name())]).collect()
    }

    /// The principal with all its roles, those that they include among them, and its tenant.
    pub(crate) fn principal(&self, principal: &Principal, roles: &Roles) -> Known {
        let attributes = [
            ("issuer", Some(principal.issuer())),
            ("subject", Some(principal.subject())),
            ("kind", Some(kind_name(principal.kind()))),
            ("tenant", Some(principal.tenant())),
            ("owner", principal.owner()),
        ];
        let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name, Value::from(value?))));
        let type_name = if principal.owner().is_some() { &self.agent } else { &self.user };
        let roles = roles.of(principal.roles()).into_iter().map(|role| uid(&self.role, role));
        let parents = roles.chain([uid(&self.tenant, principal.tenant())]).collect();
        // MUTATE(G1-claims-policy): policies do not see what an issuer verifiably said of the caller
        let claims =
            principal.claims().iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        Known::new(uid(type_name, principal.key()), attributes, parents, claims)
    }

    /// A tool with its metadata.
    pub(crate) fn tool_entity(&self, fact: &ToolFact) -> Entity {
        let spec = &fact.spec;
        let permissions = spec.permissions.iter().map(|one| Value::from(one.name())).collect::<Vec<_>>();
        let attributes = [
            ("name", Some(Value::from(&*spec.name))),
            ("server", Some(Value::from(&*spec.server))),
            ("power", Some(Value::from(spec.power.name()))),
            ("sensitivity", Some(Value::from(sensitivity_name(spec.sensitivity)))),
            ("permissions", Some(Value::from(permissions))),
            ("tenant", fact.tenant.as_ref().map(|tenant| Value::from(&**tenant))),
        ];
        let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name, value?)));
        entity(self.tool(&spec.name), attributes, self.tool_parents(fact), [])
    }

    /// An object; `tenant` owns the database or root that it lies in, if anyone does; `trusted` says which hosts are. The id spells the name as
    /// the database or the file system does; attributes are in lower case, so that no pattern of a policy is evaded by a column called
    /// `accessToken` or a file called `.ENV`.
    pub(crate) fn object(&self, object: &Object, tenant: Option<&Arc<str>>, trusted: &TrustedHosts) -> Known {
        // MUTATE(A8-case): a name in capitals passes by the patterns of policies
        let folded = |name: &str| name.to_lowercase();
        match object {
            Object::Table { database, table } => known(
                uid(&self.table, &table_id(database, table)),
                &[("database", database), ("name", &folded(table))],
                tenant,
                HashSet::from([uid(&self.database, database)]),
            ),
            Object::Column { database, table, column } => known(
                uid(&self.column, &column_id(database, table, column)),
                &[("database", database), ("table", &folded(table)), ("name", &folded(column))],
                tenant,
                HashSet::from([uid(&self.table, &table_id(database, table)), uid(&self.database, database)]),
            ),
            Object::Function { database, name } => known(
                uid(&self.function, &table_id(database, name)),
                &[("database", database), ("name", &folded(name))],
                tenant,
                HashSet::from([uid(&self.database, database)]),
            ),
            Object::Query { database, name } => known(
                uid(&self.query, &table_id(database, name)),
                &[("database", database), ("name", name)],
                tenant,
                HashSet::from([uid(&self.database, database)]),
            ),
            Object::File { root, path } => known(
                uid(&self.file, &format!("{root}/{path}")),
                &[("root", root), ("path", &folded(path)), ("name", &folded(file_name(path)))],
                tenant,
                HashSet::from([uid(&self.root, root)]),
            ),
            Object::Host { host, port } => {
                let attributes = [
                    ("name", Value::from(host.as_str())),
                    ("port", Value::from(i64::from(*port))),
                    ("trusted", Value::from(trusted.has(host, *port))),
                ];
                let uid = uid(&self.host, &format!("{host}:{port}"));
                Known::new(uid, attributes, HashSet::new(), [])
            }
            Object::Command { name } => {
                known(uid(&self.command, name), &[("name", name)], tenant, HashSet::new())
            }
            Object::Interpreter { name } => {
                known(uid(&self.interpreter, name), &[("name", name)], tenant, HashSet::new())
            }
        }
    }

    /// A role's identity, if `uid` is one.
    pub(crate) fn role_name<'u>(&self, uid: &'u EntityUid) -> Option<&'u str> {
        (*uid.type_name() == self.role).then(|| uid.id().unescaped())
    }

    /// A tenant's name, if `uid` is one.
    #[cfg(feature = "prove")]
    pub(crate) fn tenant_name<'u>(&self, uid: &'u EntityUid) -> Option<&'u str> {
        (*uid.type_name() == self.tenant).then(|| uid.id().unescaped())
    }

    /// A tool's name, if `uid` is one.
    pub(crate) fn tool_name<'u>(&self, uid: &'u EntityUid) -> Option<&'u str> {
        (*uid.type_name() == self.tool).then(|| uid.id().unescaped())
    }

    /// The group that an action on objects belongs to.
    pub(crate) fn access_group(&self) -> EntityUid {
        self.action(schema::ACCESS)
    }
}

/// An entity, and the keys under which policies for it are found: itself, and all that it is a member of.
pub(crate) struct Known {
    pub(crate) entity: Entity,
    pub(crate) uid: EntityUid,
    pub(crate) keys: Vec<EntityUid>,
}

impl Known {
    fn new(
        uid: EntityUid,
        attributes: impl IntoIterator<Item = (&'static str, Value)>,
        parents: HashSet<EntityUid>,
        tags: impl IntoIterator<Item = (String, Value)>,
    ) -> Known {
        let keys = parents.iter().cloned().chain([uid.clone()]).collect();
        Known { entity: entity(uid.clone(), attributes, parents, tags), uid, keys }
    }
}

/// What an object lies in, which may belong to a tenant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Container<'a> {
    /// A configured database.
    Database(&'a str),
    /// A configured root of files.
    Root(&'a str),
    /// Nothing that anyone owns.
    World,
}

/// What an object lies in.
pub(crate) fn container_of(object: &Object) -> Container<'_> {
    match object {
        Object::Table { database, .. }
        | Object::Column { database, .. }
        | Object::Function { database, .. }
        | Object::Query { database, .. } => Container::Database(database),
        Object::File { root, .. } => Container::Root(root),
        Object::Host { .. } | Object::Command { .. } | Object::Interpreter { .. } => Container::World,
    }
}

/// The last component of a path.
fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The kind's name in policies.
fn kind_name(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::Person => "person",
        PrincipalKind::Service => "service",
        PrincipalKind::Shared => "shared",
        PrincipalKind::Anonymous => "anonymous",
    }
}

/// The method's name in policies.
pub(crate) fn method_name(method: AuthMethod) -> &'static str {
    match method {
        AuthMethod::LocalUser => "local-user",
        AuthMethod::UnixPeer => "unix-peer",
        AuthMethod::ApiKey => "api-key",
        AuthMethod::Token => "token",
        AuthMethod::Certificate => "certificate",
        AuthMethod::Credential => "credential",
        AuthMethod::Anonymous => "anonymous",
    }
}

fn sensitivity_name(sensitivity: Sensitivity) -> &'static str {
    match sensitivity {
        Sensitivity::Public => "public",
        Sensitivity::Internal => "internal",
        Sensitivity::Private => "private",
    }
}

/// `shop.customers`. A database's name holds no dot, so the first dot ends it.
fn table_id(database: &str, table: &str) -> String {
    format!("{database}.{table}")
}

/// `shop.customers.email`.
///
/// INVARIANT: the last dot begins the column. A dot in a column's own name is written `%2e`, so that column `b.c` of table `a` and
/// column `c` of table `a.b` differ.
fn column_id(database: &str, table: &str, column: &str) -> String {
    format!("{database}.{table}.{}", column.replace('%', "%25").replace('.', "%2e"))
}

fn uid(type_name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(type_name.clone(), EntityId::new(id))
}

/// An entity whose attributes are all strings.
fn known(
    uid: EntityUid,
    attributes: &[(&'static str, &str)],
    tenant: Option<&Arc<str>>,
    parents: HashSet<EntityUid>,
) -> Known {
    let tenant = tenant.map(|tenant| ("tenant", &**tenant));
    let attributes = attributes.iter().copied().chain(tenant);
    Known::new(uid, attributes.map(|(name, value)| (name, Value::from(value))), parents, [])
}

#[cfg(test)]
mod tests;
