//! `run_python` through the real binary: what it computes, and that nothing of the machine can be reached. Each attack first works with
//! the bare interpreter.

use std::{
    net::TcpListener,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::world::*;

const PYTHON: &str = "/usr/bin/python3";

/// Callers of these tests may run Python; the default policies let nobody.
const POLICY: &str = r#"
@id("tests-call-python")
permit (principal in Role::"operator", action in Action::"call", resource) when { resource.name == "run_python" };
@id("tests-run-python")
permit (principal in Role::"operator", action == Action::"execute", resource == Interpreter::"python");
"#;

fn world(settings: &str) -> World {
    let world = World::new(Shape { extra: format!("[python]\n{settings}\n"), ..Shape::default() });
    std::fs::write(world.dir.path().join("policies/python.cedar"), POLICY).unwrap();
    world
}

/// An operator who opened the first wall wide, so that tests meet the jail.
const OPEN: &str = r#"imports = ["os", "sys", "socket", "subprocess", "signal", "threading", "ctypes", "shutil", "multiprocessing", "io", "resource"]"#;

fn bare(dir: &Path, code: &str) -> std::process::Output {
    Command::new(PYTHON)
        .args(["-I", "-B", "-c", code])
        .current_dir(dir)
        .env("SECRET", "hunter22")
        .output()
        .unwrap()
}

#[test]
fn python_computes_and_hands_back_files() {
    let world = world("");
    let _server = world.serve();
    let result = world.client(&world.ann).call(
        "run_python",
        json!({
            "code": "import csv, json\n\
                     rows = list(csv.DictReader(read_text('in.csv').splitlines()))\n\
                     print(json.dumps({'sum': sum(int(row['n']) for row in rows), 'stdin': stdin.read()}))\n\
                     write_text('out.txt', 'd\u{e9}j\u{e0}')\nwrite_bytes('out.bin', bytes([0, 255]))",
            "files": [{"name": "in.csv", "text": "n\n1\n41\n"}],
            "stdin": "hello"
        }),
    );
    let answer = &result["structuredContent"];
    assert_eq!(answer["status"], "exited", "{result}");
    assert_eq!(answer["exit_code"], 0, "{result}");
    assert_eq!(answer["stdout"], "{\"sum\": 42, \"stdin\": \"hello\"}\n");
    assert_eq!(
        answer["files"],
        json!([
            {"name": "out.bin", "size": 2, "base64": "AP8="},
            {"name": "out.txt", "size": 6, "text": "d\u{e9}j\u{e0}"}
        ])
    );
    // Nothing stays from one call to the next.
    let result = world.client(&world.ann).call("run_python", json!({"code": "print(read_text('out.txt'))"}));
    assert_eq!(result["structuredContent"]["exit_code"], 1, "{result}");
    let found = world.command(&["audit", "search", "--json", "-n", "100"]);
    assert!(found.contains("csv,json"), "the record holds what was imported: {found}");
    assert!(!found.contains("hello") && !found.contains("DictReader"), "and neither code nor data");
}

#[test]
fn refused_code_does_not_run_and_the_caller_learns_why() {
    let world = world("");
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    let mut refused = |arguments: Value| {
        let result = client.call("run_python", arguments);
        assert_eq!(result["isError"], true, "{result}");
        text_of(&result)
    };
    let text = refused(json!({"code": "x = 1\nimport os"}));
    assert!(text.contains("`/code`: line 2 imports `os`"), "{text}");
    assert!(refused(json!({"code": "print(().__class__)"})).contains("line 1 reaches for `__class__`"));
    assert!(refused(json!({"code": "def f(:"})).contains("not valid Python"));
    assert!(refused(json!({"code": "-".repeat(60_000)})).contains("invalid argument `/code`"));
    assert!(refused(json!({"code": "x".repeat(70_000)})).contains("/code"));
    assert!(refused(json!({"code": "1", "env": {"LD_PRELOAD": "/tmp/x"}})).contains("does not know"));
    assert!(refused(json!({"code": "1", "limits": {"seconds": 31}})).contains("/limits/seconds"));
    assert!(refused(json!({"code": "1", "files": [{"name": "../x", "text": ""}]})).contains("/files/0/name"));
}

#[test]
fn nobody_runs_python_unless_a_policy_says_so() {
    let world = World::new(Shape { extra: "[python]\n".into(), ..Shape::default() });
    let _server = world.serve();
    let answer = world
        .client(&world.ann)
        .modern("tools/call", json!({"name": "run_python", "arguments": {"code": "print(6 * 7)"}}))
        .json();
    let text = answer.to_string();
    assert!(!text.contains("42"), "{answer}");
    assert!(text.contains("policy does not permit") || text.contains("unknown tool"), "{answer}");
}

#[test]
fn nothing_of_the_machine_can_be_reached() {
    let world = world(OPEN);
    let server = world.serve();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("canary"), "tweet").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (dir, port, pid) =
        (outside.path().display().to_string(), listener.local_addr().unwrap().port(), server.child.id());
    // Each prints `reached` when it works.
    let attacks = [
        format!("import os\nprint('reached' if os.listdir({dir:?}) else '')"),
        format!("import io\nprint('reached', io.open({dir:?} + '/canary').read())"),
        format!("import io\nio.open({dir:?} + '/written', 'w').write('x')\nprint('reached')"),
        format!("import io, os\nos.symlink({dir:?} + '/canary', 'link')\nprint('reached', io.open('link').read())"),
        format!("import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)\nprint('reached')"),
        "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))\nprint('reached')".to_owned(),
        "import socket\nsocket.socket(socket.AF_UNIX).bind('s')\nprint('reached')".to_owned(),
        format!("import os\nos.kill({pid}, 0)\nprint('reached')"),
        format!("import io\nio.open('/proc/{pid}/environ').read()\nprint('reached')"),
        "import subprocess\nsubprocess.run(['/bin/sh', '-c', 'true'], check=True)\nprint('reached')".to_owned(),
        "import os\npid = os.fork()\nif pid == 0:\n    os._exit(0)\nos.waitpid(pid, 0)\nprint('reached')".to_owned(),
        "import os\nprint('reached' if 'SECRET' in os.environ or 'HOSTNAME' in os.environ else '')".to_owned(),
        "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0\nprint('reached')".to_owned(),
    ];
    for attack in attacks.map(|attack| format!("print('running')\n{attack}")) {
        // Outside, in a folder of its own and as a child of these tests, it works.
        let scratch = tempfile::tempdir().unwrap();
        let output = bare(scratch.path(), &attack);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains("reached"),
            "works unguarded: {attack}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let _ = std::fs::remove_file(outside.path().join("written"));
        let result = world.client(&world.ann).call("run_python", json!({"code": attack}));
        let answer = &result["structuredContent"];
        let said = answer["stdout"].as_str().unwrap_or_default();
        assert!(said.contains("running") && !said.contains("reached"), "{attack}: {result}");
        assert!(!outside.path().join("written").exists(), "{attack}");
    }
}

