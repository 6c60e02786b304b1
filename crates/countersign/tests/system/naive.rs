//! The refusals of the corpus of commands, each shown to matter: two peers without guards take the same request, in a place where it may do
//! harm, and then Countersign refuses it. One peer puts the words into a line for a shell, the other executes them as they are.

use std::{fs, path::Path, process::Command};

use serde_json::{Map, Value, json};

const SCRIPT: &str = include_str!("naive.sh");

/// What must be seen of a peer's answer, by row. Of all others, that the program got the words.
const SEEN: &[(&str, &str)] = &[
    ("cmd-005", "first"),
    ("cmd-007", RAN),
    ("cmd-008", RAN),
    ("cmd-013", "src"),
    ("cmd-015", "src"),
    ("cmd-016", "src"),
    ("cmd-020", RAN),
    ("cmd-026", "passed"),
    ("cmd-032", RAN),
    ("cmd-044", "../x"),
    ("cmd-046", "/:\n"),
    ("cmd-048", "\u{1b}]8;;file:"),
    ("cmd-051", RAN),
    ("cmd-090", RAN),
    ("cmd-103", "evil"),
    ("cmd-104", "pytest.ini"),
    ("cmd-105", "rootdir: /\n"),
    ("cmd-109", "EFFECT: a directory was deleted"),
    ("cmd-110", WROTE),
    ("cmd-112", WROTE),
    ("cmd-123", RAN),
    ("cmd-129", RAN),
    ("cmd-130", RAN),
    ("cmd-132", RAN),
    ("cmd-133", RAN),
    ("cmd-134", RAN),
    ("cmd-140", WROTE),
    ("cmd-141", RAN),
    ("cmd-144", "evil"),
    ("cmd-145", RAN),
    ("cmd-149", "passwd"),
];
const RAN: &str = "EFFECT: a program of the attacker ran";
const WROTE: &str = "EFFECT: a file was written";

/// Rows that no peer can take: a NUL ends every word that a process is given, and an empty line does nothing.
const NOTHING: &[&str] = &["cmd-014", "cmd-030", "cmd-056"];

/// What is said when no program was started.
const NOT_STARTED: &[&str] =
    &["command not found", "syntax error", "No such file or directory\nenv:", "Permission denied"];

#[test]
fn every_refused_command_succeeds_with_a_naive_peer() {
    let world = super::commands::world_with("", |repo| {
        let test = "def test_home(tmp_path):\n    assert tmp_path.exists()\n";
        fs::write(repo.join("tests/test_home.py"), test).unwrap();
    });
    let script = world.dir.path().join("naive.sh");
    fs::write(&script, SCRIPT).unwrap();
    library(&world.dir.path().join("e.so"));
    let repo = world.dir.path().join("repo");
    let _server = world.serve();
    let (mut effects, mut failed) = (0, Vec::new());
    for line in super::commands::CORPUS.lines() {
        let case: Map<String, Value> = serde_json::from_str(line).unwrap();
        let id = case["id"].as_str().unwrap().to_owned();
        if case["expect"] != "deny" || NOTHING.contains(&id.as_str()) {
            continue;
        }
        let request = Request::of(&case);
        let (shell, plain) = (request.shell(), request.plain());
        let peer = |line: &str, words: &[String]| {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--mount-proc", "sh"]);
            command.arg(&script).arg(&repo).arg(line).args(words);
            command.env("NAIVE_ENV", &request.environment).env("NAIVE_CWD", &request.cwd);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{id}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let said = [peer(&shell, &[]), peer("", &plain)];
        let succeeded = match SEEN.iter().find(|(row, _)| *row == id) {
            Some((_, evidence)) => {
                effects += 1;
                said.iter().any(|said| said.contains(evidence))
            }
            None => said.iter().any(|said| !NOT_STARTED.iter().any(|text| said.contains(text))),
        };
        if !succeeded {
            failed.push(format!("{id}: {}", said.join("\n---\n")));
        }
        let answer = world
            .client(&world.ann)
            .modern(
                "tools/call",
                json!({"name": "run_command", "arguments": super::commands::arguments(case)}),
            )
            .json();
        let refused = !answer["error"].is_null() || answer["result"]["isError"] == true;
        assert!(refused && answer["result"]["structuredContent"].is_null(), "{id}: {answer}");
    }
    assert!(failed.is_empty(), "these prove nothing:\n{}", failed.join("\n\n"));
    assert_eq!(effects, SEEN.len(), "every row of the table is in the corpus");
}

/// A library that leaves a mark in every program that loads it.
fn library(to: &Path) {
    let source = to.with_extension("c");
    let code = "#include <fcntl.h>\n__attribute__((constructor)) void mark(void) { open(\"/srv/mark\", O_CREAT, 0644); }\n";
    fs::write(&source, code).unwrap();
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(to).arg(&source).status().unwrap();
    assert!(made.success());
}

/// A row as a peer without guards understands it: it takes whatever is there.
struct Request {
    command: String,
    words: Vec<String>,
    environment: String,
    cwd: String,
}

impl Request {
    fn of(case: &Map<String, Value>) -> Request {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let variables = case.get("env").and_then(Value::as_object).into_iter().flatten();
        Request {
            command: text(&case["command"]),
            words: case["args"].as_array().unwrap().iter().map(text).collect(),
            environment: variables.map(|(name, value)| format!("{name}={} ", text(value))).collect(),
            cwd: case.get("cwd").map(text).unwrap_or_default(),
        }
    }

    fn shell(&self) -> String {
        format!("{} {}", self.command, self.words.join(" "))
    }

    fn plain(&self) -> Vec<String> {
        self.command.split_whitespace().map(str::to_owned).chain(self.words.iter().cloned()).collect()
    }
}
