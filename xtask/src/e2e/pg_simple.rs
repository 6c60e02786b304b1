//! `examples/pg-simple` as its README says, against a real server: the move from pg-simple-mcp, its three tools, and what they refuse.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use countersign_testbed::{Login, Postgres};
use serde_json::{Value, json};

use super::{Checks, fresh_dir};
use crate::{process, workspace};

/// What pg-simple-mcp hands to the server as it comes. Each runs there for a login that may write.
const ATTACKS: &[&str] = &[
    "DELETE FROM order_items WHERE order_id = 1",
    "UPDATE customers SET balance = 0",
    "WITH gone AS (DELETE FROM order_items RETURNING *) SELECT count(*) FROM gone",
    "SELECT 1; DELETE FROM order_items",
    "SELECT set_config('statement_timeout', '0', false)",
    "SELECT * FROM customers FOR UPDATE",
    "SELECT pg_sleep(0.1)",
    "SELECT usename, query FROM pg_stat_activity",
    "SELECT query_to_xml('SELECT * FROM customers', true, false, '')",
];

/// Runs every check.
pub(crate) fn check(binary: &Path) -> Result<Checks> {
    let cluster = Postgres::start();
    let login = cluster.shop("w1");
    // A table of the same name in another schema: pg-simple-mcp describes both as one.
    cluster.run("shop", "CREATE SCHEMA hr; CREATE TABLE hr.customers (bonus int); GRANT USAGE ON SCHEMA hr TO w1; GRANT SELECT ON hr.customers TO w1");
    let place = Place { dir: copy_example()?, binary, cluster: &cluster, login };

    let mut checks = Checks::default();
    checks.record("configure.sh names what is missing", place.names_missing());
    checks.record("configure.sh writes the connection", place.configure());
    checks.record("config check", place.config_check());
    let Some(mut client) = checks.record("stdio opens", place.open()) else { return Ok(checks) };
    checks.record("lists the three tools and no other", three_tools(&mut client));
    checks.record("list_tables: what is in the schema", lists_tables(&mut client));
    checks.record("describe_table: one schema, no credentials", describes(&mut client));
    checks.record("query_app answers", answers(&mut client));
    for attack in ATTACKS {
        checks.record(&format!("runs unguarded: `{attack}`"), place.runs_unguarded(attack));
        checks.record(&format!("is refused: `{attack}`"), refuses(&mut client, attack));
    }
    drop(client);
    checks.record("nothing has changed", place.unchanged());
    checks.record(
        "audit verify",
        process::run(Command::new(binary).args(["audit", "verify"]).arg(place.dir.join("audit"))),
    );
    Ok(checks)
}

/// The example in a folder of its own, and the server it is pointed at.
struct Place<'a> {
    dir: PathBuf,
    binary: &'a Path,
    cluster: &'a Postgres,
    login: Login,
}

fn copy_example() -> Result<PathBuf> {
    let dir = fresh_dir("pg-simple")?;
    let from = workspace::root().join("examples/pg-simple/.");
    process::run(Command::new("cp").arg("-a").arg(from).arg(&dir))?;
    Ok(dir)
}

