//! A statement that ignores interruption does not outlive its deadline, its process is gone, and nobody else waits for it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::*;

/// Runs for seconds inside one C loop that looks at neither the progress handler nor the interrupt flag.
const STUBBORN: &str = "SELECT instr(hex(zeroblob(490000)), hex(zeroblob(245000))||'1')";

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn the_statement_really_ignores_interruption() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    let handle = connection.get_interrupt_handle();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        handle.interrupt();
    });
    let started = Instant::now();
    let _ = connection.query_row(STUBBORN, [], |row| row.get::<_, i64>(0));
    assert!(
        started.elapsed() > Duration::from_millis(600),
        "{:?}: find a more stubborn one",
        started.elapsed()
    );
}

#[test]
fn it_is_stopped_at_its_deadline_and_sixteen_others_are_not_delayed() {
    let world = World::new(Shape { shop: "timeout = \"1s\"\nworkers = 4".into(), ..Shape::default() });
    let server = world.serve();
    let baseline = callers(&world, Duration::from_secs(1));
    let before = server.workers();

    let in_time = |(took, during): &(Duration, Duration)| {
        *took < Duration::from_millis(1_000 + 200) && *during < baseline * 4 + Duration::from_millis(20)
    };
    // The machine that tests run on may stall for longer than the 200 ms: the best of three tries counts, and none may run on.
    let mut tries = Vec::new();
    for _ in 0..3 {
        let (key, port) = (world.ann.clone(), world.port);
        let stubborn = std::thread::spawn(move || {
            let mut client = Client::new(port, &key);
            let started = Instant::now();
            let result = client.call("query_shop", json!({"query": STUBBORN}));
            (started.elapsed(), result)
        });
        std::thread::sleep(Duration::from_millis(50));
        let during = callers(&world, Duration::from_millis(800));
        let (took, result) = stubborn.join().unwrap();
        assert_eq!(result["isError"], true, "{result}");
        assert!(text_of(&result).contains("deadline"), "{result}");
        assert!(took < Duration::from_millis(2_500), "runs on: {took:?}");
        tries.push((took, during));
        if tries.iter().any(in_time) {
            break;
        }
    }
    assert!(
        tries.iter().any(in_time),
        "outlived its deadline or delayed others: {tries:?}, before {baseline:?}"
    );

    let gone = Instant::now() + Duration::from_secs(2);
    loop {
        let now = server.workers();
        if before.iter().any(|pid| !now.contains(pid)) && now.len() >= before.len() {
            break;
        }
        assert!(Instant::now() < gone, "the worker was not replaced: {before:?} {now:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sixteen callers for a while: the median time of their calls.
fn callers(world: &World, time: Duration) -> Duration {
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let (port, key) = (world.port, world.bob.clone());
            std::thread::spawn(move || {
                let mut client = Client::new(port, &key);
                let end = Instant::now() + time;
                let mut times = Vec::new();
                while Instant::now() < end {
                    let started = Instant::now();
                    let result = client.call("query_shop", json!({"query": "SELECT count(*) FROM products"}));
                    assert_eq!(result["structuredContent"]["rows"], json!([[3]]), "{result}");
                    times.push(started.elapsed());
                }
                times
            })
        })
        .collect();
    median(threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect())
}
