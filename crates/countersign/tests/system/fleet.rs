//! Two instances on one PostgreSQL database: limits are shared, stops reach both, an outage refuses everywhere and ends by itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use countersign_testbed::{Options, Postgres};
use serde_json::json;

use crate::world::*;

const PASSWORD: &str = "pass-word-of-the-state";
/// Calls a minute of one principal, and at once.
const RATE: u32 = 600;
const BURST: u32 = 100;
/// What one lease of that has: a tenth of the burst.
const LEASE: u32 = 10;

/// What an operator runs on the server, from the page that says so.
pub fn init(cluster: &Postgres) {
    let text = include_str!("../../../../examples/fleet/state.sql").replace("CHANGE-ME", PASSWORD);
    let (server, database) = text.split_once("-- In the new database:").unwrap();
    cluster.run("postgres", server);
    cluster.run("countersign_state", database);
}

/// An instance of the fleet in a directory of its own, with a limit for each principal.
pub fn instance(cluster: &Postgres, more: &str) -> World {
    let world = unlimited(cluster, more);
    let config = std::fs::read_to_string(world.config()).unwrap();
    let wide = "[limits.principal]\nper_minute = 6000000\nburst = 100000";
    assert!(config.contains(wide));
    let narrow = format!("[limits.principal]\nper_minute = {RATE}\nburst = {BURST}");
    std::fs::write(world.config(), config.replace(wide, &narrow)).unwrap();
    world
}

/// The same without one.
pub fn unlimited(cluster: &Postgres, more: &str) -> World {
    let url = format!("postgres://countersign_state@127.0.0.1:{}/countersign_state", cluster.port());
    let extra = format!("[state]\nurl = \"{url}\"\npassword = \"file:state.password\"\n{more}\n");
    World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        std::fs::write(dir.join("state.password"), PASSWORD).unwrap();
        std::fs::write(dir.join("ca.pem"), std::fs::read(cluster.ca()).unwrap_or_default()).unwrap();
    })
}

/// How a call went: its answer, or the words of the refusal.
fn ask(client: &mut Client) -> String {
    let call = json!({"name": "query_shop", "arguments": {"query": "SELECT 41 + 1"}});
    let answer = client.modern("tools/call", call);
    format!("{} {}", answer.status, answer.body)
}

fn is_answered(text: &str) -> bool {
    text.starts_with("200 ") && text.contains("42")
}

/// Asks until the answer is as it should be; how long that took.
fn until(limit: Duration, client: &mut Client, right: impl Fn(&str) -> bool) -> Duration {
    let begun = Instant::now();
    loop {
        let text = ask(client);
        if right(&text) {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < limit, "after {:?}: {text}", begun.elapsed());
        thread::sleep(Duration::from_millis(150));
    }
}

#[test]
fn a_limit_is_shared_by_two_instances_under_load() {
    let cluster = Postgres::start();
    init(&cluster);
    let worlds = [instance(&cluster, ""), instance(&cluster, "")];
    let _servers = [worlds[0].serve(), worlds[1].serve()];
    let answered = [Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0))];
    let begun = Instant::now();
    let end = begun + Duration::from_secs(8);
    let callers: Vec<_> = (0..4)
        .map(|n: usize| {
            let (mut client, answered) =
                (worlds[n % 2].client(&worlds[n % 2].ann), Arc::clone(&answered[n % 2]));
            thread::spawn(move || {
                while Instant::now() < end {
                    let text = ask(&mut client);
                    assert!(is_answered(&text) || text.starts_with("429 "), "{text}");
                    answered.fetch_add(u32::from(is_answered(&text)), SeqCst);
                }
            })
        })
        .collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    let took = begun.elapsed().as_secs_f64();
    let counts = answered.map(|count| count.load(SeqCst));
    let all = counts[0] + counts[1];
    let allowed = f64::from(BURST) + took * f64::from(RATE) / 60.0;
    println!("{counts:?} calls were answered in {took:.1} s; {allowed:.0} were allowed");
    assert!(f64::from(all) <= allowed + f64::from(LEASE), "{counts:?} of {allowed} in {took} s");
    assert!(f64::from(all) >= allowed * 0.7, "what is allowed is had: {counts:?} of {allowed} in {took} s");
    assert!(counts[0] > BURST / 10 && counts[1] > BURST / 10, "both have a share: {counts:?}");
}