impl Place<'_> {
    fn script(&self) -> Command {
        let mut command = Command::new(self.dir.join("configure.sh"));
        for name in ["PG_HOST", "PG_PORT", "PG_USER", "PG_DATABASE"] {
            command.env_remove(name);
        }
        command
    }

    fn names_missing(&self) -> Result<()> {
        let output = self.script().env("PG_HOST", "127.0.0.1").output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && text.contains("Missing required env var: PG_PORT"), "{text}");
        Ok(())
    }

    /// Two settings from `.env`, two from the environment, which wins.
    fn configure(&self) -> Result<()> {
        std::fs::write(self.dir.join(".env"), "PG_USER=nobody\nPG_HOST='127.0.0.1'\nPG_DATABASE=\"shop\"\n")?;
        let port = self.cluster.port().to_string();
        process::run(self.script().env("PG_PORT", port).env("PG_USER", &self.login.user))?;
        let text = std::fs::read_to_string(self.dir.join("countersign.toml"))?;
        let url = self.cluster.url(&self.login, "shop");
        ensure!(text.contains(&format!("\"{url}\"")), "no {url} in {text}");
        Ok(())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.binary);
        command.current_dir(&self.dir).args(args).args(["--config", "countersign.toml"]);
        command.env("PG_PASSWORD", &self.login.password);
        command
    }

    fn config_check(&self) -> Result<()> {
        process::run(&mut self.command(&["config", "check"]))?;
        process::run(&mut self.command(&["policy", "check"]))
    }

    fn open(&self) -> Result<Client> {
        let log = std::fs::File::create(self.dir.join("stdio.log"))?;
        let mut child =
            self.command(&["stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let input = child.stdin.take().context("no pipe")?;
        let output = BufReader::new(child.stdout.take().context("no pipe")?);
        let mut client = Client { child, input, output, id: 0 };
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "xtask", "version": "1"}});
        client.request("initialize", hello)?;
        client.write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        Ok(client)
    }

    fn runs_unguarded(&self, attack: &str) -> Result<()> {
        let undone = format!("BEGIN; {attack}; ROLLBACK");
        self.cluster.psql_as(&self.login, "shop", &undone).map(|_| ()).map_err(|text| anyhow::anyhow!(text))
    }

    fn unchanged(&self) -> Result<()> {
        let counts = self.cluster.run(
            "shop",
            "SELECT (SELECT count(*) FROM order_items), (SELECT sum(balance) FROM customers), (SELECT count(*) FROM orders)",
        );
        ensure!(counts == "600|25125.00|600", "{counts}");
        Ok(())
    }
}

fn three_tools(client: &mut Client) -> Result<()> {
    let result = client.request("tools/list", json!({}))?;
    let tools = result.get("tools").and_then(Value::as_array).context("no tools")?;
    let mut names: Vec<&str> =
        tools.iter().filter_map(|tool| tool.get("name").and_then(Value::as_str)).collect();
    names.sort_unstable();
    ensure!(names == ["describe_table", "list_tables", "query_app"], "{names:?}");
    Ok(())
}

fn lists_tables(client: &mut Client) -> Result<()> {
    let text = client.answer("list_tables", json!({"database": "app"}))?;
    for table in ["customers", "orders", "products", "open_orders"] {
        ensure!(text.contains(table), "no {table} in {text}");
    }
    ensure!(!text.contains("salaries") && !text.contains("hr."), "another schema: {text}");
    Ok(())
}

fn describes(client: &mut Client) -> Result<()> {
    let text = client.answer("describe_table", json!({"database": "app", "table": "customers"}))?;
    ensure!(text.contains("balance") && !text.contains("bonus"), "{text}");
    let text = client.answer("describe_table", json!({"database": "app", "table": "users"}))?;
    ensure!(
        text.contains("email") && !text.contains("password_hash") && !text.contains("api_token"),
        "{text}"
    );
    Ok(())
}

fn answers(client: &mut Client) -> Result<()> {
    let query = "SELECT id, name, balance FROM customers WHERE id = $1";
    let text = client.answer("query_app", json!({"query": query, "params": [3]}))?;
    ensure!(text.contains("Acme customer 3") && text.contains("3.75"), "{text}");
    Ok(())
}

fn refuses(client: &mut Client, attack: &str) -> Result<()> {
    let result =
        client.request("tools/call", json!({"name": "query_app", "arguments": {"query": attack}}))?;
    ensure!(result.get("isError") == Some(&Value::Bool(true)), "answered: {result}");
    Ok(())
}

/// `countersign stdio`, spoken to by hand; killed when this value goes away.
struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    id: u64,
}

impl Client {
    /// The structured content of a tool's answer as text; an error result is an error.
    fn answer(&mut self, tool: &str, arguments: Value) -> Result<String> {
        let result = self.request("tools/call", json!({"name": tool, "arguments": arguments}))?;
        ensure!(result.get("isError") != Some(&Value::Bool(true)), "an error: {result}");
        Ok(result.get("structuredContent").context("no structured content")?.to_string())
    }

    fn request(&mut self, method: &str, params: Value) -> Result<Value> {
        self.id += 1;
        self.write(&json!({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}))?;
        loop {
            let mut line = String::new();
            ensure!(self.output.read_line(&mut line)? > 0, "the process has ended");
            let message: Value = serde_json::from_str(&line)?;
            if message.get("id") == Some(&self.id.into()) {
                return message.get("result").cloned().with_context(|| format!("no result: {message}"));
            }
        }
    }

    fn write(&mut self, message: &Value) -> Result<()> {
        self.input.write_all(format!("{message}\n").as_bytes())?;
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
