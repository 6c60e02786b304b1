//! Ten thousand attempts from two processes at a few approvals and idempotency keys: each is had exactly once.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
    sync::Arc,
    time::Instant,
};

use countersign_state::{Judged, NewRequest, OnceRow, Store, UseRow};
use countersign_testbed::Postgres;

use crate::{fleet::Fleet, support::NOW};

/// Set for the process that is started by the test: port and database.
const CHILD: &str = "COUNTERSIGN_TEST_CONTENDS";
const ITEMS: u8 = 50;
/// Callers in each of two processes: 50 items, two kinds, two processes and 50 callers are 10,000 attempts.
const CALLERS: u32 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approvals_and_keys_are_had_exactly_once_by_two_processes() {
    if let Ok(place) = std::env::var(CHILD) {
        let (port, name) = place.split_once('/').unwrap();
        let store = Fleet::at(port.parse().unwrap(), name).open().await.unwrap();
        println!("\nREADY");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        println!("BEGUN");
        for (item, wins) in contend(Arc::new(store), "child", |step| ITEMS - 1 - step).await {
            println!("WON {item} {wins}");
        }
        return;
    }
    let fleet = Fleet::new(Postgres::shared());
    let store: Arc<dyn Store> = Arc::new(fleet.open().await.unwrap());
    for item in 0..ITEMS {
        let new = NewRequest {
            id: format!("ap-{item}"),
            bound: [item; 32],
            tenant: "acme".into(),
            principal: format!("p{item}"),
            request: "{}".into(),
            created: NOW,
            expires: NOW + 1_000,
        };
        store.ask(new, 9).await.unwrap().unwrap();
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "contention::approvals_and_keys_are_had_exactly_once_by_two_processes",
            "--nocapture",
        ])
        .env(CHILD, format!("{}/{}", fleet.port, fleet.name()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    lines.find(|line| line == "READY").unwrap();
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    // Neither begins before the other is awake: the child says so from within its first attempts.
    lines.find(|line| line == "BEGUN").unwrap();
    let begun = Instant::now();
    let mut won = contend(Arc::clone(&store), "parent", |step| step).await;
    let mine: u32 = won.values().sum();
    for line in lines {
        if let Some((item, wins)) = line.strip_prefix("WON ").and_then(|words| words.rsplit_once(' ')) {
            *won.entry(item.to_owned()).or_default() += wins.parse::<u32>().unwrap();
        }
    }
    println!("10,000 attempts from two processes took {:?}", begun.elapsed());
    assert!(child.wait().unwrap().success());
    let all: u32 = won.values().sum();
    assert!(won.values().all(|wins| *wins == 1), "{won:?}");
    assert_eq!(won.len(), usize::from(ITEMS) * 2, "each was had");
    assert!(mine > 0 && mine < all, "both processes won some: {mine} of {all}");
    assert_eq!(store.open_uses().await.unwrap().len(), usize::from(ITEMS));
}

/// Tries to have everything, with many callers at once; who won what how often. The processes begin at opposite ends and meet, so that neither
/// wins everything by being awake a moment earlier.
async fn contend(
    store: Arc<dyn Store>,
    process: &'static str,
    order: impl Fn(u8) -> u8 + Copy + Send + 'static,
) -> BTreeMap<String, u32> {
    let callers = (0..CALLERS).map(|caller| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut won = Vec::new();
            for step in 0..ITEMS {
                let item = order(step);
                let call = format!("{process}-{caller}-{item}");
                let by = UseRow { call: call.clone(), instance: String::new(), until: NOW, end: None };
                if store.consume(&format!("ap-{item}"), by, Judged::default()).await.unwrap() {
                    won.push(format!("approval {item}"));
                }
                let row = OnceRow {
                    key: [item; 32],
                    arguments: [0; 32],
                    call,
                    instance: String::new(),
                    until: NOW,
                    phase: "claimed".into(),
                    answer: String::new(),
                    at: NOW,
                };
                if store.once_begin(row).await.unwrap().is_none() {
                    won.push(format!("key {item}"));
                }
            }
            won
        })
    });
    let mut won = BTreeMap::new();
    for caller in callers.collect::<Vec<_>>() {
        for item in caller.await.unwrap() {
            *won.entry(item).or_default() += 1;
        }
    }
    won
}
