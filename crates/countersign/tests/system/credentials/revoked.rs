//! What ends a credential before its time: in every process, with its streams and with what was narrowed from it, and with nothing else.

use std::io::{BufRead, BufReader};

use super::*;

/// Opens a stream of notifications and says, once asked, whether it has ended.
fn stream(port: u16, token: &str) -> impl FnMut() -> bool {
    let mut client = Client::new(port, token);
    let _ =
        client.send_modern(7, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}));
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (seen, opened) = (std::sync::Arc::clone(&ended), std::sync::mpsc::channel());
    thread::spawn(move || {
        let mut lines = BufReader::new(client.into_stream()).lines();
        let head = lines.next().unwrap().unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        // The acknowledgement: the stream is open.
        lines.by_ref().find(|line| line.as_ref().is_ok_and(|line| line.starts_with("data: ")));
        opened.0.send(()).unwrap();
        while lines.next().is_some_and(|line| line.is_ok_and(|line| line != "0")) {}
        seen.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    opened.1.recv_timeout(Duration::from_secs(10)).expect("the stream does not open");
    move || ended.load(std::sync::atomic::Ordering::SeqCst)
}

#[test]
fn what_is_revoked_ends_in_every_process_with_its_streams_and_what_was_narrowed() {
    let (_cluster, world) = shared();
    let _first = world.serve();
    let (_second, port) = second(&world);
    let run = ["--run", "ticket"];
    let [credential, agent, bound] = [issue(&world, &[]), issue(&world, &[]), issue(&world, &run)];
    let (code, less) = narrow(port, &credential.token, json!({"scopes": ["shop:read"]}));
    assert_eq!(code, 200, "{less}");
    let child = less["access_token"].as_str().unwrap().to_owned();
    let everywhere = |token: &str| [status(world.port, token), status(port, token)];
    for token in [&credential.token, &child, &agent.token, &bound.token] {
        assert_eq!(everywhere(token), [200, 200]);
    }

    let (mut own, mut narrowed, mut other) =
        (stream(port, &credential.token), stream(world.port, &child), stream(port, &agent.token));
    world.command(&["token", "revoke", &credential.id, "--reason", "ticket closed"]);
    within_two_seconds("the credential", || everywhere(&credential.token) == [401, 401]);
    within_two_seconds("what was narrowed from it", || everywhere(&child) == [401, 401]);
    within_two_seconds("its stream", &mut own);
    within_two_seconds("the stream of what was narrowed", &mut narrowed);
    assert!(!other(), "another credential's stream goes on");
    assert_eq!(narrow(port, &credential.token, json!({})).0, 401, "what is revoked cannot be narrowed");
    let listed = world.command(&["token", "list"]);
    assert_eq!(listed.matches("revoked").count(), 2, "{listed}");

    let mut bound_stream = stream(port, &bound.token);
    world.command(&["token", "revoke", "--run", "acme/helper/ticket"]);
    within_two_seconds("the run", || everywhere(&bound.token) == [401, 401]);
    within_two_seconds("the stream of the run", &mut bound_stream);
    assert_eq!(everywhere(&agent.token), [200, 200]);
    world.command(&["token", "revoke", "--agent", "helper"]);
    within_two_seconds("the agent", || everywhere(&agent.token) == [401, 401]);
    within_two_seconds("the agent's stream", &mut other);
    assert_eq!(everywhere(&world.ann), [200, 200], "others go on");
    assert!(world.command(&["audit", "search", "ticket closed", "--json"]).contains("\"revoke\""));
}

/// A call in a session of the earlier protocol: `id` names it once it is open.
fn in_session(port: u16, token: &str, id: Option<&str>, method: &str, params: Value) -> Answer {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let session =
        id.map_or(String::new(), |id| format!("Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: {LEGACY}\r\n"));
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nConnection: close\r\n{session}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(&mut BufReader::new(stream)).unwrap()
}

/// Opens a session and calls a tool in it; the session's id, and its digest in the record.
fn session(world: &World, port: u16, token: &str) -> (String, String) {
    let hello =
        json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let opened = in_session(port, token, None, "initialize", hello);
    let id = opened.header("mcp-session-id").unwrap().to_owned();
    let call = json!({"name": "query_shop", "arguments": {"query": QUERY}});
    let answer = in_session(port, token, Some(&id), "tools/call", call);
    assert!(answer.body.contains("42"), "{answer:?}");
    let record = world.command(&["audit", "search", "--tool", "query_shop", "--json", "-n", "1000"]);
    let entries = record.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let last = entries.filter(|entry| entry["kind"] == "intent").max_by_key(|entry| entry["t"].as_u64());
    (id, last.unwrap()["from"]["session"].as_str().unwrap().to_owned())
}

#[test]
fn one_session_is_ended_and_its_credential_goes_on() {
    let (_cluster, world) = shared();
    let _first = world.serve();
    let (_second, port) = second(&world);
    let given = issue(&world, &[]);
    let ((one, digest), (other, _)) =
        (session(&world, port, &given.token), session(&world, world.port, &given.token));
    let works = |port: u16, id: &str| {
        let call = json!({"name": "query_shop", "arguments": {"query": QUERY}});
        in_session(port, &given.token, Some(id), "tools/call", call).body.contains("42")
    };
    assert!(works(port, &one) && works(world.port, &other));
    world.command(&["token", "revoke", "--session", &digest, "--reason", "a strange session"]);
    within_two_seconds("the session", || !works(port, &one));
    assert!(works(world.port, &other), "another session of the same credential goes on");
    assert_eq!([status(world.port, &given.token), status(port, &given.token)], [200, 200]);
    assert!(world.command(&["audit", "search", "a strange session", "--json"]).contains(&digest));
}

#[test]
fn the_agents_of_a_person_end_everywhere_and_the_person_goes_on() {
    let (_cluster, world) = shared();
    let _first = world.serve();
    let (_second, port) = second(&world);
    let [anns, bobs, nobodys] =
        [issue(&world, &["--owner", "ann"]), issue(&world, &["--owner", "bob"]), issue(&world, &[])];
    let everywhere = |token: &str| [status(world.port, token), status(port, token)];
    for token in [&anns.token, &bobs.token, &nobodys.token] {
        assert_eq!(everywhere(token), [200, 200]);
    }
    let mut open = stream(port, &anns.token);
    world.command(&["token", "revoke", "--owner", "ann"]);
    within_two_seconds("the agent of ann", || everywhere(&anns.token) == [401, 401]);
    within_two_seconds("its stream", &mut open);
    for token in [&bobs.token, &nobodys.token, &world.ann] {
        assert_eq!(everywhere(token), [200, 200], "others go on, and ann herself");
    }
    let anew = issue(&world, &["--owner", "ann"]);
    assert_eq!(everywhere(&anew.token), [401, 401], "nor does a new one help");
}

/// The claims of a credential name its issuer and itself as those of any token do.
#[test]
fn a_credential_is_revoked_by_issuer_and_jti_too() {
    let (_cluster, world) = shared();
    let _first = world.serve();
    let (_second, port) = second(&world);
    let [one, other] = [issue(&world, &[]), issue(&world, &[])];
    let everywhere = |token: &str| [status(world.port, token), status(port, token)];
    let (code, less) = narrow(port, &one.token, json!({}));
    assert_eq!(code, 200, "{less}");
    let narrowed = less["access_token"].as_str().unwrap();
    assert_eq!([everywhere(&one.token), everywhere(narrowed)], [[200, 200]; 2]);
    world.command(&["token", "revoke", "--token", "https://idp.example.com", &one.id]);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(everywhere(&one.token), [200, 200], "another issuer's token of that name");
    world.command(&["token", "revoke", "--token", "http://localhost/mcp", &one.id]);
    within_two_seconds("the credential", || everywhere(&one.token) == [401, 401]);
    within_two_seconds("what was narrowed from it", || everywhere(narrowed) == [401, 401]);
    assert_eq!(everywhere(&other.token), [200, 200]);
}
