//! Python and commands in containers, through the real binary and a real Podman.
#![cfg(feature = "container")]

use std::{
    fs,
    time::{Duration, Instant},
};

use countersign_testbed::Podman;
use serde_json::json;

use crate::world::*;

const POLICY: &str = r#"
@id("tests-call-programs")
permit (principal in Role::"operator", action in Action::"call", resource)
when { ["run_python", "run_command"].contains(resource.name) };
@id("tests-run-python")
permit (principal in Role::"operator", action == Action::"execute", resource == Interpreter::"python");
@id("tests-run-commands")
permit (principal in Role::"operator", action == Action::"execute", resource is Command);
@id("tests-read-the-folder")
permit (principal in Role::"operator", action == Action::"read", resource is File) when { resource.root == "notes" };
"#;

const PROGRAMS: &str = r#"
[python]
imports = ["os", "socket"]
timeout = "60s"
[files.notes]
root = "notes"
[commands.show]
program = "/usr/bin/cat"
description = "Shows a file"
argv = ["--", "{path}"]
root = "notes"
timeout = "60s"
[commands.show.slots.path]
kind = "path"
required = true
[commands.touch]
program = "/usr/bin/touch"
description = "Makes a file"
argv = ["made"]
root = "notes"
timeout = "60s"
"#;

fn world(sandbox: &str) -> World {
    let extra = format!("[sandbox]\nengine = \"container\"\n{sandbox}\n{PROGRAMS}");
    let world = World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        fs::create_dir(dir.join("notes")).unwrap();
        fs::write(dir.join("notes/todo"), "water the plants\n").unwrap();
    });
    fs::write(world.dir.path().join("policies/programs.cedar"), POLICY).unwrap();
    world
}

/// One test, since a server's start tests the container engine.
#[test]
fn programs_run_in_containers_and_a_killed_server_leaves_none() {
    let podman = Podman::start("system");
    let world = world(&format!("socket = {:?}\nimage = {:?}", podman.socket(), podman.image()));
    let doctor = world.try_command(&["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.contains("grade reduced: a container of Podman"), "{said}");
    assert!(said.contains("shares the users of the host"), "{said}");
    assert!(said.contains("in the image, at /usr/bin/python3"), "{said}");

    let server = world.serve();
    // Planning starts a container too, for which a machine that runs all other tests may take longer than a call has.
    let call = |tool: &str, arguments: serde_json::Value| {
        let mut calls = (0..10).map(|_| world.client(&world.ann).call(tool, arguments.clone()));
        let late = |result: &serde_json::Value| result["_meta"]["countersign/code"] == "deadline";
        calls.find(|call| !late(call)).expect("a call that is not late")
    };
    let mut client = world.client(&world.ann);
    let listed = client.modern("tools/list", json!({})).json().to_string();
    assert!(listed.contains("sandbox (grade: reduced, container)"), "{listed}");
    let code = "import os, socket\nprint(os.getuid(), os.path.exists('/usr/bin/ls'), stdin.read())\n\
                write_text('out.txt', read_text('in.txt') + '!')\n\
                try:\n    socket.socket()\nexcept OSError as e:\n    print('no socket', e.errno)";
    let files = json!([{"name": "in.txt", "text": "given"}]);
    let result = call("run_python", json!({"code": code, "files": files, "stdin": "hello"}));
    let answer = &result["structuredContent"];
    assert_eq!(answer["stdout"], "65534 False hello\nno socket 1\n", "{result}");
    assert_eq!(answer["files"], json!([{"name": "out.txt", "size": 6, "text": "given!"}]));
    let result = call("run_python", json!({"code": "while True:\n    pass", "limits": {"seconds": 2}}));
    assert_eq!(result["structuredContent"]["status"], "timed-out", "{result}");
    let result = call("run_command", json!({"command": "show", "arguments": ["todo"]}));
    assert_eq!(result["structuredContent"]["stdout"], "water the plants\n", "{result}");
    let result = call("run_command", json!({"command": "touch"}));
    assert_ne!(result["structuredContent"]["exit_code"], 0, "its root can only be read: {result}");
    let found = world.command(&["audit", "search", "--json", "-n", "100"]);
    assert!(found.contains("reduced, container") && found.contains("a container of Podman"), "{found}");

    let mut client = world.client(&world.ann);
    let endless = json!({"name": "run_python", "arguments": {"code": "while True:\n    pass"}});
    client.send_modern(1, "tools/call", endless).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while podman.containers().is_empty() {
        assert!(Instant::now() < deadline, "the run does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    server.kill();
    while !podman.containers().is_empty() {
        assert!(Instant::now() < deadline, "the container lives on: {:?}", podman.containers());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn without_the_engine_or_its_image_the_tools_are_absent() {
    let world = world("socket = \"/nonexistent.socket\"\nimage = \"python\"");
    let doctor = world.try_command(&["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(
        said.contains("programs cannot be contained here") && said.contains("/nonexistent.socket"),
        "{said}"
    );
    let _server = world.serve();
    let listed = world.client(&world.ann).modern("tools/list", json!({})).json().to_string();
    assert!(!listed.contains("run_python") && !listed.contains("run_command"), "{listed}");
}
