//! Writing, editing, deleting and moving: in one step, and never over what nobody saw.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use serde_json::{Value, json};

use countersign_tools::files::FolderSettings;

use super::world::{World, settings};

#[tokio::test]
async fn a_file_is_written_with_its_permissions_and_nothing_is_left_behind() {
    let world = World::new(settings());
    let file = world.data().join("report.txt");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let written = world.call("write_file", json!({"path": "report.txt", "content": "new"})).await.unwrap();
    assert_eq!((&written["created"], &written["size"]), (&json!(false), &json!(3)));
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
    let bytes = json!({"path": "sub/b", "content": "3q2+7w==", "encoding": "base64"});
    assert_eq!(world.call("write_file", bytes).await.unwrap()["created"], true);
    assert_eq!(fs::read(world.data().join("sub/b")).unwrap(), [0xde, 0xad, 0xbe, 0xef]);
    assert_eq!(leftovers(&world), Vec::<String>::new());
    let missing = world.refused("write_file", json!({"path": "no/such/x", "content": ""})).await;
    assert!(missing.contains("no such file or directory"), "{missing}");
    let large = "x".repeat(300 << 10);
    assert!(
        world.refused("write_file", json!({"path": "l", "content": large})).await.contains("262144 bytes")
    );
}

fn leftovers(world: &World) -> Vec<String> {
    let names = |dir: &str| {
        let entries = fs::read_dir(world.data().join(dir)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut all = [names("."), names("sub")].concat();
    all.retain(|name| name.starts_with(".countersign"));
    all
}

#[tokio::test]
async fn if_match_guards_every_change() {
    let world = World::new(settings());
    let hash = world.call("read_file", json!({"path": "report.txt"})).await.unwrap()["sha256"].clone();
    fs::write(world.data().join("report.txt"), "changed by others").unwrap();
    for (tool, mut arguments) in [
        ("write_file", json!({"path": "report.txt", "content": "mine"})),
        ("edit_file", json!({"path": "report.txt", "edits": [{"old": "changed", "new": "mine"}]})),
        ("delete_file", json!({"path": "report.txt"})),
    ] {
        arguments["if_match"] = hash.clone();
        let refused = world.refused(tool, arguments).await;
        assert!(refused.contains("has changed"), "{tool}: {refused}");
    }
    assert_eq!(fs::read_to_string(world.data().join("report.txt")).unwrap(), "changed by others");
    let absent = json!({"path": "report.txt", "content": "x", "if_match": "absent"});
    assert!(world.refused("write_file", absent).await.contains("has changed"));
}

#[tokio::test]
async fn edits_are_exact_and_shown() {
    let world = World::new(settings());
    fs::write(world.data().join("e.txt"), "a b a\nc\n").unwrap();
    let edit = async |edits: Value| world.call("edit_file", json!({"path": "e.txt", "edits": edits})).await;
    let twice = edit(json!([{"old": "a", "new": "x"}])).await.unwrap_err().message;
    assert!(twice.contains("/edits/0/old") && twice.contains("occurs 2 times"), "{twice}");
    let never = edit(json!([{"old": "c", "new": "d"}, {"old": "c", "new": "e"}])).await.unwrap_err().message;
    assert!(never.contains("/edits/1/old") && never.contains("does not occur"), "{never}");
    assert_eq!(fs::read_to_string(world.data().join("e.txt")).unwrap(), "a b a\nc\n", "all or nothing");
    let done =
        edit(json!([{"old": "a", "new": "x", "all": true}, {"old": "b x", "new": "y"}])).await.unwrap();
    assert_eq!(fs::read_to_string(world.data().join("e.txt")).unwrap(), "x y\nc\n");
    assert_eq!(done["diff"], "--- a/e.txt\n+++ b/e.txt\n@@ -1,2 +1,2 @@\n-a b a\n+x y\n c\n");
    let blown = json!([{"old": "y", "new": "z".repeat(300 << 10)}]);
    assert!(edit(blown).await.unwrap_err().message.contains("262144 bytes"));
}

#[tokio::test]
async fn one_edit_needs_no_list() {
    let world = World::new(settings());
    fs::write(world.data().join("e.txt"), "a b a\n").unwrap();
    let one = json!({"path": "e.txt", "old": "b", "new": "c"});
    assert_eq!(world.call("edit_file", one).await.unwrap()["size"], 6);
    assert_eq!(fs::read_to_string(world.data().join("e.txt")).unwrap(), "a c a\n");
    let twice = world.refused("edit_file", json!({"path": "e.txt", "old": "a", "new": ""})).await;
    assert!(twice.contains("`/old`: occurs 2 times"), "{twice}");
    let every = json!({"path": "e.txt", "old": "a", "new": "", "all": true});
    world.call("edit_file", every).await.unwrap();
    assert_eq!(fs::read_to_string(world.data().join("e.txt")).unwrap(), " c \n");
    for (arguments, rule) in [
        (json!({"path": "e.txt"}), "`/old`: is required"),
        (json!({"path": "e.txt", "old": "c"}), "`/old`: is required, with `new`"),
        (
            json!({"path": "e.txt", "old": "c", "edits": [{"old": "c", "new": "d"}]}),
            "`/old`: must not stand beside",
        ),
        (
            json!({"path": "e.txt", "all": true, "edits": [{"old": "c", "new": "d"}]}),
            "`/all`: must not stand beside",
        ),
    ] {
        let refused = world.refused("edit_file", arguments).await;
        assert!(refused.contains(rule), "{refused}");
    }
}

/// A guess at the content of a file is a question about it.
#[tokio::test]
async fn a_guess_takes_the_right_to_read() {
    let world = World::new(settings());
    let hash = world.call("read_file", json!({"path": "report.txt"})).await.unwrap()["sha256"].clone();
    world.rules.deny.lock().unwrap().push("read file data/report.txt");
    for (right, digest) in [(true, hash), (false, json!("0".repeat(64)))] {
        for (tool, mut arguments) in [
            ("write_file", json!({"path": "report.txt", "content": "mine"})),
            ("delete_file", json!({"path": "report.txt"})),
        ] {
            arguments["if_match"] = digest.clone();
            let refused = world.refused(tool, arguments).await;
            assert!(refused.contains("policy refuses file data/report.txt"), "{tool} {right}: {refused}");
        }
    }
    // Who asks nothing needs no right to read.
    world.call("write_file", json!({"path": "report.txt", "content": "mine"})).await.unwrap();
}

#[tokio::test]
async fn files_are_deleted_and_moved_one_by_one() {
    let world = World::new(settings());
    assert!(world.refused("delete_file", json!({"path": "sub"})).await.contains("a directory"));
    assert!(world.refused("delete_file", json!({"path": "."})).await.contains("a directory"));
    let taken = world.refused("move_file", json!({"from": "report.txt", "to": "sub/inner.txt"})).await;
    assert!(taken.contains("/to") && taken.contains("exists already"), "{taken}");
    world.call("move_file", json!({"from": "report.txt", "to": "sub/moved.txt"})).await.unwrap();
    assert_eq!(fs::read_to_string(world.data().join("sub/moved.txt")).unwrap(), "INSIDE");
    assert!(!world.data().join("report.txt").exists());
    world.call("delete_file", json!({"path": "sub/moved.txt"})).await.unwrap();
    assert!(!world.data().join("sub/moved.txt").exists());
    assert!(world.refused("move_file", json!({"from": "sub", "to": "sub2"})).await.contains("a directory"));
    assert_eq!(leftovers(&world), Vec::<String>::new());
}

#[tokio::test]
async fn moving_takes_the_right_to_read() {
    let world = World::new(settings());
    world.rules.deny.lock().unwrap().push("read file data/report.txt");
    let refused = world.refused("move_file", json!({"from": "report.txt", "to": "open.txt"})).await;
    assert!(refused.contains("policy refuses file data/report.txt"), "{refused}");
    assert!(world.data().join("report.txt").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_write_over_the_same_state_one_wins() {
    let world = Arc::new(World::new(settings()));
    let hash = world.call("read_file", json!({"path": "report.txt"})).await.unwrap()["sha256"].clone();
    let calls: Vec<_> = (0..16)
        .map(|number| {
            let (world, hash) = (Arc::clone(&world), hash.clone());
            let arguments =
                json!({"path": "report.txt", "content": format!("writer {number}"), "if_match": hash});
            tokio::spawn(async move { world.call("write_file", arguments).await.is_ok() })
        })
        .collect();
    let mut won = 0;
    for call in calls {
        won += u32::from(call.await.unwrap());
    }
    assert_eq!(won, 1);
    assert!(fs::read_to_string(world.data().join("report.txt")).unwrap().starts_with("writer "));
    assert_eq!(leftovers(&world), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_the_old_file_or_the_new_one() {
    let world = World::new(settings());
    let (one, two) = ("1".repeat(100_000), "2".repeat(100_000));
    fs::write(world.data().join("f"), &one).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (stop, file) = (Arc::clone(&stop), world.data().join("f"));
        move || {
            let mut reads = 0_u32;
            while !stop.load(Relaxed) || reads < 10 {
                let text = fs::read_to_string(&file).unwrap();
                let first = text.as_bytes()[0];
                assert!(text.len() == 100_000 && text.bytes().all(|byte| byte == first), "a torn file");
                reads += 1;
            }
            reads
        }
    });
    for turn in 0..40 {
        let content = if turn % 2 == 0 { &two } else { &one };
        world.call("write_file", json!({"path": "f", "content": content})).await.unwrap();
    }
    stop.store(true, Relaxed);
    assert!(reader.join().unwrap() >= 10);
}

/// Three files of the scenery and `sub` take a block each: 16 KiB.
fn small() -> World {
    World::new(FolderSettings { quota: Some(24 << 10), ..settings() })
}

#[tokio::test]
async fn a_full_root_takes_no_more_and_can_be_cleared_up() {
    let world = small();
    let write = |path: &str, kib: usize| json!({"path": path, "content": "x".repeat(kib << 10)});
    let refused = world.refused("write_file", write("large", 9)).await;
    for text in ["hold 24576 bytes", "8192 of them are free", "takes 12288 more"] {
        assert!(refused.contains(text), "{text}: {refused}");
    }
    assert!(!world.data().join("large").exists() && leftovers(&world).is_empty());
    // A directory is not free, and an empty file is not either.
    let deep = json!({"path": "a/b/c", "content": "", "create_directories": true});
    assert!(world.refused("write_file", deep).await.contains("takes 12288 more"));
    assert!(!world.data().join("a").exists());
    world.call("write_file", write("one", 4)).await.unwrap();
    world.call("write_file", write("two", 1)).await.unwrap();
    assert!(world.refused("write_file", write("three", 0)).await.contains("0 of them are free"));
    // In a full root: the same size, smaller, gone; larger only into what that frees.
    world.call("write_file", write("one", 3)).await.unwrap();
    let grown = json!({"path": "two", "old": "x", "new": "x".repeat(5), "all": true});
    assert!(world.refused("edit_file", grown.clone()).await.contains("takes 4096 more"));
    assert_eq!(fs::metadata(world.data().join("two")).unwrap().len(), 1 << 10);
    world.call("delete_file", json!({"path": "one"})).await.unwrap();
    world.call("edit_file", grown).await.unwrap();
    assert_eq!(fs::metadata(world.data().join("two")).unwrap().len(), 5 << 10);
}

#[tokio::test]
async fn what_others_change_counts_before_anybody_is_refused() {
    let world = small();
    world.call("write_file", json!({"path": "one", "content": "x".repeat(8 << 10)})).await.unwrap();
    fs::remove_file(world.data().join("one")).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    world.call("write_file", json!({"path": "two", "content": "x".repeat(8 << 10)})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_at_the_same_time_do_not_share_their_room() {
    let world = Arc::new(small());
    let calls = (0..8).map(|n| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let arguments = json!({"path": format!("f{n}"), "content": "x".repeat(4 << 10)});
            world.call("write_file", arguments).await.is_ok()
        })
    });
    let mut written = 0;
    for call in calls.collect::<Vec<_>>() {
        written += usize::from(call.await.unwrap());
    }
    assert_eq!(written, 2);
}
