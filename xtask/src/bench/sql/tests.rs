//! The questions stay within the table, and a server that answers one part with another does not pass.

use std::time::{Duration, Instant};

use super::rows::{self, DATABASE, ROWS, range};
use super::subject::{Asked, free_address};
use super::{Load, client, raw};

#[test]
fn every_part_lies_within_the_table() {
    for rows in ROWS {
        for index in 0..100 {
            let (first, last) = range(index, rows);
            assert!(first >= 1 && last <= 100_000 && last + 1 - first == rows, "{first} to {last}");
        }
    }
}

#[test]
fn the_raw_server_answers_and_wrong_rows_are_noticed() {
    let database = rows::load();
    let (login, port) = (&database.login, database.cluster.port());
    let url = format!("postgres://{}:{}@127.0.0.1:{port}/{DATABASE}", login.user, login.password);
    let address = free_address().unwrap();
    let served = address.clone();
    std::thread::spawn(move || raw::serve_until_killed(&served, &url));
    let start = Instant::now();
    while std::net::TcpStream::connect(&address).is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "the raw server does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    let asked = Asked { tool: "query", argument: "query", key: None };
    let run = |rows| {
        let question = rows::question(&asked, rows);
        let load = Load { address: &address, question: &question, callers: 4 };
        client::run(&load, Duration::from_millis(300)).unwrap()
    };
    for rows in ROWS {
        let outcome = run(rows);
        assert!(outcome.errors == 0 && !outcome.nanoseconds.is_empty(), "{:?}", outcome.failures);
    }
    database.cluster.run(DATABASE, "UPDATE customers SET name = upper(name)");
    let outcome = run(1);
    assert!(outcome.nanoseconds.is_empty() && outcome.errors > 0);
}
