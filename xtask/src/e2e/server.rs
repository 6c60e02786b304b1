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
        let prepared = fixtures_setup(binary, &dir)?;
        Self::start(binary, &prepared)
    }

    /// Starts `serve` with what [`prepare`] made, and waits until it listens.
    pub(crate) fn start(binary: &Path, prepared: &Prepared) -> Result<Self> {
        Self::start_polling(binary, prepared, Duration::from_millis(20))
    }

    /// [`Self::start`], looking whether it listens in steps of `step`.
    pub(crate) fn start_polling(binary: &Path, prepared: &Prepared, step: Duration) -> Result<Self> {
        let Prepared { dir, config, address, .. } = prepared;
        let mut command = Command::new(binary);
        command.current_dir(dir).arg("serve").arg("--config").arg(config);
        let log = dir.join("serve.log");
        let process = Background::start(&mut command, &log)?;
        let mut server = Self { address: address.clone(), config: config.clone(), process };
        server.wait(step).with_context(|| {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            format!("the server did not start; its output ends: {}", process::tail(&text, 2000))
        })?;
        Ok(server)
    }

    /// The server's process id.
    #[cfg(feature = "bench")]
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Where MCP is served.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    fn wait(&mut self, step: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < START_LIMIT {
            self.process.check()?;
            if TcpStream::connect(&self.address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(step);
        }
        bail!("nothing listens on {} after {} s", self.address, START_LIMIT.as_secs())
    }
}

/// A directory with a configuration, ready to serve.
pub(crate) struct Prepared {
    pub(crate) dir: PathBuf,
    pub(crate) config: PathBuf,
    pub(crate) address: String,
    /// The API key that quickstart printed.
    #[cfg_attr(not(feature = "bench"), expect(dead_code, reason = "only the load test calls with it"))]
    pub(crate) key: Option<String>,
}

fn fixtures_setup(binary: &Path, dir: &Path) -> Result<Prepared> {
    let mut settings = unlimited();
    settings.extend([("danger.anonymous", true.into()), ("danger.fixtures", true.into())]);
    let prepared = prepare(binary, dir, &settings)?;
    prepared.permit_server("fixtures")?;
    Ok(prepared)
}

/// Settings under which no limit refuses a test's load.
pub(crate) fn unlimited() -> Vec<(&'static str, Value)> {
    let (minute, burst) = (60_000_000, 1_000_000);
    vec![
        ("limits.principal.per_minute", minute.into()),
        ("limits.principal.burst", burst.into()),
        ("limits.tool.per_minute", minute.into()),
        ("limits.tool.burst", burst.into()),
        ("limits.tenant.per_minute", minute.into()),
        ("limits.tenant.burst", burst.into()),
        ("limits.run.per_minute", minute.into()),
        ("limits.run.burst", burst.into()),
        ("limits.repeat.per_minute", minute.into()),
        ("limits.repeat.burst", burst.into()),
        ("limits.run_calls", 4_000_000_000_i64.into()),
        ("limits.rows_per_hour", 1_000_000_000_000_i64.into()),
        ("limits.bytes_per_hour", "1024 GiB".into()),
        ("limits.server.per_minute", minute.into()),
        ("limits.server.burst", burst.into()),
        ("limits.concurrent_principal", 10_000.into()),
        ("limits.concurrent_server", 10_000.into()),
        ("server.max_sessions", 2_000.into()),
        ("server.max_sessions_per_principal", 2_000.into()),
    ]
}

impl Prepared {
    /// Sets values (`table.key`) in the configuration.
    pub(crate) fn set(&self, settings: &[(&str, Value)]) -> Result<()> {
        let mut file: toml::Table = std::fs::read_to_string(&self.config)?.parse()?;
        for (path, value) in settings.iter().cloned() {
            set(&mut file, path, value)?;
        }
        Ok(std::fs::write(&self.config, toml::to_string(&file)?)?)
    }

    /// Permits everyone to call every tool of one of our servers, as an operator would: with a policy of its own.
    pub(crate) fn permit_server(&self, name: &str) -> Result<()> {
        let policy = format!(
            "@id(\"{name}-for-tests\")\npermit (principal, action in Action::\"call\", resource in Server::\"{name}\");\n"
        );
        let file = self.dir.join("policies").join(format!("{name}.cedar"));
        std::fs::write(&file, policy).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Lets `quickstart --no-serve` fill a directory, then sets a free port and the given values (`table.key`) in its configuration.
pub(crate) fn prepare(binary: &Path, dir: &Path, settings: &[(&str, Value)]) -> Result<Prepared> {
    let mut command = Command::new(binary);
    command.current_dir(dir).args(["quickstart", "--no-serve", "--dir"]).arg(dir);
    let printed = process::capture(&mut command)?;
    let config = dir.join("countersign.toml");
    let mut file: toml::Table =
        std::fs::read_to_string(&config).context("quickstart wrote no configuration")?.parse()?;
    let address = format!("127.0.0.1:{}", free_port()?);
    for (path, value) in settings.iter().cloned().chain([("server.listen", Value::from(address.clone()))]) {
        set(&mut file, path, value)?;
    }
    std::fs::write(&config, toml::to_string(&file)?)?;
    Ok(Prepared { dir: dir.to_path_buf(), config, address, key: find_key(&printed) })
}

/// The first API key in a text.
pub(crate) fn find_key(text: &str) -> Option<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    words.into_iter().find(|word| word.starts_with("cs_") && word.len() > 30).map(str::to_owned)
}

fn set(table: &mut toml::Table, path: &str, value: Value) -> Result<()> {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
            Ok(())
        }
        Some((head, rest)) => {
            let inner = table.entry(head).or_insert_with(|| Value::Table(toml::Table::new()));
            set(inner.as_table_mut().with_context(|| format!("`{head}` is no table"))?, rest, value)
        }
    }
}

/// A port that nothing listens on now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
