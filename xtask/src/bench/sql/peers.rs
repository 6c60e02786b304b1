//! Other MCP servers for PostgreSQL, from npm at locked versions, with the settings that their own documentation begins with.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::rows::{DATABASE, Database};
use super::subject::{Subject, free_address};
use crate::setup;

/// MCP Toolbox for Databases: a Go binary.
pub(super) fn toolbox(database: &Database) -> Result<Subject> {
    setup::npm("toolbox")?;
    let address = free_address()?;
    let mut command = Command::new(
        setup::npm_dir("toolbox").join("node_modules/@toolbox-sdk/server-linux-x64/bin/toolbox"),
    );
    command.args(["--prebuilt", "postgres", "--disable-version-check", "--log-level", "ERROR"]);
    command.args(["--port", port(&address)?]);
    command.env("POSTGRES_HOST", "127.0.0.1").env("POSTGRES_PORT", database.cluster.port().to_string());
    command.env("POSTGRES_DATABASE", DATABASE);
    command.env("POSTGRES_USER", &database.login.user).env("POSTGRES_PASSWORD", &database.login.password);
    Subject::start("toolbox", address, &mut command, "execute_sql", "sql")
}

/// DBHub: Node.js.
pub(super) fn dbhub(database: &Database) -> Result<Subject> {
    setup::npm("node")?;
    setup::npm("dbhub")?;
    let address = free_address()?;
    let mut command =
        setup::node(&setup::npm_dir("dbhub").join("node_modules/@bytebase/dbhub/dist/index.js"));
    command.args(["--transport", "http", "--host", "127.0.0.1", "--port", port(&address)?]);
    let (login, at) = (&database.login, database.cluster.port());
    let url =
        format!("postgres://{}:{}@127.0.0.1:{at}/{DATABASE}?sslmode=disable", login.user, login.password);
    command.env("DSN", url).current_dir(setup::npm_dir("dbhub"));
    Subject::start("dbhub", address, &mut command, "execute_sql", "sql")
}

fn port(address: &str) -> Result<&str> {
    Ok(address.rsplit_once(':').context("an address without a port")?.1)
}
