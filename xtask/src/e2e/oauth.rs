//! A real authorization server (`oidc-provider`), real tokens of it, and attacks with them, each of which works on an unguarded verifier.
//! What was refused must then be on record, with its reason.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use toml::Value as Toml;

use super::server::{Server, free_port, prepare, unlimited};
use super::{Checks, fresh_dir};
use crate::{process, setup, workspace};

const LIMIT: Duration = Duration::from_secs(120);

/// What the record must say after the attacks.
const RECORDED: &[&str] = &[
    "token-audience",
    "token-issuer",
    "token-signature",
    "token-expired",
    "token-algorithm",
    "token-header",
    "token-unknown-key",
    "token-scope",
    "token-inactive",
    "insufficient-scope",
    "proof-replayed",
    "token-unbound",
    "session-of-another-principal",
    "claims-dropped",
];

/// Runs every check against the release binary.
pub(crate) fn check(binary: &Path) -> Result<Checks> {
    let dir = fresh_dir("oauth")?;
    let issuer = format!("http://127.0.0.1:{}", free_port()?);
    let prepared = prepare(binary, &dir, &[])?;
    let resource = format!("http://{}/mcp", prepared.address);
    std::fs::write(dir.join("introspection.secret"), "countersign-secret")?;
    prepared.set(&settings(&issuer, &resource))?;
    let server = Server::start(binary, &prepared)?;
    let mut command = setup::node(&workspace::root().join("tests-e2e/oidc.mjs"));
    let port = issuer.rsplit(':').next().unwrap_or_default();
    command.arg(setup::npm_dir("oidc")).arg(port).arg(&resource);
    let output = process::output_within(&mut command, LIMIT)?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut checks = Checks::default();
    for line in printed.lines() {
        let told: Value = serde_json::from_str(line).with_context(|| format!("unexpected: {line}"))?;
        let text = |name: &str| told.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let outcome = match told.get("ok") {
            Some(Value::Bool(true)) => Ok(()),
            _ => Err(anyhow::anyhow!(text("detail"))),
        };
        checks.record(&text("name"), outcome);
    }
    let ended = match output.status.success() {
        true => Ok(()),
        false => {
            Err(anyhow::anyhow!(process::tail(&String::from_utf8_lossy(&output.stderr), 1000).to_owned()))
        }
    };
    checks.record("the authorization server and its client ran to the end", ended);
    drop(server);
    for code in RECORDED {
        checks.record(&format!("on record: {code}"), recorded(binary, &prepared.config, code));
    }
    Ok(checks)
}

fn settings(issuer: &str, resource: &str) -> Vec<(&'static str, Toml)> {
    let list = |words: &[&str]| Toml::Array(words.iter().map(|word| Toml::from(*word)).collect());
    let mut settings = unlimited();
    settings.extend([
        ("limits.unauthenticated.per_minute", 1_000_000.into()),
        ("limits.unauthenticated.burst", 100_000.into()),
        ("identity.resource", resource.into()),
        ("identity.issuers.corp.url", issuer.into()),
        ("identity.issuers.corp.services", list(&["nightly", "weekly", "brief", "opaque"])),
        ("identity.issuers.corp.introspection", format!("{issuer}/token/introspection").into()),
        ("identity.issuers.corp.introspection_client", "countersign".into()),
        ("identity.issuers.corp.introspection_secret", "file:introspection.secret".into()),
        ("identity.issuers.corp.introspection_cache", "1s".into()),
        ("identity.scopes.databases.scope", "tools:sql".into()),
        ("identity.scopes.databases.permissions", list(&["read-database"])),
        ("identity.issuers.corp.tenant_claim", "org".into()),
        ("identity.issuers.corp.tenants", list(&["north"])),
        ("identity.issuers.corp.roles", list(&["reader"])),
        ("identity.issuers.corp.scopes", list(&["tools:read"])),
        ("identity.issuers.corp.leeway", "1s".into()),
    ]);
    settings
}

fn recorded(binary: &Path, config: &Path, code: &str) -> Result<()> {
    let mut command = Command::new(binary);
    command.args(["audit", "search", "--config"]).arg(config).args(["-n", "1", "--", code]);
    let found = process::capture(&mut command)?;
    if !found.contains(code) {
        bail!("the log does not say `{code}`");
    }
    Ok(())
}
