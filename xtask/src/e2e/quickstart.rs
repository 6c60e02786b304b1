//! The README's first command, for real: quickstart serves, a client asks, an attack is refused, the record verifies, and a verifier
//! written by somebody else agrees.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::http::{Client, Era};
use super::server::{find_key, free_port};
use super::{Checks, fresh_dir};
use crate::process::{self, Background};
use crate::{setup, workspace};

const START_LIMIT: Duration = Duration::from_secs(30);

/// Queries that the default policy refuses.
const ATTACKS: &[&str] = &[
    "DROP TABLE users",
    "SELECT password_hash FROM users",
    "SELECT * FROM restricted_salaries",
    "SELECT 1; DELETE FROM orders",
    "ATTACH DATABASE '/etc/passwd' AS p",
];

/// Runs every check against the release binary.
pub(crate) fn check(binary: &Path) -> Result<Checks> {
    let dir = fresh_dir("quickstart")?;
    let log = dir.with_extension("log");
    let mut command = Command::new(binary);
    command.current_dir(&dir).args(["quickstart", "--port", &free_port()?.to_string(), "--dir"]).arg(&dir);
    let mut process = Background::start(&mut command, &log)?;
    let mut checks = Checks::default();
    let Some((address, key)) =
        checks.record("quickstart prints an address and a key", printed(&mut process, &log))
    else {
        println!("{}", std::fs::read_to_string(&log).unwrap_or_default());
        return Ok(checks);
    };
    checks.record("a call without a key is refused with 401", refuses_unknown(&address));
    for era in [Era::Stateless, Era::Session] {
        let mut client = Client::new(&address, Some(&key), era);
        if checks.record(&format!("{era:?}: opens"), client.open()).is_none() {
            continue;
        }
        checks.record(&format!("{era:?}: lists the query tool"), lists(&mut client));
        checks.record(&format!("{era:?}: answers a question"), answers(&mut client));
        for attack in ATTACKS {
            checks.record(&format!("{era:?}: refuses `{attack}`"), refuses(&mut client, attack));
        }
    }
    let audit = audit_dir(&dir)?;
    checks.record("audit verify, while serving", verify(binary, &audit));
    drop(process);
    checks.record("audit verify, after a kill", verify(binary, &audit));
    checks.record("an outside verifier agrees", verify_outside(&audit));
    checks.record("audit verify notices a changed bit", notices_tampering(binary, &audit));
    Ok(checks)
}

/// Waits until the program has printed `http://ADDRESS/mcp` and a key, and listens.
fn printed(process: &mut Background, log: &Path) -> Result<(String, String)> {
    let start = Instant::now();
    while start.elapsed() < START_LIMIT {
        process.check()?;
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let address = text
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split_once("/mcp"))
            .map(|(address, _)| address.to_owned());
        let key = find_key(&text);
        if let (Some(address), Some(key)) = (address, key)
            && std::net::TcpStream::connect(&address).is_ok()
        {
            return Ok((address, key));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("no address and key within {} s", START_LIMIT.as_secs())
}

fn refuses_unknown(address: &str) -> Result<()> {
    let answer = Client::new(address, None, Era::Stateless).request("tools/list", json!({}))?;
    if answer.status != 401 {
        bail!("HTTP {}: {}", answer.status, answer.body);
    }
    Ok(())
}

fn lists(client: &mut Client) -> Result<()> {
    let result = client.request("tools/list", json!({}))?.result()?;
    let tools = result.get("tools").and_then(Value::as_array).context("no tools")?;
    let names: Vec<&str> = tools.iter().filter_map(|tool| tool.get("name").and_then(Value::as_str)).collect();
    for wanted in ["query_shop", "list_tables", "describe_table"] {
        if !names.contains(&wanted) {
            bail!("no {wanted} in {names:?}");
        }
    }
    Ok(())
}

fn answers(client: &mut Client) -> Result<()> {
    let result = client.call("query_shop", json!({"query": "SELECT count(*) AS n FROM orders"}))?;
    if result.get("isError") == Some(&Value::Bool(true)) {
        bail!("an error: {result}");
    }
    let text = result.get("structuredContent").context("no structured content")?.to_string();
    if !text.chars().any(|c| c.is_ascii_digit() && c != '0') {
        bail!("no count in {text}");
    }
    Ok(())
}

fn refuses(client: &mut Client, query: &str) -> Result<()> {
    let answer =
        client.request("tools/call", json!({"name": "query_shop", "arguments": {"query": query}}))?;
    let message = answer.message()?;
    let refused =
        message.get("error").is_some() || message.pointer("/result/isError") == Some(&Value::Bool(true));
    if !refused {
        bail!("answered: {message}");
    }
    Ok(())
}

/// The log's directory, as the configuration names it.
fn audit_dir(dir: &Path) -> Result<PathBuf> {
    let config: toml::Table = std::fs::read_to_string(dir.join("countersign.toml"))?.parse()?;
    let named = config
        .get("audit")
        .and_then(|audit| audit.get("dir"))
        .and_then(toml::Value::as_str)
        .unwrap_or("audit");
    Ok(dir.join(named))
}

fn verify(binary: &Path, audit: &Path) -> Result<()> {
    process::capture(Command::new(binary).args(["audit", "verify"]).arg(audit)).map(|_| ())
}

fn verify_outside(audit: &Path) -> Result<()> {
    let script = workspace::root().join("tests-e2e/verify_tlog.py");
    let text = process::capture(Command::new(setup::python_program()).arg(script).arg(audit))?;
    print!("{text}");
    Ok(())
}

/// Flips one bit in the middle of the largest bundle of published entries, in a copy of the log.
fn notices_tampering(binary: &Path, audit: &Path) -> Result<()> {
    let copy = fresh_dir("tampered")?;
    process::run(Command::new("cp").arg("-a").arg(audit).arg(&copy))?;
    let copy = copy.join(audit.file_name().context("an audit directory without a name")?);
    let mut files = Vec::new();
    collect(&copy, &mut files)?;
    files.retain(|path| path.components().any(|part| part.as_os_str() == "entries"));
    let largest = files
        .iter()
        .max_by_key(|path| path.metadata().map_or(0, |meta| meta.len()))
        .context("no published entries")?;
    let mut bytes = std::fs::read(largest)?;
    let middle = bytes.len() / 2;
    let byte = bytes.get_mut(middle).context("an empty file")?;
    *byte ^= 0x40;
    std::fs::write(largest, bytes)?;
    match verify(binary, &copy) {
        Ok(()) => bail!("a flipped bit in {} passed", largest.display()),
        Err(_) => Ok(()),
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
