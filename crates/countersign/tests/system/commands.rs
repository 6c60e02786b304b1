//! Commands through the real binary, with the configuration of `examples/commands` and real `ls`, `git` and `pytest`: the corpus, and a
//! repository that attacks whoever looks at it. Each attack first works without Countersign.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Map, Value, json};

use crate::{approvals::Office as _, world::*};

const EXAMPLE: &str = include_str!("../../../../examples/commands/countersign.toml");
const POLICY: &str = include_str!("../../../../examples/commands/commands.cedar");
pub const CORPUS: &str = include_str!("../../../../corpora/commands.jsonl");

/// Further commands that these tests need.
const MORE: &str = r#"
[files.rw]
root = "rw"
write = true

[commands.show]
program = "/usr/bin/cat"
description = "Shows files"
argv = ["--", "{paths}"]
root = "repo"
[commands.show.slots.paths]
kind = "path"
most = 4

[commands.touch]
program = "/usr/bin/touch"
description = "Makes a file"
argv = ["--", "{path}"]
root = "repo"
[commands.touch.slots.path]
kind = "path"

[commands.env]
program = "/usr/bin/env"
description = "Shows the environment"

[commands.format]
program = "/usr/bin/touch"
description = "Changes a file"
argv = ["--", "{path}"]
root = "rw"
write = true
[commands.format.slots.path]
kind = "path"
"#;

/// A world whose `repo` is a git repository with one commit; `prepare` makes it hostile.
fn world(prepare: impl FnOnce(&Path)) -> World {
    world_with(MORE, prepare)
}

pub fn world_with(more: &str, prepare: impl FnOnce(&Path)) -> World {
    let example = EXAMPLE.replace("version = 1\n", "");
    let world = World::new_with(Shape { extra: format!("{example}\n{more}"), ..Shape::default() }, |dir| {
        let repo = dir.join("repo");
        fs::create_dir_all(repo.join("src")).unwrap();
        fs::create_dir_all(repo.join("tests")).unwrap();
        fs::create_dir_all(dir.join("rw")).unwrap();
        fs::write(repo.join("src/main.py"), "print('hello')\n").unwrap();
        fs::write(repo.join("tests/test_sum.py"), "def test_sum():\n    assert 1 + 1 == 2\n").unwrap();
        // Also to the user that jailed programs are where these tests run as root.
        for open in ["repo", "repo/src", "rw"] {
            fs::set_permissions(dir.join(open), fs::Permissions::from_mode(0o777)).unwrap();
        }
        git(&repo, &["init", "--quiet", "--initial-branch=main"]);
        git(&repo, &["add", "."]);
        git(
            &repo,
            &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "-m", "first"],
        );
        prepare(&repo);
    });
    // Operators are analysts too.
    let policy = POLICY.replace("\"pytest\"]", "\"pytest\", \"show\", \"touch\", \"env\"]");
    fs::write(world.dir.path().join("policies/commands.cedar"), policy).unwrap();
    world
}

