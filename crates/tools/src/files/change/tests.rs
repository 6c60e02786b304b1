//! A file that changes between the moment when it was read and the moment of the change: nothing is lost.

use std::fs;

use super::*;
use crate::files::{FolderSettings, Globs, Root};

fn world() -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let settings = FolderSettings {
        tenant: None,
        write: true,
        scratch: false,
        deny: Globs::denying(&[]).unwrap(),
        max_read: 1024,
        max_file: 1024,
        max_entries: 10,
        max_search: 10,
    };
    fs::write(dir.path().join("f"), "seen").unwrap();
    let root = Root::open("r", dir.path()).unwrap();
    (dir, Folder::new(root, settings))
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

fn names(dir: &tempfile::TempDir) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_write_over_what_nobody_saw_is_undone() {
    let (dir, folder) = world();
    let before = Before::read(&folder, &path("f")).unwrap();
    fs::write(dir.path().join("f"), "unseen").unwrap();
    assert_eq!(put(&folder, &path("f"), &before, b"new"), Err(Refusal::Changed));
    assert_eq!(fs::read_to_string(dir.path().join("f")).unwrap(), "unseen");
    fs::remove_file(dir.path().join("f")).unwrap();
    assert_eq!(put(&folder, &path("f"), &before, b"new"), Err(Refusal::Changed));
    assert_eq!(names(&dir), Vec::<String>::new());
}

#[test]
fn a_new_file_takes_nobodys_place() {
    let (dir, folder) = world();
    let before = Before::read(&folder, &path("n")).unwrap();
    fs::write(dir.path().join("n"), "unseen").unwrap();
    assert_eq!(put(&folder, &path("n"), &before, b"new"), Err(Refusal::Changed));
    assert_eq!(fs::read_to_string(dir.path().join("n")).unwrap(), "unseen");
    assert_eq!(names(&dir), ["f", "n"]);
}

#[test]
fn a_deletion_of_what_nobody_saw_is_undone() {
    let (dir, folder) = world();
    fs::write(dir.path().join("f"), "unseen").unwrap();
    assert_eq!(remove(&folder, &path("f"), b"seen"), Err(Refusal::Changed));
    assert_eq!(fs::read_to_string(dir.path().join("f")).unwrap(), "unseen");
    assert_eq!(names(&dir), ["f"]);
}

#[test]
fn a_move_of_another_file_is_undone() {
    let (dir, folder) = world();
    let identity = identity(&folder.root().status(&path("f")).unwrap());
    fs::remove_file(dir.path().join("f")).unwrap();
    fs::write(dir.path().join("other"), "kept, so that no number is used again").unwrap();
    fs::write(dir.path().join("f"), "unseen").unwrap();
    assert_eq!(rename(&folder, &path("f"), &path("g"), identity), Err(Refusal::Changed));
    assert_eq!(names(&dir), ["f", "other"]);
}

#[test]
fn what_an_approval_rests_on_tells_an_empty_file_from_none() {
    let (dir, folder) = world();
    fs::write(dir.path().join("empty"), "").unwrap();
    let digest = |name: &str| Before::read(&folder, &path(name)).unwrap().digest();
    assert_ne!(digest("empty"), digest("none"));
    assert_ne!(digest("empty"), digest("f"));
}
