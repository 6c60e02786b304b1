//! The file system of a jail with namespaces: an empty root in memory, onto which the listed parts of the host are mounted read-only.

use std::{
    ffi::OsStr,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
        UnmountFlags,
    },
    process::Pid,
};

use super::setup;
use crate::{
    door,
    jail::{Bind, Jail, JailError, NOBODY, SCRATCH},
};

/// The nodes of `/dev` that every program may use.
pub(super) const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Folders that exist everywhere; the new root is mounted on one for as long as it is being built.
const STAGES: [&str; 3] = ["/tmp", "/run", "/usr"];

const PLAIN: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);

/// Replaces this process's file system.
pub(super) fn build(jail: &Jail) -> Result<(), JailError> {
    // INVARIANT: nothing below may ever run outside namespaces of its own: it would take the host's file system apart.
    if rustix::process::getpid() != Pid::INIT {
        return Err(setup("namespaces of its own")(Errno::PERM));
    }
    rustix::system::sethostname(b"jail").map_err(setup("the host name"))?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(setup("private mounts"))?;
    let root = mounted("tmpfs", &[("size", "2m"), ("nr_inodes", "512"), ("mode", "0755")], PLAIN)
        .map_err(setup("the root"))?;
    // INVARIANT: the host's parts are taken before the stage hides what lies under it.
    let parts = parts(jail)?;
    let stage = STAGES.iter().find(|stage| Path::new(stage).is_dir()).copied().unwrap_or("/usr");
    attach(&root, CWD, stage.as_ref()).map_err(setup("the root"))?;
    let view = View { root };
    view.fill(jail, parts)?;
    // MUTATE(E1-root): the root can be written
    door::set_mount_attributes(view.root.as_fd(), libc::MOUNT_ATTR_RDONLY, false)
        .map_err(setup("the read-only root"))?;
    view.enter().map_err(setup("the change of root"))
}

/// A part of the host, with the attributes that it has in the jail, mounted nowhere yet.
enum Part {
    Link(PathBuf),
    Folder(OwnedFd),
    File(OwnedFd),
}

impl Part {
    /// Takes a part of the host. A symbolic link is taken as such and not followed.
    fn take(host: &Path, attributes: u64) -> io::Result<Part> {
        let kind = host.symlink_metadata()?.file_type();
        if kind.is_symlink() {
            return Ok(Part::Link(std::fs::read_link(host)?));
        }
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let flags = flags | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        let tree = rustix::mount::open_tree(CWD, host, flags)?;
        // MUTATE(E1-read-only): the host's files can be written
        door::set_mount_attributes(tree.as_fd(), attributes, true)?;
        Ok(if kind.is_dir() { Part::Folder(tree) } else { Part::File(tree) })
    }
}

/// Every listed part of the host and its place, a folder before what lies in it.
fn parts(jail: &Jail) -> Result<Vec<(Bind, Part)>, JailError> {
    let view = &jail.view;
    let plain = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    let device = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;
    let read_only = view.read_only.iter().map(|bind| (bind.clone(), plain | libc::MOUNT_ATTR_RDONLY));
    let read_write = view.read_write.iter().map(|bind| (bind.clone(), plain | libc::MOUNT_ATTR_NOEXEC));
    let devices = DEVICES.iter().map(|path| (Bind::same(path), device));
    let mut binds: Vec<(Bind, u64)> = read_only.chain(read_write).chain(devices).collect();
    binds.sort_by_key(|(bind, _)| bind.jail.components().count());
    let take = |(bind, attributes): (Bind, u64)| {
        let part = Part::take(&bind.host, attributes).map_err(|source| shown(&bind.host, source))?;
        Ok((bind, part))
    };
    binds.into_iter().map(take).collect()
}

fn shown(path: &Path, source: io::Error) -> JailError {
    JailError::View { path: path.to_owned(), source }
}

struct View {
    root: OwnedFd,
}

