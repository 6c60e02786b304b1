//! kill -9 under load: every answered call is in a log, and the logs verify.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::world::*;

/// Kills, each under load.
const ROUNDS: usize = 50;

#[test]
fn nothing_acknowledged_is_lost_when_all_processes_are_killed_fifty_times() {
    let world = World::new(Shape { shop: "workers = 1".into(), ..Shape::default() });
    let answered: Arc<Mutex<HashSet<String>>> = Arc::default();
    for round in 0..ROUNDS {
        let server = world.serve();
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for _ in 0..4 {
            let (port, key) = (world.port, world.ann.clone());
            let (answered, stop) = (Arc::clone(&answered), Arc::clone(&stop));
            threads.push(std::thread::spawn(move || {
                let mut client = Client::new(port, &key);
                while !stop.load(SeqCst) {
                    let call = json!({"name": "query_shop", "arguments": {"query": "SELECT 1"}});
                    let Ok(answer) = client.try_modern("tools/call", call) else { break };
                    note(&answered, &answer.json()["result"]);
                }
            }));
        }
        let mut stdio: Vec<_> = (0..3).map(|_| world.stdio()).collect();
        for client in &mut stdio {
            for _ in 0..3 {
                note(&answered, &client.query("SELECT 2").unwrap());
            }
        }
        std::thread::sleep(Duration::from_millis(20 + 7 * (round as u64 % 11)));
        server.kill();
        stop.store(true, SeqCst);
        for mut client in stdio {
            client.child.kill().unwrap();
            client.child.wait().unwrap();
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
    let answered = answered.lock().unwrap();
    assert!(answered.len() > ROUNDS * 9, "the load was too small: {}", answered.len());
    let verified = world.try_command(&["audit", "verify", world.audit().to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let outcomes = world.command(&["audit", "search", "--json", "--decision", "outcome", "-n", "10000000"]);
    let recorded: HashSet<String> = outcomes
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|entry| call_of(&entry))
        .collect();
    let lost: Vec<_> = answered.iter().filter(|call| !recorded.contains(*call)).collect();
    assert!(lost.is_empty(), "{} of {} answered calls are not in the log", lost.len(), answered.len());
}

fn note(answered: &Mutex<HashSet<String>>, result: &Value) {
    assert_ne!(result["isError"], true, "{result}");
    let call = result["_meta"]["countersign/call"].as_str().expect("the reply names its call").to_owned();
    answered.lock().unwrap().insert(call);
}

fn call_of(entry: &Value) -> String {
    entry["call"].as_str().unwrap().to_owned()
}
