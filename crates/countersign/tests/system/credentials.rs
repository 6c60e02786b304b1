//! Credentials of this server's own, from the command line to their end: issued, used, narrowed, expired, and under other keys.

mod forged;
mod revoked;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use countersign_testbed::Postgres;
use serde_json::{Value, json};

use crate::{fleet, world::*};

const TABLES: &str =
    "[identity]\nresource = \"http://localhost/mcp\"\n[identity.credentials]\nmax_ttl = \"15m\"\n";
const QUERY: &str = "SELECT 41 + 1";

fn world() -> World {
    World::new(Shape { extra: TABLES.into(), ..Shape::default() })
}

/// The same with its state where a second server may use it.
fn shared() -> (Postgres, World) {
    let cluster = Postgres::start();
    fleet::init(&cluster);
    let world = fleet::unlimited(&cluster, TABLES);
    (cluster, world)
}

/// A credential: its text and its id.
struct Given {
    token: String,
    id: String,
}

fn issue(world: &World, more: &[&str]) -> Given {
    let fixed = ["token", "issue", "--for", "helper", "--tenant", "acme", "--role", "operator"];
    let rest = ["--scopes", "shop:read,shop:write", "--purpose", "ticket 4711", "--json"];
    given(&world.command(&[&fixed[..], &rest, more].concat()))
}

fn given(text: &str) -> Given {
    let made: Value = serde_json::from_str(text).unwrap();
    let text = |name: &str| made[name].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    Given { token: text("token"), id: text("id") }
}

fn status(port: u16, token: &str) -> u16 {
    Client::new(port, token).modern("tools/list", json!({})).status
}

/// One request to another path than `/mcp`: status and body.
fn http(port: u16, head: &str, token: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (authorization, length) = (format!("Authorization: Bearer {token}\r\n"), body.len());
    let authorization = if token.is_empty() { "" } else { &authorization };
    let request = format!(
        "{head} HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.to_ascii_lowercase().contains("cache-control: no-store"), "{head}");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

fn narrow(port: u16, token: &str, body: Value) -> (u16, Value) {
    http(port, "POST /credentials/narrow", token, &body.to_string())
}

fn within_two_seconds(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(2), "{what}: not within two seconds");
        thread::sleep(Duration::from_millis(25));
    }
}

/// Waits until the record holds a text; counted events are written every few seconds.
fn recorded(world: &World, text: &str) {
    let begun = Instant::now();
    while !world.try_command(&["audit", "search", text, "--json"]).status.success() {
        assert!(begun.elapsed() < Duration::from_secs(15), "`{text}` is not on record");
        thread::sleep(Duration::from_millis(200));
    }
}

/// A second process on the same state, on a port of its own.
fn second(world: &World) -> (Server, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = std::fs::read_to_string(world.config()).unwrap();
    let path = world.dir.path().join("second.toml");
    std::fs::write(&path, config.replace(&world.port.to_string(), &port.to_string())).unwrap();
    let child = Command::new(BINARY)
        .args(["serve", "--config"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server { child };
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the second server does not start");
        thread::sleep(Duration::from_millis(20));
    }
    (server, port)
}

/// All that the server wrote about itself and its calls.
fn written(world: &World) -> String {
    let mut files: Vec<PathBuf> = vec![world.dir.path().join("serve.log")];
    let mut pending = vec![world.audit(), world.dir.path().join("state")];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { pending.push(path) } else { files.push(path) }
        }
    }
    // A journal may have gone since it was listed.
    let read = |path: &PathBuf| match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => panic!("{}: {error}", path.display()),
    };
    files.iter().map(read).collect()
}

