//! What a login could do if every check of ours failed: read at the server, for operators to judge.

use std::net::SocketAddr;

/// One login's rights and connection, as its server tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleReport {
    /// The tenant whose login it is; none for the shared one.
    pub tenant: Option<String>,
    /// The role.
    pub user: String,
    /// Whether writes go through it, where there are any.
    pub writes: bool,
    /// The server's version, as `server_version` tells it.
    pub server_version: String,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The address that was dialled; none for a unix socket.
    pub peer: Option<SocketAddr>,
    /// Whether that address is a public one.
    pub public_address: bool,
    /// `SUPERUSER`.
    pub superuser: bool,
    /// `BYPASSRLS`.
    pub bypass_rls: bool,
    /// `CREATEROLE`.
    pub create_role: bool,
    /// `CREATEDB`.
    pub create_db: bool,
    /// `REPLICATION`.
    pub replication: bool,
    /// Predefined roles it is a member of that reach beyond its grants: `pg_read_server_files`, `pg_execute_server_program`, `pg_read_all_data`…
    pub predefined_roles: Vec<String>,
    /// Other roles it is a member of, among them those of other tenants.
    pub member_of: Vec<String>,
    /// Tables and views it owns, `schema.name`: policies do not bind an owner.
    pub owned: Vec<String>,
    /// Tables and views it may write, `schema.name`.
    pub writable: Vec<String>,
    /// Tables it may read that have no row security, `schema.name`.
    pub without_row_security: Vec<String>,
    /// Schemas in which it may create objects.
    pub may_create_in: Vec<String>,
}
