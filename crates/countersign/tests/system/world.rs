//! A directory with a database, a configuration, keys, and the binary serving it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

pub use crate::client::*;

pub const BINARY: &str = env!("CARGO_BIN_EXE_countersign");
pub const MODERN: &str = "2026-07-28";
pub const LEGACY: &str = "2025-11-25";

/// A world to serve. Everything is removed at the end.
pub struct World {
    pub dir: tempfile::TempDir,
    pub port: u16,
    pub ann: String,
    pub bob: String,
}

/// What differs between worlds.
pub struct Shape {
    /// More lines of configuration.
    pub extra: String,
    /// SQL that fills `shop.db`.
    pub schema: String,
    /// Where the audit log lies, if not in the directory.
    pub audit: Option<PathBuf>,
    /// `databases.shop` settings.
    pub shop: String,
    /// `audit` settings.
    pub audit_settings: String,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            extra: String::new(),
            schema: include_str!("../../../../corpora/schema_sqlite.sql").into(),
            audit: None,
            shop: "timeout = \"2s\"".into(),
            audit_settings: "reserve = \"0 MiB\"".into(),
        }
    }
}

impl World {
    pub fn new(shape: Shape) -> World {
        World::new_with(shape, |_| {})
    }

    /// As [`World::new`], with more files in the directory.
    pub fn new_with(shape: Shape, more: impl FnOnce(&Path)) -> World {
        let dir = tempfile::tempdir().unwrap();
        more(dir.path());
        let database = rusqlite::Connection::open(dir.path().join("shop.db")).unwrap();
        database.execute_batch(&shape.schema).unwrap();
        drop(database);
        std::fs::create_dir(dir.path().join("policies")).unwrap();
        for (name, text) in countersign_policy::DEFAULT_POLICIES {
            std::fs::write(dir.path().join("policies").join(name), text).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let audit = shape.audit.unwrap_or_else(|| dir.path().join("audit"));
        let uid = std::fs::metadata(dir.path()).map(|m| std::os::unix::fs::MetadataExt::uid(&m)).unwrap();
        let config = format!(
            r#"version = 1
[server]
listen = "127.0.0.1:{port}"
[identity.local]
uid = {uid}
user = "operator"
tenant = "acme"
roles = ["operator"]
[audit]
dir = "{}"
{}
[limits.principal]
per_minute = 6000000
burst = 100000
[limits.tenant]
per_minute = 6000000
burst = 100000
[limits.run]
per_minute = 6000000
burst = 100000
[limits.repeat]
per_minute = 6000000
burst = 100000
[limits.tool]
per_minute = 6000000
burst = 100000
[limits.server]
per_minute = 6000000
burst = 100000
[databases.shop]
url = "sqlite:shop.db"
{}
{}
"#,
            audit.display(),
            shape.audit_settings,
            shape.shop,
            shape.extra,
        );
        std::fs::write(dir.path().join("countersign.toml"), config).unwrap();
        let mut world = World { dir, port, ann: String::new(), bob: String::new() };
        world.ann = world.key("ann", "acme");
        world.bob = world.key("bob", "globex");
        world
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("countersign.toml")
    }

    pub fn audit(&self) -> PathBuf {
        self.dir.path().join("audit")
    }

    /// A new API key.
    pub fn key(&self, subject: &str, tenant: &str) -> String {
        let made = self.command(&[
            "token", "key", "create", "--for", subject, "--tenant", tenant, "--role", "operator", "--json",
        ]);
        let made: Value = serde_json::from_str(&made).unwrap();
        made["key"].as_str().unwrap().to_owned()
    }

    /// Confirms the policies as they are, as the operator does before a reload that loosens.
    pub fn accept(&self) {
        let checked: Value = serde_json::from_str(&self.command(&["policy", "check", "--json"])).unwrap();
        self.command(&["policy", "accept", checked["digest"].as_str().unwrap()]);
    }

    /// Runs a command of the binary with `--config`, which must succeed.
    pub fn command(&self, args: &[&str]) -> String {
        let output = self.try_command(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, which may fail. A server that starts although it should not is stopped after a minute.
    pub fn try_command(&self, args: &[&str]) -> std::process::Output {
        let mut command = Command::new("timeout");
        command.args(["60", BINARY]).args(args).arg("--config").arg(self.config()).output().unwrap()
    }

    /// Starts `serve` and waits until it answers.
    pub fn serve(&self) -> Server {
        let server = self.start();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.is_ready() {
            let log = || std::fs::read_to_string(self.dir.path().join("serve.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the server does not become ready: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    /// Starts `serve` and does not wait.
    pub fn start(&self) -> Server {
        self.start_with(|_| {})
    }

    /// The same, with changes to how it is started.
    pub fn start_with(&self, change: impl FnOnce(&mut Command)) -> Server {
        let log = std::fs::File::create(self.dir.path().join("serve.log")).unwrap();
        let mut command = Command::new(BINARY);
        command.args(["serve", "--config"]).arg(self.config());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        change(&mut command);
        Server { child: command.spawn().unwrap() }
    }

    pub fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let sent = stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut text = String::new();
        sent.is_ok() && stream.read_to_string(&mut text).is_ok() && text.starts_with("HTTP/1.1 200")
    }

    pub fn client(&self, key: &str) -> Client {
        Client::new(self.port, key)
    }

    pub fn stdio(&self) -> StdioClient {
        StdioClient::start(&self.config())
    }

    /// The bytes of the database file and anything beside it with its name.
    pub fn database_bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("shop.db"))
            .collect();
        files.sort();
        files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }
}

/// A serving process; killed at the end.
pub struct Server {
    pub child: Child,
}

impl Server {
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// SIGTERM, and a clean end.
    pub fn stop(mut self) {
        self.signal("-TERM");
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// Process ids of its workers.
    pub fn workers(&self) -> Vec<u32> {
        let children = format!("/proc/{0}/task", self.child.id());
        let tasks = std::fs::read_dir(children).unwrap();
        let listed = tasks.filter_map(|t| std::fs::read_to_string(t.unwrap().path().join("children")).ok());
        listed
            .flat_map(|text| text.split_whitespace().map(|p| p.parse().unwrap()).collect::<Vec<_>>())
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
