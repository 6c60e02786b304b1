//! Systems without openat2: nothing is opened, so there are no roots and no file tools.

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{FileType, Stat},
    io::Errno,
    process::{Gid, Uid},
};

use super::Open;

type Dir<'d> = BorrowedFd<'d>;

pub(in super::super) fn open_root(_: &Path) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn is_kernel_state(_: Dir<'_>) -> Result<bool, Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn open(_: Dir<'_>, _: &str, _: Open) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn stat(fd: impl AsFd) -> Result<Stat, Errno> {
    rustix::fs::fstat(fd)
}

pub(in super::super) fn status(_: Dir<'_>, _: &[u8]) -> Result<Stat, Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(in super::super) fn read_link(_: Dir<'_>) -> Result<Vec<u8>, Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn list(_: Dir<'_>, _: usize) -> Result<(Vec<(Vec<u8>, FileType)>, bool), Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn make_dir(_: Dir<'_>, _: &str) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn remove(_: Dir<'_>, _: &str) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn rename_new(_: (Dir<'_>, &str), _: (Dir<'_>, &str)) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn exchange(_: Dir<'_>, _: &str, _: &str) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn sync(_: Dir<'_>) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn set_mode(_: &File, _: u32) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn give(_: &File, _: Option<Uid>, _: Gid) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn access_list(_: &File) -> Result<Option<Vec<u8>>, Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn set_access_list(_: &File, _: Option<&[u8]>) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

pub(in super::super) fn lock(_: &File) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}
