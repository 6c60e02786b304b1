//! Where paths lead, with real links, hard links and races of one step.

use std::{fs, io::Read as _, os::unix::fs::symlink};

use super::*;

/// A root `data`, and beside it what must stay out of reach.
fn world() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir_all(data.join("sub")).unwrap();
    fs::write(dir.path().join("secret.txt"), "SECRET").unwrap();
    fs::write(data.join("report.txt"), "report").unwrap();
    fs::write(data.join("sub/inner.txt"), "inner").unwrap();
    let root = Root::open("data", &data).unwrap();
    (dir, root)
}

fn resolve(root: &Root, path: &str) -> Result<(String, Kind), Refusal> {
    let found = root.resolve(&RelPath::parse(path).unwrap())?;
    Ok((found.path.as_str().to_owned(), found.kind))
}

#[test]
fn links_that_stay_inside_show_their_true_path() {
    let (dir, root) = world();
    let data = dir.path().join("data");
    symlink("sub/inner.txt", data.join("one")).unwrap();
    symlink("one", data.join("two")).unwrap();
    symlink("../report.txt", data.join("sub/up")).unwrap();
    symlink("sub", data.join("dir")).unwrap();
    assert_eq!(resolve(&root, "two"), Ok(("sub/inner.txt".into(), Kind::File)));
    assert_eq!(resolve(&root, "sub/up"), Ok(("report.txt".into(), Kind::File)));
    assert_eq!(resolve(&root, "dir"), Ok(("sub".into(), Kind::Directory)));
    assert_eq!(resolve(&root, "dir/new/x"), Ok(("sub/new/x".into(), Kind::Missing)));
    assert_eq!(resolve(&root, "absent/x"), Ok(("absent/x".into(), Kind::Missing)));
    let mut text = String::new();
    root.file(&RelPath::parse("sub/inner.txt").unwrap()).unwrap().0.read_to_string(&mut text).unwrap();
    assert_eq!(text, "inner");
}

#[test]
fn links_that_lead_out_are_refused_though_the_system_follows_them() {
    let (dir, root) = world();
    let data = dir.path().join("data");
    symlink("../secret.txt", data.join("out")).unwrap();
    symlink("sub/../../secret.txt", data.join("winding")).unwrap();
    symlink(dir.path().join("secret.txt"), data.join("absolute")).unwrap();
    symlink("..", data.join("parent")).unwrap();
    for path in ["out", "winding", "absolute", "parent/secret.txt"] {
        assert_eq!(fs::read_to_string(data.join(path)).unwrap(), "SECRET", "the attack does not work");
        assert_eq!(resolve(&root, path), Err(Refusal::Outside), "{path}");
        assert!(root.file(&RelPath::parse(path).unwrap()).is_err(), "{path}");
    }
    symlink("loop", data.join("loop")).unwrap();
    assert_eq!(resolve(&root, "loop"), Err(Refusal::Links));
}

#[test]
fn a_link_that_appears_after_resolution_is_not_followed() {
    let (dir, root) = world();
    let data = dir.path().join("data");
    let path = root.resolve(&RelPath::parse("sub/inner.txt").unwrap()).unwrap().path;
    fs::write(dir.path().join("inner.txt"), "SECRET").unwrap();
    fs::rename(data.join("sub"), data.join("old")).unwrap();
    symlink("..", data.join("sub")).unwrap();
    assert_eq!(fs::read_to_string(data.join("sub/inner.txt")).unwrap(), "SECRET");
    assert_eq!(root.file(&path).map(drop), Err(Refusal::Links));
}

#[test]
fn hard_links_and_special_files_are_refused() {
    let (dir, root) = world();
    let data = dir.path().join("data");
    fs::hard_link(dir.path().join("secret.txt"), data.join("hard")).unwrap();
    assert_eq!(fs::read_to_string(data.join("hard")).unwrap(), "SECRET");
    assert_eq!(root.file(&RelPath::parse("hard").unwrap()).map(drop), Err(Refusal::Linked));
    let _socket = std::os::unix::net::UnixListener::bind(data.join("socket")).unwrap();
    let refused = root.file(&RelPath::parse("socket").unwrap()).map(drop);
    assert_eq!(refused, Err(Refusal::Kind { found: "a socket", wanted: "a file" }));
}

#[test]
fn roots_that_are_no_folders_are_refused() {
    let (dir, _root) = world();
    assert!(matches!(Root::open("proc", Path::new("/proc")), Err(RootError::Kernel)));
    assert!(matches!(Root::open("sys", Path::new("/sys")), Err(RootError::Kernel)));
    assert!(matches!(Root::open("file", &dir.path().join("secret.txt")), Err(RootError::Open(_))));
    assert!(matches!(Root::open("none", &dir.path().join("none")), Err(RootError::Open(_))));
}
