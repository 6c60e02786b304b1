//! Debian's ODBC drivers for PostgreSQL and SQLite, with driver-manager files of their own.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::postgres::{Login, Postgres};
use crate::programs;

/// A driver of Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// `odbc-postgresql`, Unicode.
    Postgres,
    /// `libsqliteodbc`.
    Sqlite,
}

impl Driver {
    /// Its name in `odbcinst.ini`.
    pub fn name(self) -> &'static str {
        match self {
            Driver::Postgres => "TestPostgres",
            Driver::Sqlite => "TestSqlite",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Driver::Postgres => "psqlodbcw.so",
            Driver::Sqlite => "libsqlite3odbc.so",
        }
    }
}

/// A folder with `odbcinst.ini` and `odbc.ini`, removed with this value.
pub struct Odbc {
    dir: TempDir,
}

impl Odbc {
    /// Names both drivers and no data source.
    pub fn new() -> Odbc {
        let dir = tempfile::Builder::new().prefix("countersign-odbc-").tempdir().expect("a temporary folder");
        let mut drivers = String::new();
        for driver in [Driver::Postgres, Driver::Sqlite] {
            let file = programs::odbc_driver(driver.file());
            drivers.push_str(&format!(
                "[{}]\nDescription=for tests\nDriver={}\n",
                driver.name(),
                file.display()
            ));
        }
        std::fs::write(dir.path().join("odbcinst.ini"), drivers).expect("odbcinst.ini is written");
        let odbc = Odbc { dir };
        odbc.write_sources("");
        odbc
    }

    /// Adds the data source `name` to `odbc.ini`, as lines `Key=Value`; earlier ones stay.
    pub fn add_source(&self, name: &str, driver: Driver, lines: &str) {
        let before = std::fs::read_to_string(self.dir.path().join("odbc.ini")).unwrap_or_default();
        self.write_sources(&format!("{before}[{name}]\nDriver={}\n{lines}\n", driver.name()));
    }

    fn write_sources(&self, text: &str) {
        std::fs::write(self.dir.path().join("odbc.ini"), text).expect("odbc.ini is written");
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What a process needs in its environment to find drivers and sources here, and nowhere else.
    pub fn env(&self) -> Vec<(&'static str, OsString)> {
        let mut env = vec![
            ("ODBCSYSINI", self.dir.path().into()),
            ("ODBCINI", self.dir.path().join("odbc.ini").into()),
        ];
        env.extend(programs::library_path().map(|path| ("LD_LIBRARY_PATH", path)));
        env
    }

    /// A connection string for a database of a cluster, without the password (`Pwd=…`).
    pub fn postgres(&self, cluster: &Postgres, login: &Login, database: &str) -> String {
        let (driver, port) = (Driver::Postgres.name(), cluster.port());
        format!("Driver={driver};Server=127.0.0.1;Port={port};Database={database};Uid={};", login.user)
    }

    /// Runs SQL, each line a statement, with unixODBC's own `isql` and returns the rows, columns separated by `|`. Nothing checks the
    /// statements: this is how a test shows what an attack does unguarded.
    pub fn isql(&self, connection: &str, sql: &str) -> Result<String, String> {
        let mut command = Command::new(programs::program("isql"));
        command.args(["-k", connection, "-b", "-d|"]).envs(self.env());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("`isql` starts");
        // isql stops reading when it cannot connect.
        let _ = child.stdin.take().expect("a pipe").write_all(format!("{sql}\n").as_bytes());
        let output = child.wait_with_output().expect("`isql` ends");
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match output.status.success() && !text.contains("[ISQL]ERROR") {
            true => Ok(text),
            false => Err(text + &String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// A connection string for a SQLite file.
    pub fn sqlite(&self, file: &Path) -> String {
        format!("Driver={};Database={};", Driver::Sqlite.name(), file.display())
    }
}

impl Default for Odbc {
    fn default() -> Self {
        Odbc::new()
    }
}
