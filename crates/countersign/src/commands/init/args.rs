//! The command line of `init`.

use clap::{Args, Subcommand};

#[derive(Subcommand, Debug)]
pub(crate) enum InitCommand {
    /// Print, or run, the SQL for a database's logins in PostgreSQL
    #[command(after_help = "\
Examples:
  countersign init postgres --database shop                                   one login, which reads every row
  countersign init postgres --database shop --tenant-column tenant_id --tenant acme=1 --tenant globex=2
  countersign init postgres --database shop --apply --as postgres             as the server's administrator

The configuration says which roles: `user@` in the url, or a login for each tenant. Rows of a tenant are those whose tenant column holds the
tenant's name, or what stands behind `=`. The SQL is one transaction and may be run again. The administrator's password is read from PGPASSWORD.")]
    Postgres(InitPostgres),
}

#[derive(Args, Debug)]
pub(crate) struct InitPostgres {
    /// The database, by its name in the configuration [default: the only one that is PostgreSQL]
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// The column that tells tenants apart, in every table that has it
    #[arg(long, value_name = "COLUMN")]
    pub(crate) tenant_column: Option<String>,
    /// What a tenant's rows hold in that column; may be repeated [default: the tenant's name]
    #[arg(long = "tenant", value_name = "TENANT=VALUE")]
    pub(crate) tenants: Vec<String>,
    /// Grant this table only; may be repeated [default: all tables of the schemas]
    #[arg(long = "table", value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// A table that every tenant may read whole; may be repeated
    #[arg(long, value_name = "TABLE")]
    pub(crate) shared: Vec<String>,
    /// A table that may be written, if the configuration says `allow_writes`; may be repeated
    #[arg(long, value_name = "TABLE")]
    pub(crate) writable: Vec<String>,
    /// Leave the rights of PUBLIC as they are
    #[arg(long)]
    pub(crate) keep_public: bool,
    /// From where Countersign connects, for the lines of pg_hba.conf, such as 10.0.0.7/32
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<String>,
    /// Run the SQL instead of printing it
    #[arg(long, requires = "admin")]
    pub(crate) apply: bool,
    /// Who runs it: a role of the configured server, or a url such as postgres://admin@host/shop
    #[arg(long = "as", value_name = "ROLE|URL")]
    pub(crate) admin: Option<String>,
}
