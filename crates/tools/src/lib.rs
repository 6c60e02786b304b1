//! Countersign's own tools. One tool, one file; [`database_tools`] is the list.
#![forbid(unsafe_code)]

mod answer;
pub mod catalog;
pub mod commands;
mod contained;
mod database;
mod describe_table;
mod engine;
mod explain_query;
mod fetch;
pub mod files;
mod list_tables;
mod odbc_pool;
mod paging;
mod pin;
mod postgres_pool;
pub mod python;
mod query;
mod resources;
mod slots;
mod sqlite_pool;
mod table_stats;
mod worker_pool;
mod write;

use std::sync::Arc;

use countersign_core::{Tool, registry::Resource};

pub use database::{Database, DatabaseLimits};
pub use engine::{Caller, Credentials, Engine, EngineError, EngineRows, Purpose, Rehearsed};
pub use fetch::{FetchConfig, FetchUrl, HtmlWorkers, SendConfig, SendRequest, serve_html};
pub use odbc_pool::{OdbcConfig, OdbcPool};
pub use postgres_pool::{
    GuardWorkers, PostgresConfig, PostgresLogin, PostgresLogins, PostgresPool, PostgresTls, RoleReport,
    WriteSession,
};
pub use sqlite_pool::SqlitePool;
pub use table_stats::TableStats;
pub use worker_pool::PoolConfig;

/// All tools for these databases: `query_NAME` for each that takes raw SQL, `write_NAME` for each of these that may be written, and
/// `list_tables` and `describe_table` for all. None without a database.
pub fn database_tools(databases: &[Arc<Database>]) -> Vec<Arc<dyn Tool>> {
    let mut tools: Vec<Arc<dyn Tool>> = Vec::new();
    // MUTATE(A13-raw): a database that is for the catalog alone has a tool for raw SQL
    for database in databases.iter().filter(|database| database.is_raw()) {
        tools.push(Arc::new(query::Query::new(Arc::clone(database))));
        if database.engine().takes_writes() {
            tools.push(Arc::new(write::Write::new(Arc::clone(database))));
        }
    }
    if !databases.is_empty() {
        tools.push(Arc::new(list_tables::ListTables::new(databases)));
        tools.push(Arc::new(describe_table::DescribeTable::new(databases)));
        let explain = explain_query::ExplainQuery::new(databases);
        if explain.is_useful() {
            tools.push(Arc::new(explain));
        }
        let stats = table_stats::TableStatsTool::new(databases);
        if stats.is_useful() {
            tools.push(Arc::new(stats));
        }
    }
    tools
}

/// The `schema://` resources of these databases.
pub fn database_resources(databases: &[Arc<Database>]) -> Vec<Resource> {
    resources::schema(databases)
}
