//! Files through the whole binary: two principals, default policies, approvals, resources, and roots that are refused.

use std::fs;

use serde_json::{Value, json};

use crate::world::*;

const POLICIES: &str = r#"
@id("operators-change-files")
permit (principal in Role::"operator", action in Action::"call", resource in PowerClass::"write-high");
@id("operators-write-notes")
permit (principal in Role::"operator", action == Action::"write", resource is File)
when { resource.root == "docs" && resource.path like "notes/*" };
"#;

fn world() -> World {
    let extra =
        "[files.docs]\nroot = \"docs\"\nwrite = true\n[files.plans]\nroot = \"plans\"\ntenant = \"acme\"";
    let world = World::new_with(Shape { extra: extra.into(), ..Shape::default() }, |dir| {
        fs::create_dir_all(dir.join("docs/notes")).unwrap();
        fs::create_dir(dir.join("plans")).unwrap();
        fs::write(dir.join("docs/a.md"), "hello\n").unwrap();
        fs::write(dir.join("docs/.env"), "TOKEN=hunter22").unwrap();
        fs::write(dir.join("docs/notes/n.md"), "one\ntwo\n").unwrap();
        fs::write(dir.join("plans/p.md"), "the plan of acme").unwrap();
        std::os::unix::fs::symlink(".env", dir.join("docs/harmless.md")).unwrap();
        std::os::unix::fs::symlink("../countersign.toml", dir.join("docs/config.md")).unwrap();
    });
    fs::write(world.dir.path().join("policies/files.cedar"), POLICIES).unwrap();
    world
}

fn text(result: &Value) -> String {
    text_of(result)
}

#[test]
fn readers_read_what_is_theirs_and_no_secrets() {
    let world = world();
    let _server = world.serve();
    let (mut ann, mut bob) = (world.client(&world.ann), world.client(&world.bob));
    let read = |root: &str, path: &str| json!({"root": root, "path": path});
    assert_eq!(ann.call("read_file", read("docs", "a.md"))["structuredContent"]["content"], "hello\n");
    assert_eq!(bob.call("read_file", read("docs", "a.md"))["structuredContent"]["content"], "hello\n");
    assert!(text(&ann.call("read_file", read("plans", "p.md"))).contains("the plan of acme"));
    for path in [".env", "harmless.md"] {
        assert!(fs::read_to_string(world.dir.path().join("docs").join(path)).unwrap().contains("hunter22"));
        let refused = text(&ann.call("read_file", read("docs", path)));
        assert!(refused.contains("file docs/.env") && refused.contains("secret-files"), "{refused}");
    }
    let outside = text(&ann.call("read_file", read("docs", "config.md")));
    assert!(outside.contains("leads out of the root") && !outside.contains("version"), "{outside}");
    let unknown = text(&bob.call("read_file", read("nothing", "p.md")));
    let foreign = text(&bob.call("read_file", read("plans", "p.md")));
    assert!(!foreign.contains("the plan"), "{foreign}");
    let rule = |text: &str| text.split(" (invalid").next().unwrap_or_default().to_owned();
    assert_eq!(rule(&foreign), rule(&unknown));
    let listed =
        ann.call("list_directory", json!({"root": "docs"}))["structuredContent"]["entries"].to_string();
    assert!(listed.contains("a.md") && !listed.contains(".env"), "{listed}");
    let found = ann.call("search_files", json!({"root": "docs", "pattern": "hunter|hello"}));
    assert_eq!(found["structuredContent"]["matches"], json!([{"path": "a.md", "line": 1, "text": "hello"}]));
    let roots = ann.call("list_directory", json!({}))["structuredContent"]["roots"].to_string();
    assert!(roots.contains("docs") && roots.contains("plans"), "{roots}");
    let only = bob.call("list_directory", json!({}));
    assert_eq!(only["structuredContent"]["root"], "docs", "{only}");
}

#[test]
fn resources_of_roots_take_the_same_road() {
    let world = world();
    let _server = world.serve();
    let (mut ann, mut bob) = (world.client(&world.ann), world.client(&world.bob));
    let templates = |client: &mut Client| client.modern("resources/templates/list", json!({})).body;
    assert!(templates(&mut ann).contains("file://plans/{+path}"));
    assert!(!templates(&mut bob).contains("plans"));
    let read = |client: &mut Client, uri: &str| client.modern("resources/read", json!({"uri": uri})).body;
    assert!(read(&mut ann, "file://docs/a.md").contains("hello"));
    assert!(read(&mut ann, "file://plans/p.md").contains("the plan of acme"));
    for uri in [
        "file://plans/p.md",
        "file://docs/%2e%2e/plans/p.md",
        "file://docs/..%2fplans%2fp.md",
        "file:///etc/passwd",
    ] {
        let refused = read(&mut bob, uri);
        assert!(
            refused.contains("error") && !refused.contains("the plan") && !refused.contains("root:"),
            "{uri}: {refused}"
        );
    }
    assert!(read(&mut ann, "file://docs/.env").contains("secret-files"));
}

/// The id of the request that a held call was answered with.
fn held(result: &Value) -> String {
    let text = text_of(result);
    let at = text.find("ap-").unwrap_or_else(|| panic!("not held: {text}"));
    text[at..at + 11].to_owned()
}

fn approve(world: &World, id: &str, people: &[&str]) {
    for name in people {
        let key = world.dir.path().join(format!("{name}.operator-key"));
        if !key.exists() {
            world.command(&["approvals", "enroll", "--name", name, "--out", key.to_str().unwrap()]);
        }
        let key = key.to_str().unwrap();
        let approved = world.try_command(&["approvals", "approve", id, "--key", key, "--reason", "ok"]);
        assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
    }
}

