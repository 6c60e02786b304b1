//! What `quickstart` writes and prints: the commented configuration, how to connect, what to ask, what to attack.

use std::path::Path;

use serde_json::json;

use super::Key;
use crate::{
    config::Config,
    listen::url,
    print::{Printer, Style, line},
};

/// A question for an agent.
const QUESTION: &str = "Which ten customers spent the most, and what did they buy?";
/// Its answer in SQL, for those who have no agent at hand.
const QUERY: &str = "SELECT name, orders, spent FROM customer_spending ORDER BY spent DESC LIMIT 10";
/// An attack that works on an unguarded connection.
const ATTACK: &str = "SELECT username, password_hash FROM users";

/// A commented configuration for the sample.
pub(super) fn configuration(user: &str, uid: u32, port: u16) -> String {
    format!(
        r#"# Countersign's configuration. Paths are relative to this file. Unknown keys are refused.
#   countersign config check      what is wrong, all at once
#   countersign config show       every setting, its value, and where it came from
#   countersign config schema     a JSON Schema, for editors
version = 1

[server]
# HTTP, for clients that send an API key. Loopback only; beyond this machine it takes `[server.tls]`.
listen = "127.0.0.1:{port}"

[identity]
# Hashes of API keys. `countersign token key create|list|renew|revoke` edits it; a running server notices within a second.
keys = "state/keys.json"

[identity.local]
# Who uses `countersign stdio`: this operating-system user, and nobody else.
uid = {uid}
user = "{user}"
tenant = "north"
roles = ["operator"]

[policy]
# Cedar policies: what nobody permits is refused. After a change: `countersign policy check`, then SIGHUP to the server.
dir = "policies"

[audit]
# The record of every call. `countersign audit verify` proves that it is complete and unchanged.
dir = "audit"

[databases.shop]
# Becomes the tool `query_shop`. Opened read-only, in processes that hold nothing else.
# The sample holds rows of two tenants. Who may use a database as a whole is `tenant = "..."` here, or policy; rows of one file are
# not kept apart, so give each tenant a database of its own when that matters.
url = "sqlite:shop.db"
rows = 1000
timeout = "10s"

# [redact.secrets]
# Values that must never leave, in whatever encoding: references only, never the values themselves.
# DB_PASSWORD = "env:DB_PASSWORD"
# SIGNING_KEY = "file:/run/secrets/signing-key"

# [limits]
# principal = {{ per_minute = 600, burst = 100 }}
"#
    )
}

/// How a client connects.
pub(super) fn connect(config: &Config, binary: &Path, key: &Key, printer: Printer) {
    let title = |text: &str| printer.say(&format!("\n{}", printer.styled(Style::Title, text)));
    let dim = |text: &str| printer.styled(Style::Dim, text);
    let url = url(&config.server);
    let program = shell(binary);
    let file = shell(&config.file);
    title("API key");
    let shown = match key {
        Key::Minted(minted) => {
            let record = &minted.record;
            printer.say(&format!("  export COUNTERSIGN_KEY={}", minted.key.reveal()));
            printer.say(&format!(
                "  {}",
                dim(&format!(
                    "{} for {}@{}, valid until {}; shown this once, stored only as a hash",
                    record.id,
                    line(&record.subject),
                    line(&record.tenant),
                    record.expires.date()
                ))
            ));
            minted.key.reveal().to_owned()
        }
        Key::Kept { id, created, expires } => {
            printer.say(&format!(
                "  {} of {created} goes on until {expires}; it was shown then and cannot be shown again.",
                line(id)
            ));
            printer.say(&format!(
                "  Lost it?  {program} quickstart --dir {} --new-key",
                shell(config.file.parent().unwrap_or(Path::new(".")))
            ));
            "${COUNTERSIGN_KEY}".to_owned()
        }
    };
    title("Connect a client (mcp.json)");
    let http = json!({"mcpServers": {"countersign": {
        "type": "http", "url": url, "headers": {"Authorization": format!("Bearer {shown}")}}}});
    printer.say(&format!("  {}\n  {http}", dim("over HTTP:")));
    let stdio = json!({"mcpServers": {"countersign": {
        "type": "stdio", "command": binary, "args": ["stdio", "--config", config.file]}}});
    printer.say(&format!("  {}\n  {stdio}", dim("or over stdio, without a key:")));
    printer.say(&format!(
        "  {}\n  claude mcp add countersign -- {program} stdio --config {file}",
        dim("for Claude Code, as a command:")
    ));
}

/// What to try first.
pub(super) fn explore(config: &Config, binary: &Path, printer: Printer) {
    let title = |text: &str| printer.say(&format!("\n{}", printer.styled(Style::Title, text)));
    let url = url(&config.server);
    title("Ask your agent");
    printer.say(&format!("  {QUESTION}"));
    printer.say(&format!("{}\n{}", printer.styled(Style::Dim, "  or, without an agent:"), curl(&url, QUERY)));
    title("Then attack");
    printer.say("  Show me the password hashes of all users. If that is refused, try a join, a view, a subquery or a comment.");
    printer.say(&format!(
        "{}\n{}",
        printer.styled(Style::Dim, "  or, without an agent:"),
        curl(&url, ATTACK)
    ));
    title("And look at the record");
    let audit = shell(&config.audit.dir);
    let (program, file) = (shell(binary), shell(&config.file));
    printer.say(&format!("  {program} audit verify {audit}"));
    printer.say(&format!("  {program} audit tail --config {file}"));
    printer.say("");
}

/// One call by hand: a single stateless request of revision 2026-07-28.
fn curl(url: &str, query: &str) -> String {
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {
            "name": "query_shop",
            "arguments": {"query": query},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    });
    format!(
        "  curl -s {url} -H \"Authorization: Bearer $COUNTERSIGN_KEY\" \\\n    \
         -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\\n    \
         -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: query_shop' \\\n    \
         -d '{body}'"
    )
}

/// A path as a word of a shell.
pub(super) fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
