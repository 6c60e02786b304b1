//! Reading, listing and searching: limits, encodings, and what policy hides.

use std::{fs, os::unix::fs::symlink};

use countersign_tools::files::{FolderSettings, Globs, Root};
use serde_json::json;

use super::world::{KIB, World, folder, settings};

#[tokio::test]
async fn a_file_is_read_whole_in_ranges_and_in_lines() {
    let world = World::new(settings());
    fs::write(world.data().join("a.txt"), "one\ntwo\nthree\nß").unwrap();
    let whole = world.call("read_file", json!({"path": "a.txt"})).await.unwrap();
    assert_eq!(whole["content"], "one\ntwo\nthree\nß");
    assert_eq!(whole["size"], 16);
    assert_eq!(whole["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(whole.get("next_offset"), None);
    let part =
        world.call("read_file", json!({"path": "a.txt", "range": {"offset": 4, "length": 3}})).await.unwrap();
    assert_eq!((&part["content"], &part["next_offset"]), (&json!("two"), &json!(7)));
    assert_eq!(part.get("sha256"), None);
    let cut = world
        .call("read_file", json!({"path": "a.txt", "range": {"offset": 13, "length": 2}}))
        .await
        .unwrap();
    assert_eq!((&cut["content"], &cut["next_offset"]), (&json!("\n"), &json!(14)), "a character is not torn");
    let lines = world
        .call("read_file", json!({"path": "a.txt", "range": {"first_line": 2, "lines": 2}}))
        .await
        .unwrap();
    assert_eq!((&lines["content"], &lines["next_line"]), (&json!("two\nthree\n"), &json!(4)));
    let rest = world.call("read_file", json!({"path": "a.txt", "range": {"first_line": 4}})).await.unwrap();
    assert_eq!((&rest["content"], rest.get("next_line")), (&json!("ß"), None));
    let both = world.refused("read_file", json!({"path": "a.txt", "range": {"offset": 1, "lines": 1}})).await;
    assert!(both.contains("/range"), "{both}");
}

#[tokio::test]
async fn encodings_are_strict() {
    let world = World::new(settings());
    fs::write(world.data().join("b"), [b'a', 0xe9, 0x00]).unwrap();
    let read =
        async |encoding: &str| world.call("read_file", json!({"path": "b", "encoding": encoding})).await;
    assert!(read("utf-8").await.unwrap_err().message.contains("not UTF-8"));
    assert!(read("ascii").await.unwrap_err().message.contains("not ASCII"));
    assert_eq!(read("base64").await.unwrap()["content"], "YekA");
    assert!(read("latin-1").await.unwrap()["content"].as_str().unwrap().starts_with("aé"));
    assert!(read("utf-7").await.unwrap_err().message.contains("/encoding"));
}

#[tokio::test]
async fn an_answer_holds_no_more_of_a_file_than_its_root_allows() {
    let world = World::new(settings());
    fs::write(world.data().join("f"), "x".repeat(100 << 10)).unwrap();
    let answer = world.call("read_file", json!({"path": "f"})).await.unwrap();
    assert_eq!(
        (answer["content"].as_str().unwrap().len(), &answer["next_offset"]),
        (64 << 10, &json!(64 * KIB))
    );
}

#[tokio::test]
async fn a_large_file_is_cut_at_the_limit_and_never_held_whole() {
    let world = World::new(settings());
    let sparse = fs::File::create(world.data().join("large")).unwrap();
    sparse.set_len(64 << 30).unwrap();
    let before = peak_memory();
    let first = world.call("read_file", json!({"path": "large", "encoding": "latin-1"})).await.unwrap();
    assert_eq!(first["next_offset"], 64 * KIB);
    let far = json!({"path": "large", "encoding": "base64", "range": {"offset": (64_u64 << 30) - 3}});
    assert_eq!(world.call("read_file", far).await.unwrap()["content"], "AAAA");
    let line = world.refused("read_file", json!({"path": "large", "range": {"first_line": 1}})).await;
    assert!(line.contains("longer than"), "{line}");
    let edited =
        world.refused("edit_file", json!({"path": "large", "edits": [{"old": "a", "new": "b"}]})).await;
    assert!(edited.contains("262144 bytes"), "{edited}");
    let searched = world.call("search_files", json!({"pattern": "INSIDE"})).await.unwrap();
    assert_eq!((&searched["skipped"], &searched["files"]), (&json!(1), &json!(3)));
    assert!(peak_memory() - before < 64 << 10, "{} KiB more", peak_memory() - before);
}

/// The most memory that this process has used, in KiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn a_listing_shows_what_policy_and_the_root_do_not_hide() {
    let deny = ["*.pem".to_owned()];
    let world = World::new(FolderSettings { deny: Globs::denying(&deny).unwrap(), ..settings() });
    fs::write(world.data().join("key.PEM"), "x").unwrap();
    symlink("report.txt", world.data().join("link")).unwrap();
    world.rules.deny.lock().unwrap().push("notes");
    let listed = world.call("list_directory", json!({})).await.unwrap();
    let names: Vec<&str> =
        listed["entries"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["link", "report.txt", "sub"]);
    let kinds: Vec<&str> =
        listed["entries"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["link", "file", "directory"]);
    assert_eq!(listed["entries"][1]["size"], 6);
}

#[tokio::test]
async fn a_long_listing_comes_in_pages() {
    let world = World::new(settings());
    for number in 0..25 {
        fs::write(world.data().join(format!("sub/f{number:02}")), "").unwrap();
    }
    let mut seen = Vec::new();
    let mut skip = json!(0);
    while !skip.is_null() {
        let page = world.call("list_directory", json!({"path": "sub", "skip": skip})).await.unwrap();
        assert!(page["entries"].as_array().unwrap().len() <= 10);
        seen.extend(
            page["entries"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap().to_owned()),
        );
        skip = page["next"].clone();
    }
    assert_eq!(seen.len(), 26);
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn a_search_finds_lines_and_reads_no_file_that_policy_hides() {
    let world = World::new(settings());
    fs::create_dir_all(world.data().join("src/deep")).unwrap();
    fs::write(world.data().join("src/a.rs"), "fn main() {}\nlet token = 1;\n").unwrap();
    fs::write(world.data().join("src/deep/b.rs"), "// TOKEN\r\n").unwrap();
    fs::write(world.data().join("src/binary"), b"token\0").unwrap();
    fs::write(world.data().join("src/hidden.rs"), "token of others").unwrap();
    symlink("../../secret.txt", world.data().join("src/out")).unwrap();
    symlink("..", world.data().join("src/loop")).unwrap();
    world.rules.deny.lock().unwrap().push("hidden");
    let search = json!({"path": "src", "pattern": "token", "ignore_case": true});
    let found = world.call("search_files", search).await.unwrap();
    let expected = json!([
        {"path": "src/a.rs", "line": 2, "text": "let token = 1;"}, {"path": "src/deep/b.rs", "line": 1, "text": "// TOKEN"}
    ]);
    assert_eq!(found["matches"], expected);
    assert_eq!(
        (&found["files"], &found["skipped"], &found["truncated"]),
        (&json!(2), &json!(1), &json!(false))
    );
    let outside = world.call("search_files", json!({"pattern": "OUTSIDE"})).await.unwrap();
    assert_eq!(outside["matches"], json!([]));
    let named = world.call("search_files", json!({"glob": ["*.rs"], "exclude": ["deep"]})).await.unwrap();
    assert_eq!(named["matches"], json!([{"path": "src/a.rs"}]));
    let literal = world.call("search_files", json!({"pattern": "main()", "literal": true})).await.unwrap();
    assert_eq!(literal["matches"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_search_is_bounded_in_files_matches_and_pattern() {
    let world = World::new(settings());
    for number in 0..80 {
        fs::write(world.data().join(format!("sub/f{number:02}")), "hit\n".repeat(10)).unwrap();
    }
    let many = world.call("search_files", json!({"pattern": "hit", "max_matches": 1000})).await.unwrap();
    assert_eq!((&many["truncated"], &many["files"]), (&json!(true), &json!(50)));
    let few = world.call("search_files", json!({"pattern": "hit", "max_matches": 3})).await.unwrap();
    assert_eq!((few["matches"].as_array().unwrap().len(), &few["truncated"]), (3, &json!(true)));
    let large = world.refused("search_files", json!({"pattern": "(a{1000}){1000}"})).await;
    assert!(large.contains("/pattern") && large.contains("too large"), "{large}");
    let look = world.refused("search_files", json!({"pattern": "(?=a)"})).await;
    assert!(look.contains("regular expression"), "{look}");
    // Exponential for engines that go back: linear here.
    fs::write(world.data().join("evil"), "a".repeat(100_000)).unwrap();
    let started = std::time::Instant::now();
    world.call("search_files", json!({"path": "evil", "pattern": "(a*)*b"})).await.unwrap();
    assert!(started.elapsed().as_secs() < 10);
}

#[tokio::test]
async fn the_hash_of_a_large_file_is_computed_on_request() {
    let world = World::new(FolderSettings { max_read: 1 << 20, max_file: 1 << 20, ..settings() });
    for (size, comes_along) in [(256 << 10, true), ((256 << 10) + 1, false)] {
        fs::write(world.data().join("f"), vec![b'a'; size]).unwrap();
        let read = world.call("read_file", json!({"path": "f"})).await.unwrap();
        assert_eq!(read.get("sha256").is_some(), comes_along, "{size}");
        let stat = world.call("stat_file", json!({"path": "f", "hash": true})).await.unwrap();
        assert_eq!(stat["sha256"].as_str().unwrap().len(), 64);
    }
}

#[tokio::test]
async fn a_part_that_holds_no_whole_character_is_refused() {
    let world = World::new(settings());
    fs::write(world.data().join("euro"), "€uro").unwrap();
    let read = |length: u64| json!({"path": "euro", "range": {"offset": 0, "length": length}});
    let refused = world.refused("read_file", read(2)).await;
    assert!(refused.contains("longer than `length`"), "{refused}");
    assert_eq!(world.call("read_file", read(3)).await.unwrap()["next_offset"], 3);
}

/// A pattern that is large and slow over a line that has no end: the caller goes, and so does the work.
#[test]
fn a_search_stops_within_a_line() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = World::new(settings());
    fs::write(world.data().join("line"), "a".repeat(256 << 10)).unwrap();
    let slow = json!({"path": "line", "pattern": "(?:[a-z]{1,100}[a-z]{1,100}){1,10}[0-9A-Z]"});
    let started = std::time::Instant::now();
    let call = async {
        tokio::time::timeout(std::time::Duration::from_millis(300), world.call("search_files", slow)).await
    };
    let ended = runtime.block_on(call);
    assert!(ended.is_err(), "the search is not slow: {ended:?}");
    // Waits for the work.
    drop(runtime);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[tokio::test]
async fn looking_at_a_file_tells_kind_size_and_hash() {
    let world = World::new(settings());
    let stat = world.call("stat_file", json!({"path": "report.txt", "hash": true})).await.unwrap();
    let read = world.call("read_file", json!({"path": "report.txt"})).await.unwrap();
    assert_eq!((&stat["kind"], &stat["size"], &stat["sha256"]), (&json!("file"), &json!(6), &read["sha256"]));
    assert_eq!(world.call("stat_file", json!({"path": "sub"})).await.unwrap()["kind"], "directory");
    assert!(world.refused("stat_file", json!({"path": "none"})).await.contains("no such file"));
}

#[tokio::test]
async fn policy_decides_on_the_true_path_before_the_caller_learns_what_is_there() {
    let world = World::new(settings());
    symlink("sub/inner.txt", world.data().join("alias")).unwrap();
    world.call("read_file", json!({"path": "alias"})).await.unwrap();
    assert_eq!(*world.rules.asked.lock().unwrap(), ["read file data/sub/inner.txt"]);
    world.rules.deny.lock().unwrap().push("data/private");
    let missing = world.refused("read_file", json!({"path": "private/none"})).await;
    fs::create_dir(world.data().join("private")).unwrap();
    symlink("/etc/passwd", world.data().join("private/none")).unwrap();
    let outside = world.refused("read_file", json!({"path": "private/none"})).await;
    assert_eq!(missing, outside);
    assert!(missing.contains("policy refuses file data/private/none"), "{missing}");
}

#[tokio::test]
async fn other_mounts_below_a_root_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::of(dir, &[folder("all", std::path::Path::new("/"), settings())]);
    assert!(fs::read_to_string("/proc/self/status").unwrap().contains("Pid:"), "the attack does not work");
    for path in ["proc/self/status", "/proc/self/status", "dev/null", "sys/kernel/notes"] {
        let refused = world.refused("read_file", json!({"path": path})).await;
        assert!(refused.contains("another mount"), "{path}: {refused}");
    }
    assert!(Root::open("proc", std::path::Path::new("/proc")).is_err());
}

#[tokio::test]
async fn names_that_are_no_text_are_counted_and_not_shown() {
    use std::os::unix::ffi::OsStrExt as _;
    let world = World::new(settings());
    let name = std::ffi::OsStr::from_bytes(b"\xff.txt");
    fs::write(world.data().join("sub").join(name), "").unwrap();
    fs::write(world.data().join("sub/esc\u{1b}[31m"), "").unwrap();
    let listed = world.call("list_directory", json!({"path": "sub"})).await.unwrap();
    assert_eq!(listed["unreadable"], 2);
    assert_eq!(listed["entries"], json!([{"name": "inner.txt", "kind": "file", "size": 6}]));
}
