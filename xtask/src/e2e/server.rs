//! A server started from the built binary, in a directory of its own, on a free port.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use toml::Value;

use super::fresh_dir;
use crate::process::{self, Background};

const START_LIMIT: Duration = Duration::from_secs(20);

/// A running server; it is killed when this value goes away.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) config: PathBuf,
    process: Background,
}

impl Server {
    /// The server of the conformance suites: anonymous callers, fixture tools.
    pub(crate) fn fixtures(binary: &Path) -> Result<Self> {
        let dir = fresh_dir("fixtures")?;
        let config = prepare(binary, &dir, &[("danger", "anonymous", true.into()), ("danger", "fixtures", true.into())])?;
        Self::start(binary, &dir, config)
    }

    /// Starts `serve` with a configuration that [`prepare`] made, and waits until it answers.
    pub(crate) fn start(binary: &Path, dir: &Path, config: PathBuf) -> Result<Self> {
        let address = listen_address(&config)?;
        let mut command = Command::new(binary);
        command.current_dir(dir).arg("serve").arg("--config").arg(&config);
        let log = dir.join("serve.log");
        let mut server = Self { address, config, process: Background::start(&mut command, &log)? };
        server.wait().with_context(|| {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            format!("the server did not start; its output ends: {}", process::tail(&text, 2000))
        })?;
        Ok(server)
    }

    /// Where MCP is served.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < START_LIMIT {
            self.process.check()?;
            if TcpStream::connect(&self.address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("nothing listens on {} after {} s", self.address, START_LIMIT.as_secs())
    }
}

/// Lets `quickstart --no-serve` write a configuration, sets a free port and the given values, and returns its path.
pub(crate) fn prepare(binary: &Path, dir: &Path, settings: &[(&str, &str, Value)]) -> Result<PathBuf> {
    let mut command = Command::new(binary);
    command.current_dir(dir).args(["quickstart", "--no-serve", "--dir"]).arg(dir);
    process::capture(&mut command)?;
    let config = dir.join("countersign.toml");
    let mut table: toml::Table = std::fs::read_to_string(&config).context("quickstart wrote no configuration")?.parse()?;
    let listen = Value::from(format!("127.0.0.1:{}", free_port()?));
    for (section, name, value) in settings.iter().cloned().chain([("server", "listen", listen)]) {
        let section = table.entry(section).or_insert_with(|| Value::Table(toml::Table::new()));
        section.as_table_mut().context("a section that is no table")?.insert(name.to_owned(), value);
    }
    std::fs::write(&config, toml::to_string(&table)?)?;
    Ok(config)
}

/// A port that nothing listens on now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn listen_address(config: &Path) -> Result<String> {
    let table: toml::Table = std::fs::read_to_string(config)?.parse()?;
    let listen = table.get("server").and_then(|server| server.get("listen")).and_then(Value::as_str);
    Ok(listen.context("no server.listen in the configuration")?.to_owned())
}
