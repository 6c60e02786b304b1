//! The MCP Inspector as an independent client: it lists and calls over stdio and HTTP, in both eras.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::Checks;
use super::server::Server;
use crate::{process, setup};

const LIMIT: Duration = Duration::from_secs(60);
const SCRIPT: &str = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js";

/// The Inspector's exit code for a result that says `isError`.
const TOOL_ERROR: i32 = 5;

/// Runs every check against the binary with fixture tools.
pub(crate) fn check(binary: &Path) -> Result<Checks> {
    let server = Server::fixtures(binary)?;
    let mut checks = Checks::default();
    for (era, revision) in [("legacy", "2025-11-25"), ("modern", "2026-07-28")] {
        for transport in ["http", "stdio"] {
            let target = Target { server: &server, binary, transport, era };
            checks.record(&format!("{transport}, {era}: speaks {revision}"), target.speaks(revision));
            checks.record(&format!("{transport}, {era}: tools/list"), target.lists());
            checks.record(&format!("{transport}, {era}: tools/call"), target.calls());
            checks.record(&format!("{transport}, {era}: a tool's error"), target.reports_errors());
            checks.record(&format!("{transport}, {era}: resources/read"), target.reads());
            checks.record(&format!("{transport}, {era}: prompts/get"), target.gets_prompt());
        }
    }
    Ok(checks)
}

/// One way to reach the server.
struct Target<'a> {
    server: &'a Server,
    binary: &'a Path,
    transport: &'a str,
    era: &'a str,
}

impl Target<'_> {
    fn speaks(&self, revision: &str) -> Result<()> {
        let result = self.ask(&["--method", "initialize"], 0)?;
        expect(&result, "/protocolVersion", |version| version == revision)
    }

    fn lists(&self) -> Result<()> {
        let result = self.ask(&["--method", "tools/list"], 0)?;
        expect(&result, "/tools", |tools| {
            tools.as_array().is_some_and(|tools| tools.iter().any(|tool| named(tool, "test_simple_text")))
        })
    }

    fn calls(&self) -> Result<()> {
        let result = self.ask(&["--method", "tools/call", "--tool-name", "test_simple_text"], 0)?;
        expect(&result, "/content/0/text", |text| {
            text.as_str().is_some_and(|text| text.contains("simple text response"))
        })
    }

    fn reports_errors(&self) -> Result<()> {
        let result =
            self.ask(&["--method", "tools/call", "--tool-name", "test_error_handling"], TOOL_ERROR)?;
        expect(&result, "/isError", |value| value == &Value::Bool(true))
    }

    fn reads(&self) -> Result<()> {
        let result = self.ask(&["--method", "resources/read", "--uri", "test://static-text"], 0)?;
        expect(&result, "/contents/0/text", |text| {
            text.as_str().is_some_and(|text| text.contains("static text resource"))
        })
    }

    fn gets_prompt(&self) -> Result<()> {
        let result = self.ask(&["--method", "prompts/get", "--prompt-name", "test_simple_prompt"], 0)?;
        expect(&result, "/messages/0/content/text", |text| {
            text.as_str().is_some_and(|text| text.contains("simple prompt"))
        })
    }

    fn ask(&self, args: &[&str], code: i32) -> Result<Value> {
        let mut command = setup::node(&setup::npm_dir("inspector").join(SCRIPT));
        command.args(["--cli", "--format", "json", "--protocol-era", self.era]).args(args);
        if self.transport == "http" {
            command.args(["--transport", "http", &self.server.url()]);
        } else {
            command.arg("--").arg(self.binary).arg("stdio").arg("--config").arg(&self.server.config);
        }
        let output = process::output_within(&mut command, LIMIT)?;
        parse(&output, code)
    }
}

fn parse(output: &Output, code: i32) -> Result<Value> {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() != Some(code) {
        bail!(
            "ended with {}, expected {code}: {} {}",
            output.status,
            process::tail(&stdout, 500),
            process::tail(&stderr, 500)
        );
    }
    let message: Value =
        serde_json::from_str(stdout.trim()).with_context(|| format!("no JSON: {stdout} {stderr}"))?;
    Ok(message.get("result").cloned().unwrap_or(message))
}

fn named(tool: &Value, name: &str) -> bool {
    tool.get("name").and_then(Value::as_str) == Some(name)
}

fn expect(value: &Value, pointer: &str, holds: impl Fn(&Value) -> bool) -> Result<()> {
    match value.pointer(pointer) {
        Some(found) if holds(found) => Ok(()),
        _ => bail!("unexpected {pointer} in {}", value.to_string().chars().take(500).collect::<String>()),
    }
}
