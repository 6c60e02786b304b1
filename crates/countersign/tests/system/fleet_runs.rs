//! A run is one run in a whole fleet: nobody gets rid of what they have read by going to another instance, nor of what they have used up.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use countersign_testbed::Postgres;
use serde_json::{Value, json};

use crate::{fleet, world::*};

/// The way out: a proxy that answers for every host and notes whom it was asked for.
struct Outside {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Outside {
    fn start() -> Outside {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let outside = Outside { port: listener.local_addr().unwrap().port(), asked: Arc::default() };
        let asked = Arc::clone(&outside.asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                _ = tunnel(stream, &asked);
            }
        });
        outside
    }

    /// What has left since the last look.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn tunnel(stream: TcpStream, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let answers = [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok",
    ];
    for answer in answers {
        let mut first = String::new();
        lines.read_line(&mut first)?;
        let mut line = first.clone();
        while !line.trim().is_empty() {
            line.clear();
            lines.read_line(&mut line)?;
        }
        asked.lock().unwrap().push(first.trim().to_owned());
        (&stream).write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// Two instances with the same keys of callers, and the key of somebody else.
fn two(cluster: &Postgres, more: &str) -> ([World; 2], String) {
    fleet::init(cluster);
    let worlds = [fleet::instance(cluster, more), fleet::instance(cluster, more)];
    let carl = worlds[0].key("carl", "acme");
    let keys = |world: &World| world.dir.path().join("state/keys.json");
    std::fs::copy(keys(&worlds[0]), keys(&worlds[1])).unwrap();
    (worlds, carl)
}

fn fetch(client: &mut Client, url: &str) -> Value {
    client.call("fetch_url", json!({"url": url}))
}

#[test]
fn what_was_read_through_one_instance_does_not_leave_through_another() {
    let (cluster, outside) = (Postgres::start(), Outside::start());
    let fetching = format!(
        "[fetch]\nallow = [\"docs.example.com\"]\nproxy = \"127.0.0.1:{}\"\n[danger]\nfetch_proxy_resolves = true",
        outside.port
    );
    let (worlds, carl) = two(&cluster, &fetching);
    let servers = [worlds[0].serve(), worlds[1].serve()];
    let url = "http://docs.example.com/?names=all";
    let mut clients = [worlds[0].client(&worlds[0].ann), worlds[1].client(&worlds[0].ann)];
    for client in &mut clients {
        let fetched = fetch(client, url);
        assert_eq!(fetched["structuredContent"]["status"], 200, "a run that has read nothing: {fetched}");
    }
    assert_eq!(outside.asked().len(), 4, "that is the way out");

    let read = clients[0].query("SELECT name FROM products");
    assert!(read["isError"] != true, "{read}");
    for client in &mut clients {
        let refused = fetch(client, url);
        assert!(refused["isError"] == true && text_of(&refused).contains("not approved yet"), "{refused}");
    }
    // The instance that saw it is gone, and what it saw is not.
    let [first, _second] = servers;
    first.kill();
    let refused = fetch(&mut clients[1], url);
    assert!(text_of(&refused).contains("not approved yet"), "{refused}");
    assert_eq!(outside.asked(), Vec::<String>::new(), "nothing has left");
    // Nor does a new start clean it.
    let _again = worlds[0].serve();
    let refused = fetch(&mut worlds[0].client(&worlds[0].ann), url);
    assert!(text_of(&refused).contains("not approved yet"), "{refused}");
    // Another principal's run has read nothing.
    let fetched = fetch(&mut worlds[0].client(&carl), url);
    assert_eq!(fetched["structuredContent"]["status"], 200, "{fetched}");
}

/// Asks for three rows.
fn three_rows(client: &mut Client) -> Result<usize, String> {
    rows(client, "SELECT name FROM products")
}

/// What a call comes to: rows, or the words of the refusal.
fn rows(client: &mut Client, sql: &str) -> Result<usize, String> {
    let call = json!({"name": "query_shop", "arguments": {"query": sql}});
    let answer = client.modern("tools/call", call);
    if answer.status != 200 || answer.body.contains(r#""isError":true"#) {
        return Err(answer.body);
    }
    let rows = answer.json()["result"]["structuredContent"]["rows"].as_array().map(Vec::len);
    Ok(rows.expect("an answer has rows"))
}

#[test]
fn what_was_used_up_through_one_instance_is_used_up_in_the_other() {
    let cluster = Postgres::start();
    let (worlds, carl) = two(&cluster, "[limits]\nrun_calls = 40\nrows_per_hour = 12");
    let servers = [worlds[0].serve(), worlds[1].serve()];
    let mut clients = [worlds[0].client(&worlds[0].ann), worlds[1].client(&worlds[0].ann)];
    let mut sum = 0;
    for call in 0..20 {
        sum += three_rows(&mut clients[call % 2]).unwrap_or(0);
    }
    // Each answer is more than a hundredth of the limit, so it is told before it leaves.
    assert!(
        (12..=18).contains(&sum),
        "{sum}: all that an hour has, and of each instance the answer that crosses it"
    );
    for client in &mut clients {
        let refused = three_rows(client).unwrap_err();
        assert!(refused.contains("rows per hour limit reached"), "{refused}");
    }
    // What an instance told the others before it was killed still counts.
    let [first, _second] = servers;
    first.kill();
    let _again = worlds[0].serve();
    let refused = three_rows(&mut worlds[0].client(&worlds[0].ann)).unwrap_err();
    assert!(refused.contains("rows per hour limit reached"), "{refused}");

    // Another principal has rows of its own, and one budget of calls in both instances.
    let mut clients = [worlds[0].client(&carl), worlds[1].client(&carl)];
    let mut answered = 0;
    for call in 0..60 {
        match rows(&mut clients[call % 2], "SELECT name FROM products WHERE id < 0") {
            Ok(_) => answered += 1,
            Err(refused) => assert!(refused.contains("this run has used up its calls"), "{refused}"),
        }
    }
    assert_eq!(answered, 40, "one budget");
}

/// What a server of one file knows of runs is in its memory; a second one would not know it.
#[test]
fn a_state_in_a_file_has_one_server() {
    let world = World::new(Shape::default());
    let server = world.serve();
    let config = std::fs::read_to_string(world.config()).unwrap();
    let audit = format!("dir = \"{}\"", world.audit().display());
    assert!(config.contains(&audit));
    let other = config
        .replace(&format!(":{}\"", world.port), ":0\"")
        .replace(&audit, &format!("dir = \"{}\"", world.dir.path().join("audit2").display()));
    let (first, second) = (config, other);
    std::fs::write(world.config(), second).unwrap();
    let refused = world.try_command(&["serve"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("another server uses"), "{said}");
    std::fs::write(world.config(), first).unwrap();
    server.kill();
    let _next = world.serve();
    let read = world.client(&world.ann).query("SELECT name FROM products");
    assert!(read["isError"] != true, "{read}");
}