#[test]
fn issued_for_one_tool_it_is_good_for_no_other_and_seen_by_nobody() {
    let world = world();
    let _server = world.serve();
    let given = issue(&world, &["--tools", "query_shop", "--run", "ticket", "--ttl", "5m"]);
    let mut agent = world.client(&given.token);
    assert!(text_of(&agent.query(QUERY)).contains("42"));
    let names = |client: &mut Client| {
        let listed = client.modern("tools/list", json!({})).json();
        let tools = listed["result"]["tools"].as_array().unwrap().clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&mut agent), ["query_shop"]);
    let others = names(&mut world.client(&world.ann));
    let other = others.iter().find(|name| *name != "query_shop").expect("ann sees more");
    let call = |name: &str| {
        let mut agent = world.client(&given.token);
        agent.modern("tools/call", json!({"name": name, "arguments": {}})).json()["error"].clone()
    };
    assert_eq!(call(other), call("no_such_tool"), "a tool outside the credential is as unknown as none");

    let listed = world.command(&["token", "list"]);
    for shown in [&given.id, "helper@acme", "shop:read,shop:write", "query_shop", "ticket 4711", "active"] {
        assert!(listed.contains(shown), "`{shown}` is not in {listed}");
    }
    let programs = world.command(&["token", "list", "--json"]);
    let row: Value = serde_json::from_str::<Value>(&programs).unwrap()[0].clone();
    assert_eq!((&row["run"], &row["state"]), (&json!("acme/helper/ticket"), &json!("active")));
    let record = world.command(&["audit", "search", "--tool", "query_shop", "--json"]);
    assert!(record.contains("acme/helper/ticket") && record.contains(&given.id), "{record}");
    assert!(world.command(&["audit", "search", "credential-issued", "--json"]).contains("ticket 4711"));

    let everything = format!("{listed}{programs}{}", written(&world));
    for part in given.token.split('.').skip(1) {
        assert!(!everything.contains(part), "a part of the credential was written somewhere");
    }
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(world.dir.path().join("state/credentials.json")), 0o600);
}

#[test]
fn a_credential_in_a_file_is_private_and_not_shown() {
    let world = world();
    let path = world.dir.path().join("agent.token");
    let file = path.to_str().unwrap();
    let fixed = ["token", "issue", "--for", "helper", "--tenant", "acme", "--scopes", "a", "--purpose", "p"];
    let made = world.try_command(&[&fixed[..], &["--out", file]].concat());
    assert!(made.status.success() && made.stdout.is_empty(), "{made:?}");
    let token = std::fs::read_to_string(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(token.trim().split('.').count(), 3);
    assert!(!String::from_utf8_lossy(&made.stderr).contains(token.trim()));
    let again = world.try_command(&[&fixed[..], &["--out", file]].concat());
    assert_eq!(again.status.code(), Some(4), "a file that is there is not overwritten");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), token);
    let shown = world.try_command(&fixed);
    assert_eq!(String::from_utf8(shown.stdout).unwrap().trim().split('.').count(), 3);
    assert!(String::from_utf8_lossy(&shown.stderr).contains("It is shown this once."));
}

#[test]
fn what_cannot_be_issued_says_why() {
    let world = world();
    let refused = |more: &[&str]| {
        let fixed = ["token", "issue", "--for", "helper", "--tenant", "acme", "--purpose", "p"];
        let ran = world.try_command(&[&fixed[..], more].concat());
        assert_eq!(ran.status.code(), Some(2), "{more:?}");
        String::from_utf8(ran.stderr).unwrap()
    };
    assert!(refused(&["--scopes", "*"]).contains("there is no scope for everything"));
    assert!(refused(&["--scopes", "shop:*"]).contains("there is no scope for everything"));
    assert!(refused(&[]).contains("--scopes"));
    let long = refused(&["--scopes", "a", "--ttl", "16m"]);
    assert!(long.contains("from 1 second to 900 seconds, as `identity.credentials.max_ttl` says"), "{long}");
    assert!(refused(&["--scopes", "a", "--tools", "*"]).contains("a list of tools"));

    let off = World::new(Shape::default());
    let _server = off.serve();
    let ran = off.try_command(&["token", "list"]);
    assert_eq!(ran.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("`[identity.credentials]`"));
    assert_eq!(http(off.port, "GET /.well-known/jwks.json", "", "").0, 404);
    assert_eq!(narrow(off.port, &off.ann, json!({})).0, 404);
    let elsewhere = issue(&world, &[]);
    assert_eq!(status(off.port, &elsewhere.token), 401, "off unless it is turned on");
}

