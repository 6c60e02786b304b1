//! One row by its key from the sample shop: through Countersign, and with rusqlite in this process, which is what the engine costs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use super::figures;
use super::question::Question;
use crate::e2e::http::Era;

const QUERY: &str = "SELECT id, name FROM products WHERE id = ?";
/// Rows that are asked for in turns.
const ROWS: i64 = 100;

/// The sample database and the rows that are asked for.
pub(super) struct Subject {
    database: PathBuf,
    rows: Vec<(i64, String)>,
}

impl Subject {
    /// Reads the rows from the database that quickstart made.
    pub(super) fn find(dir: &Path) -> Result<Self> {
        let database = dir.join("shop.db");
        let connection = open(&database)?;
        let mut statement = connection.prepare("SELECT id, name FROM products ORDER BY id LIMIT ?")?;
        let rows =
            statement.query_map([ROWS], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        Ok(Self { database, rows })
    }

    /// What the callers ask; each answer must hold the product's name.
    pub(super) fn question(&self, era: Era, key: Option<&str>) -> Question {
        let list = self
            .rows
            .iter()
            .map(|(id, name)| (json!({"query": QUERY, "params": [id]}), name.clone()))
            .collect();
        Question::listed(era, key, "query_shop", list)
    }

    /// The median time of the same query in this process, in microseconds.
    pub(super) fn in_process(&self, time: Duration) -> Result<f64> {
        let connection = open(&self.database)?;
        let mut statement = connection.prepare(QUERY)?;
        let mut took = Vec::new();
        let end = Instant::now() + time;
        'time: loop {
            for (id, name) in &self.rows {
                if Instant::now() > end {
                    break 'time;
                }
                let start = Instant::now();
                let found: String = statement.query_row([id], |row| row.get(1))?;
                took.push(start.elapsed().as_secs_f64() * 1e6);
                anyhow::ensure!(found == *name, "row {id} holds another name");
            }
        }
        Ok(figures::median(&mut took))
    }
}

fn open(database: &Path) -> Result<Connection> {
    Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(|| format!("cannot open {}", database.display()))
}
