//! A place to which a preset of `examples/connx` was moved: a source with tables named and shaped as CONNX names and shapes them, and the binary
//! with the variables that its users have.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use countersign_testbed::{Driver, Odbc, Postgres};
use serde_json::{Value, json};

use crate::world::*;

/// The password of the source's login, as `CONNX_PASS`.
const PASSWORD: &str = "correct-horse-battery";

pub struct Site {
    dir: tempfile::TempDir,
    preset: &'static str,
    database: &'static str,
    pub cluster: Postgres,
    odbc: Odbc,
}

impl Site {
    /// The preset, copied to an empty directory, before `configure.sh` ran. Catalog-qualified names need a database of that name.
    pub fn new(preset: &'static str, database: &'static str, schema: &str) -> Site {
        let (cluster, odbc, dir) = (Postgres::start(), Odbc::new(), tempfile::tempdir().unwrap());
        cluster.run("postgres", &format!("CREATE ROLE connx LOGIN PASSWORD '{PASSWORD}'"));
        cluster.run("postgres", &format!("CREATE DATABASE {database}"));
        cluster.run(database, schema);
        // The sample's login can write, and make tables.
        cluster.run(
            database,
            "GRANT USAGE, CREATE ON SCHEMA dbo, public TO connx; GRANT ALL ON ALL TABLES IN SCHEMA dbo TO connx",
        );
        let source = format!("Servername=127.0.0.1\nPort={}\nDatabase={database}", cluster.port());
        odbc.add_source("MAINFRAME", Driver::Postgres, &source);
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/connx/.");
        let copied = Command::new("cp").arg("-a").arg(example).arg(dir.path()).status().unwrap();
        assert!(copied.success());
        Site { dir, preset, database, cluster, odbc }
    }

    /// Where the preset is.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(self.preset)
    }

    /// What `configure.sh` says, run beside an old `.env`.
    pub fn configure(&self, dotenv: &str, variables: &[(&str, &str)]) -> Output {
        fs::write(self.dir.path().join(".env"), dotenv).unwrap();
        let mut command = Command::new(self.dir.path().join("configure.sh"));
        command.arg(self.preset).current_dir(self.dir.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command.envs(variables.iter().copied()).output().unwrap()
    }

    /// The configuration as it stands.
    pub fn settings(&self) -> String {
        fs::read_to_string(self.path().join("countersign.toml")).unwrap()
    }

    /// The binary with the environment that a client of the sample gives it, and more of it.
    pub fn binary(&self, args: &[&str], more: &[(&str, &str)]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(args).arg("--config").arg(self.path().join("countersign.toml"));
        command.env("CONNX_PASS", PASSWORD).env_remove("CONNX_ALLOW_WRITES").envs(self.odbc.env());
        command.envs(more.iter().copied());
        command
    }

    /// Runs a command of the binary, which must succeed.
    pub fn command(&self, args: &[&str], more: &[(&str, &str)]) -> String {
        let output = self.binary(args, more).output().unwrap();
        let (out, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}: {out}{errors}");
        out.into_owned()
    }

    /// A client of the sample's kind.
    pub fn open(&self, more: &[(&str, &str)]) -> Connx {
        let mut command = self.binary(&["stdio"], more);
        command.stderr(fs::File::create(self.dir.path().join("stdio.log")).unwrap());
        Connx(StdioClient::spawn(command, json!({})))
    }

    /// What the source answers to anybody who asks it past Countersign, as the sample did.
    pub fn unguarded(&self, sql: &str) -> Result<String, String> {
        self.odbc.isql(&format!("DSN=MAINFRAME;UID=connx;PWD={PASSWORD}"), sql)
    }

    /// What the source holds.
    pub fn ask(&self, sql: &str) -> String {
        self.cluster.run(self.database, sql)
    }

    /// Enrols an approver.
    pub fn enroll(&self, name: &str, more: &[(&str, &str)]) -> PathBuf {
        let file = self.dir.path().join(format!("{name}.operator-key"));
        self.command(&["approvals", "enroll", "--name", name, "--out", file.to_str().unwrap()], more);
        file
    }
}

/// A client over standard input and output.
pub struct Connx(StdioClient);

impl Connx {
    fn result(&mut self, method: &str, params: Value) -> Value {
        let message = self.0.request(method, params).unwrap();
        assert!(message["result"].is_object(), "{method}: {message}");
        message["result"].clone()
    }

    /// The names of the tools, sorted.
    pub fn tools(&mut self) -> Vec<String> {
        let listed = self.result("tools/list", json!({}));
        listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().into()).collect()
    }

    /// A call's whole result.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.result("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// A call's answer, which is no error.
    pub fn answer(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments);
        assert_ne!(result["isError"], true, "{tool}: {}", text_of(&result));
        result["structuredContent"].clone()
    }

    /// What a refused call says.
    pub fn refusal(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{tool}: {result}");
        text_of(&result)
    }

    /// The error of a tool that does not exist.
    pub fn absent(&mut self, tool: &str, arguments: Value) -> String {
        let message = self.0.request("tools/call", json!({"name": tool, "arguments": arguments})).unwrap();
        message["error"]["message"].as_str().unwrap_or_else(|| panic!("{message}")).to_owned()
    }

    /// The URIs of resources and templates, each sorted.
    pub fn uris(&mut self) -> (Vec<String>, Vec<String>) {
        let mut listed = |method: &str, member: &str, key: &str| {
            let result = self.result(method, json!({}));
            let all = result[member].as_array().unwrap().iter();
            all.map(|one| one[key].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        (
            listed("resources/list", "resources", "uri"),
            listed("resources/templates/list", "resourceTemplates", "uriTemplate"),
        )
    }

    /// What a resource holds.
    pub fn read(&mut self, uri: &str) -> Value {
        let result = self.result("resources/read", json!({"uri": uri}));
        let contents = &result["contents"][0];
        assert_eq!((&contents["uri"], &contents["mimeType"]), (&json!(uri), &json!("application/json")));
        undelimited(contents["text"].as_str().unwrap())
    }

    /// The code of the error that a resource which is not there is answered with.
    pub fn missing(&mut self, uri: &str) -> i64 {
        let message = self.0.request("resources/read", json!({"uri": uri})).unwrap();
        message["error"]["code"].as_i64().unwrap_or_else(|| panic!("{uri}: {message}"))
    }
}