#[test]
fn limits_end_a_run_and_leave_nothing() {
    let world = world(&format!("{OPEN}\nmemory = \"96 MiB\"\nfile_size = \"1 MiB\"\noutput = \"16 KiB\""));
    let server = world.serve();
    let mut client = world.client(&world.ann);
    let before = server.workers();
    let mut run = |code: &str| {
        let started = Instant::now();
        let result = client.call("run_python", json!({"code": code, "limits": {"seconds": 2}}));
        (result["structuredContent"].clone(), started.elapsed())
    };
    let (answer, took) = run("while True:\n    pass");
    assert_eq!(answer["status"], "timed-out", "{answer}");
    assert_eq!(answer["reason"], "it was killed at the end of its time, 2000 ms");
    assert!(took < Duration::from_secs(8), "{took:?}");
    // Python, as the first process of its namespace, ignores SIGTERM; so does this by intent.
    let (answer, _) = run(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('started')\ntime.sleep(60)",
    );
    assert_eq!(answer["status"], "timed-out", "{answer}");
    assert_eq!(answer["stdout"], "started\n", "what it said before is kept: {answer}");
    let (answer, _) = run("x = []\nwhile True:\n    x.append(bytearray(1 << 20))");
    let held =
        answer["status"] == "out-of-memory" || answer["stderr"].as_str().unwrap().contains("MemoryError");
    assert!(held, "{answer}");
    let (answer, _) = run("for i in range(3000):\n    print(i, 'x' * 20)");
    assert_eq!(answer["truncated"], true, "{answer}");
    let text = answer["stdout"].as_str().unwrap();
    assert!(
        text.starts_with("0 x") && text.trim_end().ends_with("x") && text.contains("2999"),
        "head and tail"
    );
    assert!(text.contains("bytes left out") && text.len() < 20_000, "{}", text.len());
    let (answer, _) = run("while True:\n    print('x' * 1000)");
    assert!(answer["status"] == "too-much-output" || answer["status"] == "timed-out", "{answer}");
    let (answer, _) = run("write_bytes('zeros', bytes(3))");
    assert_eq!(answer["files"], json!([{"name": "zeros", "size": 3, "base64": "AAAA"}]), "no text: {answer}");
    let (answer, _) = run("write_bytes('big', bytes(2 << 20))");
    assert_ne!(answer["exit_code"], 0, "{answer}");
    let (answer, _) = run("raise SystemExit(3)");
    assert_eq!((&answer["status"], &answer["exit_code"]), (&json!("exited"), &json!(3)), "{answer}");
    let (answer, _) = run("import os\nos.kill(os.getpid(), 11)");
    assert_ne!(answer["exit_code"], 0, "{answer}");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.workers(), before, "no process stays");
}

#[test]
fn cancelling_kills_the_run() {
    let world = world("");
    let server = world.serve();
    let mut client = world.client(&world.ann);
    let before = server.workers();
    let endless = json!({"name": "run_python", "arguments": {"code": "while True:\n    pass"}});
    client.send_modern(1, "tools/call", endless).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    std::thread::sleep(Duration::from_millis(1500));
    while server.workers() == before {
        assert!(Instant::now() < deadline, "the run does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    client.close();
    let closed = Instant::now();
    while server.workers() != before {
        assert!(closed.elapsed() < Duration::from_secs(2), "the run goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_interpreter_that_is_none_leaves_the_tool_out() {
    let dir = tempfile::tempdir().unwrap();
    let shim = dir.path().join("python3");
    std::fs::write(&shim, "#!/bin/sh\nexec /usr/bin/python3 \"$@\"\n").unwrap();
    std::fs::set_permissions(&shim, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let world =
        World::new(Shape { extra: format!("[python]\ninterpreter = {shim:?}\n"), ..Shape::default() });
    let doctor = world.try_command(&["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.contains("`run_python` is absent") && said.contains("is a script"), "{said}");
    let _server = world.serve();
    let listed = world.client(&world.ann).modern("tools/list", json!({})).json().to_string();
    assert!(listed.contains("query_shop") && !listed.contains("run_python"), "{listed}");
}
