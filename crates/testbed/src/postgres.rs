//! A PostgreSQL cluster in a temporary folder: loopback and a unix socket, passwords made up for the run, nothing synced to disk.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, OnceLock};

use tempfile::TempDir;

use crate::server::Server;
use crate::{account, programs, sample, tls};

/// A role that may log in, and its password.
#[derive(Clone, Debug)]
pub struct Login {
    /// The role's name.
    pub user: String,
    /// Letters and digits only.
    pub password: String,
}

impl Login {
    /// A login with a random password.
    pub(crate) fn new(user: &str) -> Login {
        let mut bytes = [0_u8; 16];
        let mut random = std::fs::File::open("/dev/urandom").expect("the machine has randomness");
        random.read_exact(&mut bytes).expect("randomness is read");
        Login { user: user.to_owned(), password: bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
    }
}

/// How a cluster differs from the ordinary one.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// TCP connections must use TLS; [`Postgres::ca`] signs the server's certificate.
    pub tls: bool,
    /// More lines of `postgresql.conf`.
    pub settings: String,
}

/// A running cluster. It is stopped and removed with this value, and also when this process dies.
pub struct Postgres {
    // Before the folder, so that the server has stopped when the folder goes.
    server: Mutex<Option<Server>>,
    dir: TempDir,
    port: u16,
    superuser: Login,
    shop: OnceLock<Vec<Login>>,
    corpus: OnceLock<Vec<Login>>,
}

impl Postgres {
    /// A cluster with ordinary settings, started in about two seconds.
    pub fn start() -> Postgres {
        Postgres::start_with(&Options::default())
    }

    /// A cluster with other settings.
    pub fn start_with(options: &Options) -> Postgres {
        let dir = tempfile::Builder::new().prefix("countersign-pg-").tempdir().expect("a temporary folder");
        account::give(dir.path());
        let superuser = Login::new("postgres");
        init(dir.path(), &superuser);
        if options.tls {
            tls::make(dir.path());
            for file in ["ca.pem", "server.pem", "server.key"] {
                account::give(&dir.path().join(file));
            }
        }
        // Somebody may take the free port before the server does.
        for attempt in 1.. {
            let port = free_port();
            configure(dir.path(), port, options);
            match Server::start(dir.path()) {
                Ok(server) => {
                    let server = Mutex::new(Some(server));
                    return Postgres {
                        server,
                        dir,
                        port,
                        superuser,
                        shop: OnceLock::new(),
                        corpus: OnceLock::new(),
                    };
                }
                Err(log) => assert!(attempt < 3, "PostgreSQL does not start: {log}"),
            }
        }
        unreachable!("the loop returns or panics")
    }

    /// One cluster for a whole test binary. Tests that stop it or change its roles start one of their own.
    pub fn shared() -> &'static Postgres {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Postgres::start)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the unix socket.
    pub fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    /// The certificate authority of a cluster with TLS: a PEM file.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The cluster's superuser, `postgres`.
    pub fn superuser(&self) -> &Login {
        &self.superuser
    }

    /// `postgres://user@127.0.0.1:port/database`: the password is not in it.
    pub fn url(&self, login: &Login, database: &str) -> String {
        format!("postgres://{}@127.0.0.1:{}/{database}", login.user, self.port)
    }

    /// A login of the database `shop`, which is loaded at the first use: `t1`, `t2` read what belongs to one tenant, `w1`, `w2` write it
    /// as well; `shop_owner`, `bypasser`, `file_reader`, `both_tenants` are the mistakes that must be noticed. See `shop.sql`.
    pub fn shop(&self, user: &str) -> Login {
        find(self.shop.get_or_init(|| sample::load_shop(self)), user)
    }

    /// A login of the database `corpus`, which is loaded from `corpora/schema_pg.sql` at the first use: `app_reader`, `app_owner`.
    pub fn corpus(&self, user: &str) -> Login {
        find(self.corpus.get_or_init(|| sample::load_corpus(self)), user)
    }

