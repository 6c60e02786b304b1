//! The servers that are measured. Each is one line of [`ALL`] and one function that starts it.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::rows::{DATABASE, Database};
use super::{peers, raw};
use crate::e2e::fresh_dir;
use crate::e2e::server::{Server, free_port, prepare, unlimited};
use crate::process::{self, Background};

type Start = fn(&Database) -> Result<Subject>;

pub(super) const ALL: &[(&str, Start)] = &[
    ("raw", raw::start),
    ("countersign", |database| countersign(database, false)),
    ("log-off", |database| countersign(database, true)),
    ("toolbox", peers::toolbox),
    ("dbhub", peers::dbhub),
];

/// The first answer of a runtime that compiles itself may take long.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running server.
pub(super) struct Subject {
    pub(super) address: String,
    pub(super) asked: Asked,
    process: Process,
}

/// How a server is asked for rows.
pub(super) struct Asked {
    pub(super) tool: &'static str,
    /// The argument that holds the statement.
    pub(super) argument: &'static str,
    pub(super) key: Option<String>,
}

enum Process {
    Own(Server),
    Other(Background),
}

impl Subject {
    /// Starts a program that serves MCP at `http://ADDRESS/mcp`, without a key.
    pub(super) fn start(
        name: &str,
        address: String,
        command: &mut Command,
        tool: &'static str,
        argument: &'static str,
    ) -> Result<Self> {
        let log = fresh_dir(&format!("bench-sql-{name}"))?.join("log");
        let mut process = Background::start(command, &log)?;
        let start = Instant::now();
        while std::net::TcpStream::connect(&address).is_err() {
            let shown = || process::tail(&std::fs::read_to_string(&log).unwrap_or_default(), 1500);
            process.check().with_context(shown)?;
            ensure!(start.elapsed() < START_LIMIT, "does not listen on {address}: {}", shown());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { address, asked: Asked { tool, argument, key: None }, process: Process::Other(process) })
    }

    pub(super) fn pid(&self) -> u32 {
        match &self.process {
            Process::Own(server) => server.pid(),
            Process::Other(process) => process.pid(),
        }
    }
}

/// An address that nothing listens on.
pub(super) fn free_address() -> Result<String> {
    Ok(format!("127.0.0.1:{}", free_port()?))
}

/// The release binary with every check on; limits alone are raised, so that the load never meets them.
fn countersign(database: &Database, audit_off: bool) -> Result<Subject> {
    let binary = crate::test::release_binary()?;
    let dir = fresh_dir(if audit_off { "bench-sql-log-off" } else { "bench-sql-countersign" })?;
    std::fs::write(dir.join("password"), &database.login.password)?;
    let mut settings = unlimited();
    settings.extend([
        ("databases.shop.url", database.cluster.url(&database.login, DATABASE).into()),
        ("databases.shop.password", "file:password".into()),
        ("databases.shop.rows", 20_000.into()),
        ("databases.shop.timeout", "30s".into()),
        ("limits.max_result", "32 MiB".into()),
        ("danger.audit_off", audit_off.into()),
    ]);
    let prepared = prepare(&binary, &dir, &settings)?;
    let server = Server::start(&binary, &prepared)?;
    Ok(Subject {
        address: server.address.clone(),
        asked: Asked { tool: "query_shop", argument: "query", key: prepared.key },
        process: Process::Own(server),
    })
}