fn git(repo: &Path, args: &[&str]) -> Output {
    let output = Command::new("/usr/bin/git").args(args).current_dir(repo).env_clear().output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn run(client: &mut Client, command: &str, arguments: &[&str]) -> Value {
    client.call("run_command", json!({"command": command, "arguments": arguments}))
}

/// A script that leaves a mark at `mark` when it runs.
fn script(at: &Path, mark: &Path) {
    fs::write(at, format!("#!/bin/sh\ntouch {}\ncat 2>/dev/null\n", mark.display())).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The arguments of a call that asks for what a row of the corpus asks for.
pub fn arguments(case: Map<String, Value>) -> Map<String, Value> {
    let mut arguments = Map::new();
    for (key, value) in case {
        match key.as_str() {
            "id" | "expect" | "why" | "note" => {}
            "args" => drop(arguments.insert("arguments".into(), value)),
            _ => drop(arguments.insert(key, value)),
        }
    }
    arguments
}

#[test]
fn the_corpus_holds_for_whole_calls() {
    let world = world_with("", |_| {});
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    let (mut denied, mut allowed) = (0, 0);
    for line in CORPUS.lines() {
        let case: Map<String, Value> = serde_json::from_str(line).unwrap();
        let id = case["id"].as_str().unwrap().to_owned();
        let expect = case["expect"].as_str().unwrap().to_owned();
        if expect == "contain" {
            continue;
        }
        let call = json!({"name": "run_command", "arguments": arguments(case)});
        let answer = client.modern("tools/call", call).json();
        let result = &answer["result"];
        if expect == "allow" {
            allowed += 1;
            assert_eq!(result["structuredContent"]["status"], "exited", "{id}: {answer}");
        } else {
            denied += 1;
            // Refused before anything ran: by the envelope, the schema or the template.
            assert!(result["structuredContent"].is_null(), "{id}: {answer}");
            assert!(!answer["error"].is_null() || result["isError"] == true, "{id}: {answer}");
        }
    }
    assert!(denied > 60 && allowed >= 7, "{denied} denied, {allowed} allowed");
}

#[test]
fn commands_answer_what_they_answer() {
    let world = world(|repo| fs::write(repo.join("new.txt"), "x").unwrap());
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    let result = run(&mut client, "git status", &["--short"]);
    assert_eq!(result["structuredContent"]["stdout"], "?? new.txt\n", "{result}");
    let result = run(&mut client, "ls", &["-1", "src"]);
    assert_eq!(result["structuredContent"]["stdout"], "main.py\n", "{result}");
    let result = run(&mut client, "pytest", &["-q"]);
    assert!(result["structuredContent"]["stdout"].as_str().unwrap().contains("1 passed"), "{result}");
    let typed = client.call("run_pytest", json!({"flags": ["-q"], "maxfail": 1, "paths": ["tests"]}));
    assert!(typed["structuredContent"]["stdout"].as_str().unwrap().contains("1 passed"), "{typed}");
    let refused = client.call("run_pytest", json!({"maxfail": 1000}));
    assert!(text_of(&refused).contains("/maxfail"), "{refused}");
}

/// What a hostile repository does to whoever looks at it, and how it is made.
type Attack = (&'static str, fn(&Path, &Path));

fn fsmonitor(repo: &Path, mark: &Path) {
    script(&repo.join(".git/monitor.sh"), mark);
    let monitor = repo.join(".git/monitor.sh");
    git(repo, &["config", "core.fsmonitor", &monitor.display().to_string()]);
}

fn clean_filter(repo: &Path, mark: &Path) {
    script(&repo.join(".git/clean.sh"), mark);
    let filter = repo.join(".git/clean.sh");
    git(repo, &["config", "filter.e.clean", &filter.display().to_string()]);
    fs::write(repo.join(".gitattributes"), "* filter=e\n").unwrap();
    fs::write(repo.join("src/main.py"), "print('hallo')\n").unwrap();
}

#[test]
fn a_hostile_repository_runs_nothing_outside_of_the_jail() {
    let attacks: [Attack; 2] = [("core.fsmonitor", fsmonitor), ("clean filter", clean_filter)];
    for (name, attack) in attacks {
        let outside = tempfile::tempdir().unwrap();
        let mark = outside.path().join("mark");
        let world = world(|repo| attack(repo, &mark));
        // Whoever looks at it without Countersign runs its program.
        git(&world.dir.path().join("repo"), &["status"]);
        assert!(mark.exists(), "works unguarded: {name}");
        fs::remove_file(&mark).unwrap();
        let _server = world.serve();
        let result = run(&mut world.client(&world.ann), "git status", &["--short"]);
        assert_eq!(result["structuredContent"]["status"], "exited", "{name}: {result}");
        assert!(!mark.exists(), "{name}: a program of the repository ran outside");
    }
}

#[test]
fn a_configuration_that_includes_files_of_the_machine_shows_none() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "canary = tweet\n[broken\n").unwrap();
    let world = world(|repo| {
        let path = secret.display().to_string();
        git(repo, &["config", "include.path", &path]);
    });
    let bare = Command::new("/usr/bin/git")
        .args(["status"])
        .current_dir(world.dir.path().join("repo"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&bare.stderr).contains("secret"), "works unguarded: {bare:?}");
    let _server = world.serve();
    let result = run(&mut world.client(&world.ann), "git status", &["--short"]);
    // Inside there is no such file, which git takes for an empty one.
    assert_eq!(result["structuredContent"]["exit_code"], 0, "{result}");
    assert_eq!(result["structuredContent"]["stderr"], "", "{result}");
}

#[test]
fn tests_of_a_hostile_repository_reach_nothing() {
    let outside = tempfile::tempdir().unwrap();
    let mark = outside.path().join("mark");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = world(|repo| {
        let code = format!(
            "import socket, pathlib\n\
             said = []\n\
             def attempt(what):\n    try:\n        what(); said.append('reached')\n    except OSError as e:\n        said.append('stopped')\n\
             attempt(lambda: pathlib.Path({:?}).write_text('x'))\n\
             attempt(lambda: socket.create_connection(('127.0.0.1', {port}), 2))\n\
             attempt(lambda: pathlib.Path('planted.py').write_text('x'))\n\
             def pytest_terminal_summary(terminalreporter):\n    terminalreporter.write_line(' '.join(said))\n",
            mark.display().to_string()
        );
        fs::write(repo.join("conftest.py"), code).unwrap();
    });
    let repo = world.dir.path().join("repo");
    let bare = Command::new("/usr/bin/python3")
        .args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .current_dir(&repo)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&bare.stdout).matches("reached").count(),
        3,
        "works unguarded: {bare:?}"
    );
    fs::remove_file(&mark).unwrap();
    fs::remove_file(repo.join("planted.py")).unwrap();
    let _server = world.serve();
    let result = run(&mut world.client(&world.ann), "pytest", &["-q"]);
    let said = result["structuredContent"]["stdout"].as_str().unwrap().to_owned();
    assert_eq!((said.matches("reached").count(), said.matches("stopped").count()), (0, 3), "{result}");
    assert!(said.contains("1 passed"), "{result}");
    assert!(!mark.exists() && !repo.join("planted.py").exists());
}

