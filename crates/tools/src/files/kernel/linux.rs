//! openat2 (Linux 5.6), and renames that never overwrite unseen.

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        self, AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags, Stat, XattrFlags,
    },
    io::Errno,
    process::{Gid, Uid},
};

use super::Open;

/// How often a lookup is tried again that the kernel gave up because of a rename elsewhere.
const TRIES: usize = 64;

/// File systems that hold no files but the kernel's own state, and names that lead to other processes.
const KERNEL_FILE_SYSTEMS: [i64; 23] = [
    0x9fa0,      // proc
    0x4249_4e4d, // binfmt_misc
    0x6e73_6673, // nsfs
    0x5049_5045, // pipefs
    0x534f_434b, // sockfs
    0x6573_5543, // fusectl
    0xde5e_81e4, // efivarfs
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x0765_5821, // resctrl
    0x6759_6969, // rpc_pipefs
    0x6e66_7364, // nfsd
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x1cd1,      // devpts
    0x6165_676c, // pstore
    0x6265_6570, // configfs
    0x1980_0202, // mqueue
];

/// Opens the directory that a root is.
pub(in super::super) fn open_root(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    fs::open(path, flags, Mode::empty())
}

/// Whether a directory lies in a file system of the kernel's own state.
pub(in super::super) fn is_kernel_state(dir: BorrowedFd<'_>) -> Result<bool, Errno> {
    let kind = fs::fstatfs(dir)?.f_type;
    #[allow(clippy::unnecessary_cast, reason = "the type differs between architectures")]
    Ok(KERNEL_FILE_SYSTEMS.contains(&(kind as i64)))
}

/// Opens what `path` names below `dir`; a symbolic link anywhere in it is refused with `ELOOP`.
pub(in super::super) fn open(dir: BorrowedFd<'_>, path: &str, how: Open) -> Result<OwnedFd, Errno> {
    // MUTATE(C1-beneath): the kernel no longer keeps lookups below the root
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV
        | ResolveFlags::NO_SYMLINKS;
    // A FIFO is not waited for, and a terminal does not become ours.
    let common = OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let (flags, mode) = match how {
        Open::Look => (OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()),
        Open::Read => (OFlags::RDONLY | common, Mode::empty()),
        Open::List => (OFlags::RDONLY | OFlags::DIRECTORY | common, Mode::empty()),
        Open::Create { mode } => {
            (OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | common, Mode::from_raw_mode(mode & 0o777))
        }
    };
    let path = if path.is_empty() { "." } else { path };
    for _ in 0..TRIES {
        match fs::openat2(dir, path, flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => return done,
        }
    }
    Err(Errno::AGAIN)
}

/// What is known of something that is open.
pub(in super::super) fn stat(fd: impl AsFd) -> Result<Stat, Errno> {
    fs::fstat(fd)
}

/// The status of a name in a directory; of a symbolic link, its own.
pub(in super::super) fn status(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Stat, Errno> {
    fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// What a file is, from its status.
pub(in super::super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Where a symbolic link leads that was opened with [`Open::Look`].
pub(in super::super) fn read_link(link: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    Ok(fs::readlinkat(link, "", Vec::new())?.into_bytes())
}

/// A name in a directory, and what it names.
type Named = (Vec<u8>, FileType);

/// The names in a directory and what they name, as far as it says, without `.` and `..`; at most `limit` of them, and whether there are
/// more.
pub(in super::super) fn list(dir: BorrowedFd<'_>, limit: usize) -> Result<(Vec<Named>, bool), Errno> {
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if names.len() == limit {
            return Ok((names, true));
        }
        names.push((name.to_vec(), entry.file_type()));
    }
    Ok((names, false))
}

/// Makes a directory.
pub(in super::super) fn make_dir(dir: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    fs::mkdirat(dir, name, Mode::from_raw_mode(0o777))
}

/// Removes a file.
pub(in super::super) fn remove(dir: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    fs::unlinkat(dir, name, AtFlags::empty())
}

/// Gives a file a name that nothing has yet.
pub(in super::super) fn rename_new(
    from: (BorrowedFd<'_>, &str),
    to: (BorrowedFd<'_>, &str),
) -> Result<(), Errno> {
    fs::renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE)
}

/// Exchanges two names of one directory, in one step.
pub(in super::super) fn exchange(dir: BorrowedFd<'_>, one: &str, other: &str) -> Result<(), Errno> {
    fs::renameat_with(dir, one, dir, other, RenameFlags::EXCHANGE)
}

/// Makes changes of a directory last.
pub(in super::super) fn sync(dir: BorrowedFd<'_>) -> Result<(), Errno> {
    fs::fsync(dir)
}

/// Gives a file the permissions of another, and nothing beyond: no set-user-id.
pub(in super::super) fn set_mode(file: &File, mode: u32) -> Result<(), Errno> {
    fs::fchmod(file, Mode::from_raw_mode(mode & 0o777))
}

/// Gives a file to a group, and to a user.
pub(in super::super) fn give(file: &File, owner: Option<Uid>, group: Gid) -> Result<(), Errno> {
    fs::fchown(file, owner, Some(group))
}

/// Where the kernel keeps a file's access list.
const ACCESS_LIST: &str = "system.posix_acl_access";
/// Bytes of the longest access list that is carried over.
const MAX_LIST: usize = 64 << 10;

/// The access list of a file (POSIX.1e); none where there is none.
pub(in super::super) fn access_list(file: &File) -> Result<Option<Vec<u8>>, Errno> {
    let mut list = vec![0; MAX_LIST];
    match fs::fgetxattr(file, ACCESS_LIST, list.as_mut_slice()) {
        Ok(length) => {
            list.truncate(length);
            Ok(Some(list))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Gives a file an access list, or takes the one away that its directory gave it.
pub(in super::super) fn set_access_list(file: &File, list: Option<&[u8]>) -> Result<(), Errno> {
    let set = match list {
        Some(list) => return fs::fsetxattr(file, ACCESS_LIST, list, XattrFlags::empty()),
        None => fs::fremovexattr(file, ACCESS_LIST),
    };
    match set {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        done => done,
    }
}

/// Locks a file for as long as it is open; an error if somebody else has.
pub(in super::super) fn lock(file: &File) -> Result<(), Errno> {
    fs::flock(file, FlockOperation::NonBlockingLockExclusive)
}