    /// Runs SQL as superuser and returns the rows without headers, columns separated by `|`; an error is the text of `psql`.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, String> {
        self.psql_as(&self.superuser, database, sql)
    }

    /// As [`Postgres::psql`], as somebody else. Nothing checks the statements: this is how a test shows what an attack does unguarded.
    pub fn psql_as(&self, login: &Login, database: &str, sql: &str) -> Result<String, String> {
        let mut command = std::process::Command::new(programs::postgres().join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h"]).arg(self.socket_dir());
        command.args(["-p", &self.port.to_string(), "-U", &login.user, "-d", database]);
        command.env("PGPASSWORD", &login.password).env("PGCONNECT_TIMEOUT", "10");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = programs::with_libraries(&mut command).spawn().expect("`psql` starts");
        // psql stops reading at the first error.
        let _ = child.stdin.take().expect("a pipe").write_all(sql.as_bytes());
        let output = child.wait_with_output().expect("`psql` ends");
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// As [`Postgres::psql`], for what must succeed.
    pub fn run(&self, database: &str, sql: &str) -> String {
        self.psql(database, sql).unwrap_or_else(|error| panic!("{database}: {error}"))
    }

    /// How many connections a login has open now.
    pub fn connections(&self, user: &str) -> usize {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}'");
        self.run("postgres", &sql).parse().expect("a count")
    }

    /// Stops the server at once, connections and all, until [`Postgres::restart`].
    pub fn stop(&self) {
        if let Some(server) = self.server.lock().expect("no panic while stopping").take() {
            server.stop();
        }
    }

    /// Starts the server again on the same port, stopping it first if it runs.
    pub fn restart(&self) {
        self.stop();
        let server =
            Server::start(self.dir.path()).unwrap_or_else(|log| panic!("PostgreSQL does not restart: {log}"));
        *self.server.lock().expect("no panic while starting") = Some(server);
    }

    /// Everything the server has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.path().join("log")).unwrap_or_default()).into_owned()
    }
}

fn find(logins: &[Login], user: &str) -> Login {
    logins.iter().find(|login| login.user == user).unwrap_or_else(|| panic!("no login `{user}`")).clone()
}

fn init(dir: &Path, superuser: &Login) {
    let password = dir.join("password");
    std::fs::write(&password, &superuser.password).expect("the password is written");
    account::give(&password);
    let mut command = account::unprivileged(&programs::postgres().join("initdb"));
    command.arg("-D").arg(dir.join("data")).args(["-U", &superuser.user, "--pwfile"]).arg(&password);
    command.args(["-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"]);
    command.args(["--no-sync", "--no-instructions", "--wal-segsize=1"]);
    let output = programs::with_libraries(&mut command).current_dir(dir).stdin(Stdio::null()).output();
    let output = output.expect("`initdb` starts");
    assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(password).expect("the password is removed");
}

fn configure(dir: &Path, port: u16, options: &Options) {
    let ssl = if options.tls {
        "ssl = on\nssl_cert_file = '../server.pem'\nssl_key_file = '../server.key'"
    } else {
        ""
    };
    let settings = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n\
         max_connections = 200\nshared_buffers = '64MB'\npassword_encryption = 'scram-sha-256'\n\
         fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nautovacuum = off\n\
         log_line_prefix = '%m [%p] %u@%d %a '\ntimezone = 'UTC'\n{ssl}\n{}\n",
        dir.display(),
        options.settings,
    );
    let network = if options.tls { "hostssl" } else { "host" };
    let access = format!("local all all scram-sha-256\n{network} all all 127.0.0.1/32 scram-sha-256\n");
    for (file, text) in [("postgresql.auto.conf", settings), ("pg_hba.conf", access)] {
        std::fs::write(dir.join("data").join(file), text).expect("the configuration is written");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
