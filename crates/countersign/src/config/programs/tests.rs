//! What `[python]` and `[commands.NAME]` mean, and what people see when they are wrong.

use std::{fs, time::Duration};

use countersign_tools::commands::Kind;

use super::super::{Config, load_with};

fn load(text: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("countersign.toml");
    fs::create_dir(dir.path().join("repo")).unwrap();
    fs::write(&file, format!("version = 1\n{text}")).unwrap();
    load_with(&file, &|_| None)
        .map_err(|e| e.to_string().replace(&*dir.path().canonicalize().unwrap().to_string_lossy(), "DIR"))
}

#[test]
fn without_the_table_there_is_no_python() {
    assert!(load("").unwrap().python.is_none());
    let python = load("[python]\n").unwrap().python.unwrap();
    assert_eq!((python.limits.memory, python.limits.cpu_percent), (256 << 20, 50));
    assert_eq!((python.limits.file_size, python.limits.wall), (10 << 20, Duration::from_secs(30)));
    assert_eq!((python.limits.processes, python.code_bytes), (1, 64 << 10));
}

#[test]
fn a_command_is_its_words_and_slots() {
    let config = load(
        r#"
[commands."git log"]
program = "/bin/sh"
description = "Lists commits"
argv = ["log", "{count}", "--", "{word}"]
timeout = "5s"
[commands."git log".env]
GIT_TERMINAL_PROMPT = "0"
[commands."git log".slots.count]
kind = "integer"
option = "-n"
max = 20
[commands."git log".slots.word]
kind = "choice"
values = ["a", "b"]
most = 2
required = true
"#,
    )
    .unwrap();
    let command = &config.commands["git log"];
    assert_eq!(command.env, [("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned())]);
    assert_eq!((command.limits.wall, command.limits.cpu_seconds), (Duration::from_secs(5), 5));
    assert!(!command.expose && command.root.is_none());
    assert!(matches!(command.slots[0].kind, Kind::Integer { min: 0, max: 20 }));
    assert_eq!(command.slots[0].option.as_deref(), Some("-n"));
    assert!(command.slots[1].required && command.slots[1].most == 2);
}

#[test]
fn a_command_writes_only_where_the_root_may_be_written() {
    let command = "[commands.x]\nprogram = \"/bin/sh\"\ndescription = \"d\"\nroot = \"repo\"\n";
    let root = |write: bool| format!("[files.repo]\nroot = \"repo\"\nwrite = {write}\n{command}");
    let reads = load(&root(false)).unwrap().commands["x"].root.clone().unwrap();
    assert!(reads.name == "repo" && reads.dir.ends_with("repo") && !reads.write);
    let writes = load(&format!("{}write = true\n", root(true))).unwrap();
    assert!(writes.commands["x"].root.as_ref().unwrap().write);
    insta::assert_snapshot!(load(&format!("{}write = true\n", root(false))).unwrap_err(), @r"
    1 problem in the configuration
    DIR/countersign.toml:8:8: `commands.x.root` names a root that may only be read, and the command writes
      help: set `files.repo.write = true`, or leave `write` out
    ");
}

#[test]
fn programs_are_shown_nothing_of_ours() {
    let command = |read: &str| {
        load(&format!("[commands.x]\nprogram = \"/bin/sh\"\ndescription = \"d\"\nread = [{read:?}]\n"))
    };
    assert!(command("/usr/share").is_ok());
    // The configuration of these tests lies somewhere below the system's folder for such things.
    let temporary = std::env::temp_dir();
    let refused = command(&temporary.to_string_lossy()).unwrap_err();
    assert!(
        refused.contains("`commands.x.read` holds, or lies in, Countersign's own configuration"),
        "{refused}"
    );
    let refused = load(&format!("[python]\npackages = {temporary:?}\n")).unwrap_err();
    assert!(
        refused.contains("`python.packages` holds, or lies in, Countersign's own configuration"),
        "{refused}"
    );
}

#[test]
fn containers_need_a_socket_and_an_image_and_the_jail_takes_neither() {
    assert!(load("").unwrap().container.is_none());
    assert!(load("[sandbox]\nengine = \"jail\"\n").unwrap().container.is_none());
    let text = "[sandbox]\nengine = \"container\"\nsocket = \"/run/podman.sock\"\nimage = \"python:3\"\nruntime = \"runsc\"\n";
    let engine = load(text).unwrap().container.unwrap();
    assert_eq!((engine.image.as_str(), engine.runtime.as_deref()), ("python:3", Some("runsc")));
    // The image has programs that this machine need not have.
    let command = "[commands.x]\nprogram = \"/only/in/the/image\"\ndescription = \"d\"\n";
    assert!(load(command).is_err() && load(&format!("{text}{command}")).is_ok());
    insta::assert_snapshot!(load("[sandbox]\nengine = \"container\"\nimage = \"python:3\"\n").unwrap_err(), @r#"
    1 problem in the configuration
    DIR/countersign.toml:3:10: `sandbox.socket` is missing, which containers need
      help: name the engine's `socket`, such as "/run/podman/podman.sock", and an `image` that it has
    "#);
    insta::assert_snapshot!(load("[sandbox]\nimage = \"python:3\"\n").unwrap_err(), @r#"
    1 problem in the configuration
    DIR/countersign.toml:3:9: `sandbox.image` means nothing to the jail
      help: set `sandbox.engine = "container"`, or leave it out
    "#);
}

#[test]
fn programs_are_not_shown_the_socket_of_the_container_engine() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let text = format!(
        "[sandbox]\nengine = \"container\"\nsocket = {socket:?}\nimage = \"x\"\n[commands.x]\nprogram = \"/bin/sh\"\n\
         description = \"d\"\nread = [{:?}]\n",
        folder.path()
    );
    let refused = load(&text).unwrap_err();
    assert!(
        refused.contains("`commands.x.read` holds, or lies in, Countersign's own container engine's socket"),
        "{refused}"
    );
}

#[test]
fn each_problem_names_its_key_and_rule() {
    let command = |rest: &str| {
        let head = "[commands.x]\nprogram = \"/bin/ls\"\ndescription = \"d\"\n";
        load(&format!("{head}{rest}")).unwrap_err()
    };
    insta::assert_snapshot!(load("[commands.x]\n").unwrap_err(), @r"
    2 problems in the configuration
    DIR/countersign.toml:2:11: `commands.x.description` is missing
      help: add `description = ...`: one line of text, of at most 500 characters
    DIR/countersign.toml:2:11: `commands.x.program` is missing
      help: add `program = ...`: a path, as text
    ");
    insta::assert_snapshot!(command("argv = [\"{gap}\"]\n"), @r"
    1 problem in the configuration
    DIR/countersign.toml:3:11: `commands.x`: `argv` names the slot `gap`, which is not declared
    ");
    insta::assert_snapshot!(command("argv = [\"{n}\"]\n[commands.x.slots.n]\nkind = \"integer\"\n"), @r"
    1 problem in the configuration
    DIR/countersign.toml:7:8: `commands.x.slots.n.kind` is `integer`, which needs `max`
    ");
    insta::assert_snapshot!(command("argv = [\"{n}\"]\n[commands.x.slots.n]\nkind = \"path\"\npattern = \"a\"\n"), @r"
    1 problem in the configuration
    DIR/countersign.toml:8:11: `commands.x.slots.n.pattern` belongs to a slot of kind `pattern`
    ");
    insta::assert_snapshot!(command("argv = [\"{n}\"]\n[commands.x.slots.n]\nkind = \"path\"\n"), @r"
    1 problem in the configuration
    DIR/countersign.toml:3:11: `commands.x`: a slot takes a path, and there is no `root` that it could lie in
    ");
    insta::assert_snapshot!(command("write = true\n"), @r"
    1 problem in the configuration
    DIR/countersign.toml:5:9: `commands.x.write` means nothing without a root
      help: name a `[files.NAME]` as its `root`, or leave `write` out
    ");
    insta::assert_snapshot!(command("root = \"repo\"\n"), @r"
    1 problem in the configuration
    DIR/countersign.toml:5:8: `commands.x.root` names no `[files.NAME]`
      help: declare the directory as `[files.NAME]` with a `root`
    ");
    insta::assert_snapshot!(load("[commands.\"git  status\"]\nprogram = \"/bin/sh\"\ndescription = \"d\"\n").unwrap_err(), @r"
    1 problem in the configuration
    DIR/countersign.toml:2:11: `commands.git  status` must be one or more words of lower-case letters, digits, `_` and `-`, with single spaces between them, 64 characters in all
    ");
    insta::assert_snapshot!(load("[commands.x]\nprogram = \"/nonexistent\"\ndescription = \"d\"\n").unwrap_err(), @r"
    1 problem in the configuration
    DIR/countersign.toml:3:11: `commands.x`: `/nonexistent` cannot be used: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(load("[python]\nimports = [\"asyncio\"]\n").unwrap_err(), @r"
    1 problem in the configuration
    DIR/countersign.toml:3:11: `python.imports` lists `asyncio`, which is never allowed
    ");
}