fn note(world: &World) -> String {
    fs::read_to_string(world.dir.path().join("docs/notes/n.md")).unwrap()
}

#[test]
fn a_change_is_shown_as_a_diff_approved_and_made_once() {
    let world = world();
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let edit = json!({"root": "docs", "path": "notes/n.md", "old": "two", "new": "2"});
    let id = held(&ann.call("edit_file", edit.clone()));
    assert_eq!(note(&world), "one\ntwo\n");
    let shown = world.command(&["approvals", "show", &id]);
    for line in [
        "edit_file [write-high]",
        "write file docs/notes/n.md",
        "1 file changes",
        "  | -two",
        "  | +2",
        "--- a/notes/n.md",
    ] {
        assert!(shown.contains(line), "{line}:\n{shown}");
    }
    approve(&world, &id, &["carol"]);
    let done = ann.call("edit_file", edit.clone());
    assert!(done["structuredContent"]["diff"].as_str().unwrap().contains("+2\n"), "{done}");
    assert_eq!(note(&world), "one\n2\n");
    let denied = text(&ann.call("write_file", json!({"root": "docs", "path": "a.md", "content": "x"})));
    assert!(denied.contains("policy does not permit file docs/a.md"), "{denied}");
    let foreign = text(&ann.call("write_file", json!({"root": "plans", "path": "p.md", "content": "x"})));
    assert!(!foreign.contains("ap-") && foreign.contains("file plans/p.md"), "{foreign}");
}

/// A list of edits is more than policies can read.
#[test]
fn one_edit_takes_one_persons_word_and_a_list_takes_two() {
    let world = world();
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let one = json!({"root": "docs", "path": "notes/n.md", "old": "one", "new": "1"});
    let id = held(&ann.call("edit_file", one.clone()));
    approve(&world, &id, &["carol"]);
    assert!(ann.call("edit_file", one)["isError"] != true);
    assert_eq!(note(&world), "1\ntwo\n");
    let list = json!({"root": "docs", "path": "notes/n.md", "edits": [{"old": "two", "new": "2"}]});
    let id = held(&ann.call("edit_file", list.clone()));
    approve(&world, &id, &["carol"]);
    assert_eq!(held(&ann.call("edit_file", list.clone())), id, "one person is not enough");
    approve(&world, &id, &["dave"]);
    assert!(ann.call("edit_file", list)["isError"] != true);
    assert_eq!(note(&world), "1\n2\n");
}

#[test]
fn what_was_approved_is_not_done_to_a_file_that_changed_since() {
    let world = world();
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    for (tool, arguments) in [
        ("write_file", json!({"root": "docs", "path": "notes/n.md", "content": "new"})),
        ("edit_file", json!({"root": "docs", "path": "notes/n.md", "old": "one", "new": "1"})),
        ("delete_file", json!({"root": "docs", "path": "notes/n.md"})),
        ("move_file", json!({"root": "docs", "from": "notes/n.md", "to": "notes/m.md"})),
    ] {
        let id = held(&ann.call(tool, arguments.clone()));
        approve(&world, &id, &["carol"]);
        let unseen = format!("one\nunseen before {tool}\n");
        fs::write(world.dir.path().join("docs/notes/n.md"), &unseen).unwrap();
        let refused = text(&ann.call(tool, arguments.clone()));
        assert!(refused.contains("has changed"), "{tool}: {refused}");
        assert_eq!(note(&world), unseen, "{tool}");
        let again = held(&ann.call(tool, arguments.clone()));
        assert_ne!(again, id, "an approval that was used is used up");
    }
    let names: Vec<_> =
        fs::read_dir(world.dir.path().join("docs/notes")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["n.md"]);
}

#[test]
fn a_root_never_holds_what_countersign_lives_on() {
    for (root, what) in [
        (".", "configuration"),
        ("policies", "policies"),
        ("audit/x", "audit log"),
        ("/", "binary"),
        ("linked", "state"),
        ("/proc", "file system of the kernel"),
        ("none", "cannot be opened"),
        ("data", "database `shop`"),
    ] {
        let world = World::new(Shape::default());
        let dir = world.dir.path();
        fs::create_dir_all(dir.join("audit/x")).unwrap();
        fs::create_dir_all(dir.join("state")).unwrap();
        fs::create_dir(dir.join("data")).unwrap();
        std::os::unix::fs::symlink("state", dir.join("linked")).unwrap();
        let mut config = fs::read_to_string(world.config()).unwrap();
        if root == "data" {
            fs::rename(dir.join("shop.db"), dir.join("data/shop.db")).unwrap();
            config = config.replace("sqlite:shop.db", "sqlite:data/shop.db");
        }
        config.push_str(&format!("[files.bad]\nroot = \"{root}\"\n"));
        fs::write(world.config(), config).unwrap();
        let refused = world.try_command(&["config", "show"]);
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && message.contains("files.bad.root") && message.contains(what),
            "{root}: {message}"
        );
    }
}

#[test]
fn roots_of_different_tenants_lie_apart() {
    let world = World::new(Shape::default());
    fs::create_dir_all(world.dir.path().join("all/acme")).unwrap();
    let mut config = fs::read_to_string(world.config()).unwrap();
    config.push_str("[files.all]\nroot = \"all\"\n[files.acme]\nroot = \"all/acme\"\ntenant = \"acme\"\n");
    fs::write(world.config(), config).unwrap();
    let refused = world.try_command(&["config", "show"]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("which is for others"), "{message}");
}
