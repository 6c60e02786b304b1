//! A unix socket: the kernel says who calls.

use std::{
    io::{BufReader, Write as _},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{tls::event, world::*};

/// A world that listens on `mcp.sock`, where the process's own user is `ada` if `known`.
fn world(known: bool) -> World {
    let world = World::new(Shape::default());
    let uid = std::fs::metadata(world.dir.path()).unwrap().uid();
    let text = std::fs::read_to_string(world.config()).unwrap();
    let listen = format!("listen = \"127.0.0.1:{}\"", world.port);
    let text = text.replace(&listen, "listen = \"unix:mcp.sock\"");
    let uid = if known { uid } else { uid + 1 };
    let user = format!("[identity.users.ada]\nuid = {uid}\ntenant = \"acme\"\nroles = [\"operator\"]\n");
    std::fs::write(world.config(), text + &user).unwrap();
    world
}

fn send(world: &World, authorization: &str, query: &str) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut stream = loop {
        match UnixStream::connect(world.dir.path().join("mcp.sock")) {
            Ok(stream) => break stream,
            Err(e) => assert!(Instant::now() < deadline, "{e}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let call = json!({"name": "query_shop", "arguments": {"query": query}});
    stream.write_all(request("localhost", authorization, "tools/call", call).as_bytes()).unwrap();
    read_answer(&mut BufReader::new(stream)).unwrap()
}

#[test]
fn the_user_at_the_other_end_needs_no_key() {
    let world = world(true);
    let server = world.start();
    let answer = send(&world, "", "SELECT 41 + 1");
    assert!(answer.status == 200 && answer.body.contains("42"), "{answer:?}");
    let uid = std::fs::metadata(world.dir.path()).unwrap().uid();
    let record = event(&world, "unix-peer");
    assert!(record.contains("\"ada\"") && record.contains(&format!("unix:{uid}")), "{record}");
    // A header decides alone: a wrong key is not mended by the user.
    assert_eq!(send(&world, "Bearer cs_wrong", "SELECT 1").status, 401);
    assert_eq!(send(&world, &format!("Bearer {}", world.ann), "SELECT 1").status, 200);
    server.stop();
    // What is left behind is no obstacle; a file of another kind is.
    let socket = world.dir.path().join("mcp.sock");
    let again = world.start();
    assert_eq!(send(&world, "", "SELECT 1").status, 200);
    again.kill();
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "somebody's file").unwrap();
    assert!(!world.try_command(&["serve"]).status.success());
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "somebody's file");
}

#[test]
fn a_user_who_is_not_listed_is_nobody() {
    let world = world(false);
    let _server = world.start();
    assert_eq!(send(&world, "", "SELECT 1").status, 401);
    event(&world, "user-unknown");
}
