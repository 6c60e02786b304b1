//! Every row of `corpora/paths.jsonl`, twice: unguarded, where many of the attacks work, and through the tools, where none does.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use countersign_tools::files::{FolderSettings, Globs};
use serde_json::{Value, json};

use super::{
    scenery::set_up,
    world::{World, settings},
};

/// Calls that are made while a race goes on.
const RACED: usize = 300;
/// Unguarded tries until a race is won.
const NAIVE: usize = 20_000;

struct Row {
    id: String,
    path: String,
    op: String,
    steps: Vec<Value>,
    allow: bool,
}

impl Row {
    fn races(&self) -> bool {
        self.steps.iter().any(|step| step[0] == "race")
    }

    /// The path with the places filled in that depend on where the root is.
    fn path(&self, data: &Path) -> String {
        let root = data.to_str().unwrap();
        self.path
            .replace("{root}", root)
            .replace("{ROOT_UPPER}", &root.to_uppercase())
            .replace("{parent}", data.parent().unwrap().to_str().unwrap())
    }
}

fn rows() -> Vec<Row> {
    let text = include_str!("../../../../../corpora/paths.jsonl");
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        Row {
            id: text("id"),
            path: text("path"),
            op: text("op"),
            steps: row["setup"].as_array().unwrap().clone(),
            allow: row["expect"] == "allow",
        }
    };
    // Device nodes are made by root alone.
    let root = rustix::process::geteuid().is_root();
    text.lines().map(row).filter(|row| root || row.steps.iter().all(|step| step[0] != "device")).collect()
}

fn guarded() -> FolderSettings {
    let deny = [".env", ".git", "id_rsa"].map(str::to_owned);
    FolderSettings { deny: Globs::denying(&deny).unwrap(), ..settings() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_the_corpus_holds() {
    let mut wrong = Vec::new();
    for row in rows() {
        let world = World::new(guarded());
        let _races = set_up(&world.data(), &row.steps);
        let tries = if row.races() { RACED } else { 1 };
        for _ in 0..tries {
            let outcome = through_the_tools(&world, &row).await;
            let answered = match &outcome {
                Ok(answer) => {
                    let text = answer.to_string();
                    assert!(!text.contains("OUTSIDE") && !text.contains("root:"), "{}: {text}", row.id);
                    true
                }
                Err(_) => false,
            };
            // While a race goes on, what is inside may be answered; what is outside never is.
            if answered != row.allow && !row.races() {
                wrong.push(format!("{} {:?} {}: {outcome:?}", row.id, row.path, row.op));
            }
            untouched(&world, &row.id);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn through_the_tools(world: &World, row: &Row) -> Result<Value, String> {
    let path = row.path(&world.data());
    let (tool, arguments) = match row.op.split_once(':').unwrap_or((&row.op, "")) {
        ("read", _) => ("read_file", json!({"path": path})),
        ("list", _) => ("list_directory", json!({"path": path})),
        ("write", _) => ("write_file", json!({"path": path, "content": "NEW", "create_directories": true})),
        ("delete", _) => ("delete_file", json!({"path": path})),
        ("rename_to", to) => ("move_file", json!({"from": path, "to": to})),
        ("symlink", _) => ("symlink_file", json!({"path": path})),
        (other, _) => panic!("no operation is called `{other}`"),
    };
    world.call(tool, arguments).await.map_err(|refused| refused.message)
}

/// Nothing outside the root has changed.
fn untouched(world: &World, id: &str) {
    let base = world.dir.path();
    for name in ["secret.txt", "data-evil/x", "data-evil/x.txt"] {
        assert_eq!(fs::read_to_string(base.join(name)).ok().as_deref(), Some("OUTSIDE"), "{id}: {name}");
    }
    let names: BTreeSet<String> = fs::read_dir(base.join("data-evil"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, BTreeSet::from(["x".to_owned(), "x.txt".to_owned()]), "{id}");
    assert!(!base.join("created-outside.txt").exists() && !base.join("report.txt").exists(), "{id}");
}

/// The attacks that work on a program that joins paths and opens them.
const WORK_UNGUARDED: &[&str] = &[
    "path-001", "path-007", "path-010", "path-012", "path-013", "path-014", "path-016", "path-022",
    "path-081", "path-084", "path-085", "path-086", "path-087", "path-091", "path-092", "path-093",
    "path-101", "path-103", "path-105", "path-106", "path-107", "path-170", "path-171", "path-172",
    "own-001", "own-002", "own-003", "own-005", "own-007", "own-008", "own-009", "own-010", "own-011",
    "own-016", "own-017", "own-018", "own-019", "own-020",
];

#[test]
fn the_attacks_work_unguarded() {
    let rows = rows();
    let mut worked = Vec::new();
    for row in rows.iter().filter(|row| !row.allow) {
        // A FIFO would be waited for, and so would this process's own input.
        if row.steps.iter().any(|step| step[0] == "fifo" || step[2] == "/proc/self/fd/0") {
            continue;
        }
        let world = World::new(settings());
        let _races = set_up(&world.data(), &row.steps);
        let tries = if row.races() { NAIVE } else { 1 };
        if (0..tries).any(|_| unguarded(&world.data(), row)) {
            worked.push(row.id.as_str());
        }
    }
    let expected = WORK_UNGUARDED.iter().filter(|id| rows.iter().any(|row| row.id == **id));
    assert_eq!(worked, expected.copied().collect::<Vec<_>>());
}

/// Whether an attack reaches what it should not, with paths that are joined and opened.
fn unguarded(data: &Path, row: &Row) -> bool {
    let path = joined(data, &row.path(data));
    let base = data.parent().unwrap();
    match row.op.split_once(':').unwrap_or((&row.op, "")) {
        ("read", _) => {
            let Ok(file) = fs::File::open(&path) else { return false };
            let mut content = Vec::new();
            let read = file.take(4096).read_to_end(&mut content);
            // In a race, what is inside may be read; it counts when it is what lies outside.
            read.is_ok() && (!row.races() || content != b"INSIDE")
        }
        ("write", _) => {
            fs::create_dir_all(path.parent().unwrap_or(data)).and_then(|()| fs::write(&path, "NEW")).is_ok()
                && wrote_outside(base, row)
        }
        ("delete", _) => {
            let gone = fs::remove_file(&path).is_ok() && !base.join("data-evil/x.txt").exists();
            let _ = fs::write(data.join("gone/x.txt"), "INSIDE");
            gone
        }
        ("rename_to", to) => fs::rename(&path, joined(data, to)).is_ok(),
        ("symlink", target) => std::os::unix::fs::symlink(target, &path).is_ok(),
        _ => false,
    }
}

/// Whether a write that was done landed where it should not. Denied names lie inside.
fn wrote_outside(base: &Path, row: &Row) -> bool {
    ["created-outside.txt", "data-evil/new.txt", "data-evil/out.txt", "data-evil/n/e/w.txt"]
        .iter()
        .any(|name| base.join(name).exists())
        || fs::read_to_string(base.join("secret.txt")).is_ok_and(|text| text != "OUTSIDE")
        || row.path == ".ENV"
}

fn joined(data: &Path, path: &str) -> PathBuf {
    // As programs do that cut a path at NUL, or take it for a file name: joined as it is.
    data.join(path)
}