#[test]
fn links_and_neighbours_lead_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "tweet").unwrap();
    let to = secret.clone();
    let world = world(move |repo| {
        symlink(&to, repo.join("absolute")).unwrap();
        let up: PathBuf =
            std::iter::repeat_n("..", 24).collect::<PathBuf>().join(to.strip_prefix("/").unwrap());
        symlink(up, repo.join("relative")).unwrap();
        symlink("/proc/1/environ", repo.join("magic")).unwrap();
        script(&repo.join("ls"), &repo.join("mark"));
    });
    let repo = world.dir.path().join("repo");
    for link in ["absolute", "relative"] {
        let bare = Command::new("/usr/bin/cat").arg(link).current_dir(&repo).output().unwrap();
        assert_eq!(bare.stdout, b"tweet", "works unguarded: {link}");
    }
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    for link in ["absolute", "relative", "magic"] {
        let result = run(&mut client, "show", &[link]);
        assert_eq!(result["structuredContent"]["stdout"], "", "{link}: {result}");
    }
    // A program of the same name in the directory is not the program.
    let result = run(&mut client, "ls", &["-1", "src"]);
    assert_eq!(result["structuredContent"]["stdout"], "main.py\n", "{result}");
    assert!(!repo.join("mark").exists());
}

#[test]
fn a_command_that_reads_changes_nothing() {
    let world = world(|_| {});
    let repo = world.dir.path().join("repo");
    assert!(Command::new("/usr/bin/touch").arg("bare").current_dir(&repo).status().unwrap().success());
    let _server = world.serve();
    let result = run(&mut world.client(&world.ann), "touch", &["made"]);
    assert_ne!(result["structuredContent"]["exit_code"], 0, "{result}");
    assert!(!repo.join("made").exists());
}

#[test]
fn a_command_that_writes_is_a_tool_of_its_own_and_held() {
    let world = world(|_| {});
    let more = r#"
@id("tests-format")
permit (principal in Role::"operator", action in Action::"call", resource) when { resource.name == "run_format" };
@id("tests-run-format")
permit (principal in Role::"operator", action == Action::"execute", resource == Command::"format");
@id("tests-read-rw")
permit (principal in Role::"operator", action in [Action::"read", Action::"write"], resource is File) when { resource.root == "rw" };
"#;
    fs::write(world.dir.path().join("policies/format.cedar"), more).unwrap();
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    let result = run(&mut client, "format", &["made"]);
    assert!(text_of(&result).contains("/command"), "run_command does not know it: {result}");
    let made = world.dir.path().join("rw/made");
    let (bob, carol) = (world.enroll("bob"), world.enroll("carol"));
    let mut call = || client.call("run_format", json!({"path": "made"}));
    let id = held(&call());
    assert!(world.approve(&id, &bob).status.success());
    // Nobody could try it out, so one person is not enough.
    assert_eq!(held(&call()), id);
    assert!(!made.exists());
    assert!(world.approve(&id, &carol).status.success());
    let result = call();
    assert_eq!(result["structuredContent"]["exit_code"], 0, "{result}");
    assert!(made.exists());
}

#[test]
fn the_environment_is_the_operators() {
    let world = world(|_| {});
    let _server = world.serve();
    let result = run(&mut world.client(&world.ann), "env", &[]);
    let said = result["structuredContent"]["stdout"].as_str().unwrap();
    let mut names: Vec<&str> = said.lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "LANG", "LC_ALL", "PATH", "PWD", "TMPDIR"], "{said}");
}

#[test]
fn a_program_that_was_replaced_is_refused() {
    let tools = tempfile::tempdir().unwrap();
    let program = tools.path().join("tool");
    fs::copy("/usr/bin/true", &program).unwrap();
    let extra = format!("[commands.env]\nprogram = {program:?}\ndescription = \"d\"\n");
    let world = World::new(Shape { extra, ..Shape::default() });
    let policy = POLICY.replace("\"pytest\"]", "\"env\"]");
    fs::write(world.dir.path().join("policies/commands.cedar"), policy).unwrap();
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    let result = run(&mut client, "env", &[]);
    assert_eq!(result["structuredContent"]["exit_code"], 0, "{result}");
    fs::remove_file(&program).unwrap();
    fs::copy("/usr/bin/env", &program).unwrap();
    let result = run(&mut client, "env", &[]);
    assert_eq!(result["isError"], true, "{result}");
    assert!(result["structuredContent"].is_null(), "{result}");
}