#[test]
fn a_credential_ends_by_itself() {
    let world = world();
    let _server = world.serve();
    let given = issue(&world, &["--ttl", "3s"]);
    let issued = Instant::now();
    assert_eq!(status(world.port, &given.token), 200);
    while status(world.port, &given.token) == 200 {
        assert!(issued.elapsed() < Duration::from_secs(5), "it lives on");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(status(world.port, &given.token), 401);
    recorded(&world, "token-expired");
    assert!(!world.command(&["token", "list"]).contains(&given.id), "it is swept from the list");
}

#[test]
fn a_holder_makes_it_less_and_never_more() {
    let world = world();
    let _server = world.serve();
    let given = issue(&world, &["--tools", "query_shop,write_shop", "--ttl", "5m"]);
    let ask = |body: Value| {
        let (code, answer) = narrow(world.port, &given.token, body);
        (code, answer["error"]["message"].as_str().unwrap_or_default().to_owned())
    };
    let (code, less) = narrow(world.port, &given.token, json!({"tools": ["query_shop"], "ttl": 60}));
    assert_eq!(
        (code, &less["token_type"], &less["expires_in"]),
        (200, &json!("Bearer"), &json!(60)),
        "{less}"
    );
    let token = less["access_token"].as_str().unwrap();
    let mut agent = world.client(token);
    assert!(text_of(&agent.query(QUERY)).contains("42"));
    let wider = narrow(world.port, token, json!({"tools": ["write_shop"]}));
    assert_eq!(wider.0, 403, "what was taken away does not come back: {}", wider.1);

    let never = "a credential can be narrowed, never widened: ";
    assert_eq!(
        ask(json!({"scopes": ["shop:admin"]})),
        (403, format!("{never}it does not have the scope `shop:admin`"))
    );
    assert_eq!(
        ask(json!({"tools": ["run_python"]})),
        (403, format!("{never}it does not have the tool `run_python`"))
    );
    let (code, message) = ask(json!({"ttl": 301}));
    assert!(code == 403 && message.starts_with(never) && message.ends_with("seconds"), "{code} {message}");
    assert_eq!(ask(json!({"ttl": "60"})), (400, "`ttl` must be a whole number of seconds".into()));
    assert_eq!(ask(json!({"scopes": "shop:read"})), (400, "`scopes` must be a list of texts".into()));
    assert_eq!(ask(json!({"roles": ["admin"]})).0, 400);
    assert_eq!(ask(json!({"scopes": ["*"]})).0, 400);
    assert_eq!(ask(json!([])).0, 400);
    let key = narrow(world.port, &world.ann, json!({}));
    assert_eq!(key.0, 403, "an API key is no credential: {}", key.1);
    assert_eq!(narrow(world.port, "", json!({})).0, 401);
    assert_eq!(http(world.port, "GET /credentials/narrow", &given.token, "").0, 405);

    let mut command = Command::new(BINARY);
    command.args(["token", "narrow", "--scopes", "shop:read", "--ttl", "1m", "--json", "--config"]);
    let mut child = command.arg(world.config()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", given.token).unwrap();
    let output = child.wait_with_output().unwrap();
    let by_command: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&by_command["scopes"], &by_command["narrowed_from"]),
        (&json!(["shop:read"]), &json!([given.id]))
    );
    assert_eq!(status(world.port, by_command["token"].as_str().unwrap()), 200);

    let record = world.command(&["audit", "search", "credential-narrowed", "--json"]);
    assert!(record.contains(less["id"].as_str().unwrap()) && record.contains(&given.id), "{record}");
    recorded(&world, "credential-not-narrowed");
    assert!(!written(&world).contains(token.rsplit('.').next().unwrap()));
}

fn kids(world: &World) -> Vec<String> {
    let (code, keys) = http(world.port, "GET /.well-known/jwks.json", "", "");
    assert_eq!(code, 200);
    assert!(!keys.to_string().contains("\"d\""), "public keys alone");
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn keys_rotate_under_running_servers() {
    let world = world();
    let _server = world.serve();
    assert!(kids(&world).is_empty());
    let old = issue(&world, &["--ttl", "6s"]);
    let long = issue(&world, &[]);
    let issued = Instant::now();
    assert_eq!(status(world.port, &old.token), 200, "a key that was made a moment ago is known");
    world.command(&["token", "rotate"]);
    let new = issue(&world, &[]);
    assert_eq!(status(world.port, &new.token), 200);
    within_two_seconds("both keys are published", || kids(&world).len() == 2);
    let printed: Value = serde_json::from_str(&world.command(&["token", "jwks"])).unwrap();
    assert_eq!(printed["keys"].as_array().unwrap().len(), 2);
    if issued.elapsed() < Duration::from_secs(5) {
        assert_eq!(status(world.port, &old.token), 200, "what the old key signed goes on");
    }
    assert_eq!(status(world.port, &long.token), 200, "what the old key signed goes on");
    thread::sleep(Duration::from_secs(7).saturating_sub(issued.elapsed()));
    assert_eq!(status(world.port, &old.token), 401, "until it ends");
    world.command(&["token", "rotate", "--at-once"]);
    within_two_seconds("older keys are refused", || {
        [&long, &new].iter().all(|one| status(world.port, &one.token) == 401)
    });
    assert_eq!(status(world.port, &issue(&world, &[]).token), 200);
    within_two_seconds("one key is published", || kids(&world).len() == 1);
    recorded(&world, "token-unknown-key");
    recorded(&world, "credential-key-rotated");
}
