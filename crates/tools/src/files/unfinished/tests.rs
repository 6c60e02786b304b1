//! A server that was killed in the middle of a change, at each of its moments: what is left behind goes if people let it go, and stays if not.

use std::{fs, path::Path};

use super::*;

fn world() -> (tempfile::TempDir, Folder) {
    let (dir, folder) = crate::files::change::tests::world();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    (dir, folder)
}

/// Leaves a file behind as a kill would: nothing of ours runs any more, the name stays.
fn abandon(folder: &Folder, content: &[u8], loses: Option<&[u8]>) -> String {
    let directory = folder.root().directory(&RelPath::parse("a/b").unwrap()).unwrap();
    let made = Unfinished::create(directory.as_fd(), 0o600, loses.map(Digest::of)).unwrap();
    std::io::Write::write_all(&mut &made.file, content).unwrap();
    let name = made.name.clone();
    made.keep();
    name
}

fn left(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir.join("a/b"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn content_that_never_took_its_place_goes() {
    let (dir, folder) = world();
    abandon(&folder, b"half of it", Some(b"old"));
    abandon(&folder, b"", None);
    fs::write(dir.path().join("a/b").join(name(Made::Now, None)), "").unwrap();
    assert_eq!(sweep_after(&folder, 0), Swept { removed: 3, kept: Vec::new() });
    assert_eq!(left(dir.path()), Vec::<String>::new());
}

#[test]
fn content_that_people_let_go_goes() {
    let (dir, folder) = world();
    let here = dir.path().join("a/b");
    // The names were exchanged, or the file put aside, and then the server was killed.
    let replaced = abandon(&folder, b"new", Some(b"old"));
    fs::rename(here.join(&replaced), here.join("file")).unwrap();
    fs::write(here.join(&replaced), "old").unwrap();
    fs::write(here.join(aside(Digest::of(b"deleted"))), "deleted").unwrap();
    assert_eq!(sweep_after(&folder, 0), Swept { removed: 2, kept: Vec::new() });
    assert_eq!(left(dir.path()), ["file"]);
}

#[test]
fn content_that_nobody_let_go_stays_and_is_named() {
    let (dir, folder) = world();
    let here = dir.path().join("a/b");
    let replaced = abandon(&folder, b"new", Some(b"old"));
    fs::rename(here.join(&replaced), here.join("file")).unwrap();
    let foreign = format!("{UNFINISHED}of-somebody-else");
    let mut kept = [replaced, aside(Digest::of(b"deleted")), name(Made::Now, None), foreign];
    for name in &kept {
        fs::write(here.join(name), "nobody saw this").unwrap();
    }
    kept.sort();
    let mut swept = sweep_after(&folder, 0);
    swept.kept.sort();
    assert_eq!(swept, Swept { removed: 0, kept: kept.clone().map(|name| format!("a/b/{name}")).to_vec() });
    assert_eq!(left(dir.path()).len(), kept.len() + 1);
}

#[test]
fn what_is_no_file_of_ours_is_not_opened() {
    let (dir, folder) = world();
    let here = dir.path().join("a/b");
    fs::write(dir.path().join("outside"), "old").unwrap();
    let (link, hard) = (aside(Digest::of(b"old")), aside(Digest::of(b"old")));
    std::os::unix::fs::symlink("../../outside", here.join(link)).unwrap();
    fs::hard_link(dir.path().join("outside"), here.join(hard)).unwrap();
    let swept = sweep_after(&folder, 0);
    assert_eq!((swept.removed, swept.kept.len()), (0, 2));
    assert_eq!(fs::read_to_string(dir.path().join("outside")).unwrap(), "old");
}

#[test]
fn a_change_under_way_is_left_alone() {
    let (dir, folder) = world();
    let directory = folder.root().directory(&RelPath::parse("a/b").unwrap()).unwrap();
    let writing = Unfinished::create(directory.as_fd(), 0o600, None).unwrap();
    assert_eq!(sweep_after(&folder, 0), Swept::default(), "somebody holds it");
    assert_eq!(left(dir.path()), std::slice::from_ref(&writing.name));
    drop(writing);
    abandon(&folder, b"new", None);
    assert_eq!(sweep(&folder), Swept::default(), "it was written a moment ago");
    sweep_here(&folder, directory.as_fd());
    assert_eq!(left(dir.path()).len(), 1);
}