#[test]
fn what_is_stopped_in_one_instance_stops_in_the_other() {
    let cluster = Postgres::start();
    init(&cluster);
    let worlds = [instance(&cluster, ""), instance(&cluster, "")];
    let _servers = [worlds[0].serve(), worlds[1].serve()];
    let mut ann = worlds[1].client(&worlds[1].ann);
    let mut bob = worlds[1].client(&worlds[1].bob);
    assert!(is_answered(&ask(&mut ann)) && is_answered(&ask(&mut bob)));
    let two = Duration::from_secs(2);
    worlds[0].command(&["freeze", "--tenant", "globex", "--reason", "incident 12"]);
    let took = until(two, &mut bob, |text| text.contains("an operator has frozen this tenant"));
    println!("a freeze reached the other instance {took:?} after the command had ended");
    assert!(is_answered(&ask(&mut ann)), "another tenant goes on");
    assert!(worlds[1].command(&["thaw", "--list"]).contains("incident 12"), "all see the same");
    worlds[1].command(&["thaw", "--tenant", "globex"]);
    until(two, &mut bob, is_answered);
    worlds[0].command(&["revoke", "--principal", "keys", "ann", "--reason", "left"]);
    let took = until(two, &mut ann, |text| text.starts_with("401 "));
    println!("a revocation reached the other instance {took:?} after the command had ended");
    assert!(is_answered(&ask(&mut bob)));
}

#[test]
fn without_its_state_a_fleet_refuses_every_call_and_goes_on_by_itself() {
    let cluster = Postgres::start();
    init(&cluster);
    let worlds = [instance(&cluster, ""), instance(&cluster, "")];
    let _servers = [worlds[0].serve(), worlds[1].serve()];
    let mut clients = [worlds[0].client(&worlds[0].ann), worlds[1].client(&worlds[1].bob)];
    for client in &mut clients {
        assert!(is_answered(&ask(client)));
    }
    cluster.stop();
    let begun = Instant::now();
    for client in &mut clients {
        let refused = |text: &str| text.contains("the state is unavailable; nothing was executed");
        until(Duration::from_secs(3), client, refused);
    }
    println!("both instances refuse calls {:?} after the outage began", begun.elapsed());
    thread::sleep(Duration::from_secs(2).saturating_sub(begun.elapsed()));
    for _ in 0..5 {
        for client in &mut clients {
            let text = ask(client);
            assert!(text.starts_with("503 ") && text.contains("(refusal "), "past the bound: {text}");
        }
    }
    let start = worlds[0].try_command(&["thaw", "--list"]);
    let said = String::from_utf8_lossy(&start.stderr).into_owned();
    assert!(!start.status.success() && said.contains("the state's server cannot be reached"), "{said}");

    cluster.restart();
    let begun = Instant::now();
    for client in &mut clients {
        until(Duration::from_secs(10), client, is_answered);
    }
    println!("and answer {:?} after the server was back", begun.elapsed());
}

/// With an authority, TLS is demanded on this machine too: another authority's server is not believed.
#[test]
fn the_server_of_the_state_proves_who_it_is() {
    let cluster = Postgres::start_with(&Options { tls: true, ..Options::default() });
    init(&cluster);
    let world = instance(&cluster, "ca = \"ca.pem\"");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    until(Duration::from_secs(5), &mut ann, is_answered);
    let sql = "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'countersign_state'";
    assert_eq!(cluster.run("postgres", sql), "t");
    let stranger = tempfile::tempdir().unwrap();
    countersign_testbed::certificate(stranger.path(), &["IP:127.0.0.1"]);
    std::fs::copy(stranger.path().join("ca.pem"), world.dir.path().join("ca.pem")).unwrap();
    let refused = world.try_command(&["thaw", "--list"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("TLS handshake failed"), "{said}");
}

#[test]
fn doctor_tells_what_the_state_needs() {
    let cluster = Postgres::start();
    init(&cluster);
    let world = instance(&cluster, "");
    let said = String::from_utf8(world.try_command(&["doctor"]).stdout).unwrap();
    assert!(said.contains("shared state") && said.contains("`fsync` is off there"), "{said}");
    world.command(&["thaw", "--list"]);
    world.command(&["approvals", "list"]);
    assert!(!said.contains("seal.key"), "{said}");
    let other = instance(&cluster, "");
    let key = other.dir.path().join("dana.key");
    other.command(&["approvals", "enroll", "--name", "dana", "--out", key.to_str().unwrap()]);
    let said = String::from_utf8(world.try_command(&["doctor"]).stdout).unwrap();
    assert!(said.contains("sealed with another instance's `seal.key`"), "{said}");
    let refused = world.try_command(&["serve"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("enrolled under another `seal.key`"), "{said}");
    std::fs::copy(other.dir.path().join("state/seal.key"), world.dir.path().join("state/seal.key")).unwrap();
    assert!(world.command(&["approvals", "keys", "list"]).contains("dana"), "the key counts here too");
    cluster.stop();
    let said = String::from_utf8(world.try_command(&["doctor"]).stdout).unwrap();
    assert!(said.contains("every call is refused until it can be used"), "{said}");
    let config = std::fs::read_to_string(world.config()).unwrap();
    let offered = format!(
        "{config}\n[databases.own]\nurl = \"postgres://me@127.0.0.1:{}/countersign_state\"\n",
        cluster.port()
    );
    std::fs::write(world.config(), offered).unwrap();
    let refused = world.try_command(&["doctor"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("is the database in which Countersign keeps its state"), "{said}");
}
