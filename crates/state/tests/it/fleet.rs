//! A database of its own on a real cluster, for the role that `docs/fleet.md` makes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use countersign_state::{Dial, Duplex, PostgresSettings, PostgresStore, StateError};
use countersign_testbed::Postgres;

/// A database with nothing in it but our schema, and how to log in to it.
#[derive(Clone)]
pub struct Fleet {
    pub port: u16,
    pub settings: PostgresSettings,
}

/// What an operator runs, from the page that says so.
const INIT: &str = include_str!("../../../../examples/fleet/state.sql");

impl Fleet {
    pub fn new(cluster: &Postgres) -> Fleet {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("state{}", NEXT.fetch_add(1, SeqCst));
        let init = INIT.replace("countersign_state", &name).replace("CHANGE-ME", "pass-word");
        let (server, database) = init.split_once("-- In the new database:").unwrap();
        cluster.run("postgres", server);
        cluster.run(&name, database);
        Fleet::at(cluster.port(), &name)
    }

    pub fn at(port: u16, name: &str) -> Fleet {
        let settings = PostgresSettings {
            user: name.to_owned(),
            password: Some("pass-word".to_owned().into()),
            database: name.to_owned(),
            connections: 8,
            // Machines that run tests are busy.
            patience: Duration::from_secs(20),
        };
        Fleet { port, settings }
    }

    /// As in earnest: nobody waits long.
    pub fn hasty(self) -> Fleet {
        let settings = PostgresSettings { patience: Duration::from_secs(3), ..self.settings };
        Fleet { settings, ..self }
    }

    pub fn name(&self) -> &str {
        &self.settings.database
    }

    pub async fn open(&self) -> Result<PostgresStore, StateError> {
        PostgresStore::open(Arc::new(Loopback(self.port)), self.settings.clone()).await
    }
}

struct Loopback(u16);

#[async_trait::async_trait]
impl Dial for Loopback {
    async fn dial(&self) -> Result<Box<dyn Duplex>, String> {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.0)).await;
        Ok(Box::new(stream.map_err(|error| error.to_string())?))
    }
}