impl View {
    fn fill(&self, jail: &Jail, parts: Vec<(Bind, Part)>) -> Result<(), JailError> {
        for (bind, part) in parts {
            self.show(&bind.jail, &part).map_err(|source| shown(&bind.host, source))?;
        }
        for (path, bytes) in &jail.view.files {
            self.file(path, bytes).map_err(|source| shown(path, source))?;
        }
        for (link, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
            let (link, target) = (format!("/dev/{link}"), format!("/proc/self/fd{target}"));
            self.link(link.as_ref(), target.as_ref()).map_err(setup("its devices"))?;
        }
        self.processes().map_err(setup("its processes"))?;
        self.scratch(jail.limits.scratch).map_err(setup("its scratch folder"))
    }

    fn show(&self, path: &Path, part: &Part) -> io::Result<()> {
        match part {
            Part::Link(points_to) => self.link(path, points_to),
            Part::Folder(tree) => attach_at(tree, self.folder(path)?.as_fd()),
            Part::File(tree) => attach_at(tree, self.empty_file(path)?.as_fd()),
        }
    }

    /// Lays a small file into the root.
    fn file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o644))?;
        io::Write::write_all(&mut std::fs::File::from(file), bytes)
    }

    fn link(&self, path: &Path, points_to: &Path) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        match rustix::fs::symlinkat(points_to, folder, name) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// `/proc` of the jail's own processes alone. A container may forbid it: then there is none, and the jail is no weaker.
    fn processes(&self) -> io::Result<()> {
        let target = self.folder(Path::new("/proc"))?;
        let hardened = PLAIN | MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_RDONLY;
        match mounted("proc", &[("subset", "pid"), ("hidepid", "2")], hardened) {
            Ok(proc) => attach_at(&proc, target.as_fd()),
            Err(Errno::PERM) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn scratch(&self, bytes: u64) -> io::Result<()> {
        let (size, nobody) = (bytes.to_string(), NOBODY.to_string());
        let options = [
            ("size", size.as_str()),
            ("nr_inodes", "4096"),
            ("mode", "0700"),
            ("uid", &nobody),
            ("gid", &nobody),
        ];
        let scratch = mounted("tmpfs", &options, PLAIN | MountAttrFlags::MOUNT_ATTR_NOEXEC)?;
        attach_at(&scratch, self.folder(Path::new(SCRATCH))?.as_fd())?;
        self.link(Path::new("/tmp"), Path::new(SCRATCH))
    }

    /// The folder at a path of the jail, made if it is missing.
    ///
    /// INVARIANT: every path is resolved with the jail's root as root. Links in the jail may be absolute, and until the change of root the
    /// kernel would take such a link to the host's files.
    fn folder(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut made = PathBuf::from("/");
        let mut folder = self.open(&made)?;
        for part in path.components().filter(|part| matches!(part, Component::Normal(_))) {
            made.push(part);
            folder = match self.open(&made) {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&folder, part.as_os_str(), Mode::from_raw_mode(0o755))?;
                    self.open(&made)?
                }
                found => found?,
            };
        }
        Ok(folder)
    }

    /// The file at a path of the jail, made if it is missing, to be mounted on.
    fn empty_file(&self, path: &Path) -> io::Result<OwnedFd> {
        let (folder, name) = self.place(path)?;
        match self.open(path) {
            Err(Errno::NOENT) => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o644))?;
                Ok(self.open(path)?)
            }
            found => Ok(found?),
        }
    }

    /// The folder that holds a path of the jail, and its last part.
    fn place<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        Ok((self.folder(path.parent().unwrap_or(path))?, name))
    }

    fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// Makes it the root, and takes the host's away.
    fn enter(self) -> io::Result<()> {
        rustix::process::fchdir(&self.root)?;
        rustix::process::pivot_root(".", ".")?;
        // The old root now lies on top of the new one.
        // MUTATE(E1-host): the host's file system stays mounted
        rustix::mount::unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")?;
        Ok(())
    }
}

/// A new file system that is mounted nowhere yet.
fn mounted(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (name, value) in options {
        rustix::mount::fsconfig_set_string(context.as_fd(), *name, *value)?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn attach(mount: &OwnedFd, folder: BorrowedFd<'_>, path: &OsStr) -> Result<(), Errno> {
    rustix::mount::move_mount(mount.as_fd(), "", folder, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

fn attach_at(mount: &OwnedFd, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(rustix::mount::move_mount(mount.as_fd(), "", target, "", flags)?)
}
