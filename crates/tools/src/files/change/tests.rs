//! A file that changes between the moment when it was read and the moment of the change: nothing is lost.

use std::fs;

use super::*;
use crate::files::{FolderSettings, Globs, Root};

pub(in crate::files) fn world() -> (tempfile::TempDir, Folder) {
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
        quota: None,
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

/// An access list as the kernel keeps it: the owner reads and writes, user 4243 reads, the file's group does not, nor do others.
const LIST: &[(u16, u16, u32)] =
    &[(1, 6, u32::MAX), (2, 4, 4243), (4, 0, u32::MAX), (0x10, 4, u32::MAX), (0x20, 0, u32::MAX)];

fn list() -> Vec<u8> {
    let entry = |&(tag, rights, id): &(u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    LIST.iter().fold(2_u32.to_le_bytes().to_vec(), |list, one| [list, entry(one)].concat())
}

fn set_list(path: &std::path::Path, name: &str) {
    rustix::fs::setxattr(path, name, &list(), rustix::fs::XattrFlags::empty()).unwrap();
}

#[test]
fn a_file_keeps_its_owner_group_and_access_list() {
    let (dir, folder) = world();
    let file = dir.path().join("f");
    std::os::unix::fs::chown(&file, Some(4241), Some(4242)).unwrap();
    set_list(&file, "system.posix_acl_access");
    let before = Before::read(&folder, &path("f")).unwrap();
    put(&folder, &path("f"), &before, b"new").unwrap();
    let (stat, kept) = (folder.root().status(&path("f")).unwrap(), fs::File::open(&file).unwrap());
    assert_eq!((stat.st_uid, stat.st_gid, stat.st_mode & 0o777), (4241, 4242, 0o640));
    assert_eq!(kernel::access_list(&kept).unwrap().unwrap(), list());
}

#[test]
fn a_directory_opens_no_file_that_was_closed() {
    let (dir, folder) = world();
    fs::set_permissions(dir.path().join("f"), std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    set_list(dir.path(), "system.posix_acl_default");
    let before = Before::read(&folder, &path("f")).unwrap();
    put(&folder, &path("f"), &before, b"new").unwrap();
    let file = fs::File::open(dir.path().join("f")).unwrap();
    assert_eq!(kernel::access_list(&file).unwrap(), None);
}

#[test]
fn another_group_does_not_read_what_one_could() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let (dir, folder) = world();
    let file = dir.path().join("f");
    std::os::unix::fs::chown(&file, None, Some(4242)).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o654)).unwrap();
    let before = Before::read(&folder, &path("f")).unwrap();
    // A server that is not root may not give files to groups that it is not in. The thread of this test becomes one.
    let mut rights = capabilities(None).unwrap();
    rights.effective.remove(CapabilitySet::CHOWN);
    set_capabilities(None, rights).unwrap();
    put(&folder, &path("f"), &before, b"new").unwrap();
    let stat = folder.root().status(&path("f")).unwrap();
    assert_ne!(stat.st_gid, 4242);
    assert_eq!(stat.st_mode & 0o777, 0o644, "what group and others had in common");
    assert_eq!(common(0o640, false), 0o600);
    assert_eq!(common(0o666, true), 0o600);
}
