//! Where everything lies below the log directory.
//!
//! ```text
//! DIR/vkey                                verifier key line: all that `verify` needs, nothing secret
//! DIR/keys/log.key                        signing key line, mode 0600
//! DIR/keys/hmac-000-000001.key            fingerprint key of slot 0, epoch 1, mode 0600
//! DIR/heads/slot-000                      the latest signed checkpoint of slot 0
//! DIR/slot-000/lock                       locked by the process that writes slot 0
//! DIR/slot-000/epoch-000001/wal           what was acknowledged, until the epoch is complete and published
//! DIR/slot-000/epoch-000001/checkpoint    published: a C2SP tlog-tiles log with this directory as its prefix
//! DIR/slot-000/epoch-000001/tile/…
//! ```
//! Everything but `keys` may be copied to an auditor or served as it is.

use crate::error::{At, FileError};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The number of slots, that is of processes that may write one log directory at once.
pub const MAX_SLOTS: u32 = 64;

pub(crate) fn vkey(dir: &Path) -> PathBuf {
    dir.join("vkey")
}

pub(crate) fn keys(dir: &Path) -> PathBuf {
    dir.join("keys")
}

pub(crate) fn signing_key(dir: &Path) -> PathBuf {
    keys(dir).join("log.key")
}

pub(crate) fn fingerprint_key(dir: &Path, slot: u32, epoch: u32) -> PathBuf {
    keys(dir).join(format!("hmac-{slot:03}-{epoch:06}.key"))
}

pub(crate) fn heads(dir: &Path) -> PathBuf {
    dir.join("heads")
}

pub(crate) fn head(dir: &Path, slot: u32) -> PathBuf {
    heads(dir).join(slot_name(slot))
}

pub(crate) fn slot(dir: &Path, slot: u32) -> PathBuf {
    dir.join(slot_name(slot))
}

pub(crate) fn lock(dir: &Path, slot_number: u32) -> PathBuf {
    slot(dir, slot_number).join("lock")
}

pub(crate) fn epoch(dir: &Path, slot_number: u32, epoch: u32) -> PathBuf {
    slot(dir, slot_number).join(epoch_name(epoch))
}

/// The name of an epoch's write-ahead file.
pub(crate) const WAL: &str = "wal";

pub(crate) fn wal(epoch_dir: &Path) -> PathBuf {
    epoch_dir.join(WAL)
}

pub(crate) fn checkpoint(epoch_dir: &Path) -> PathBuf {
    epoch_dir.join("checkpoint")
}

fn slot_name(slot: u32) -> String {
    format!("slot-{slot:03}")
}

fn epoch_name(epoch: u32) -> String {
    format!("epoch-{epoch:06}")
}

/// The origin line of one tree. No two trees of a log directory share it.
pub(crate) fn origin(key_name: &str, slot: u32, epoch: u32) -> String {
    format!("{key_name}/slot-{slot:03}/epoch-{epoch:06}")
}

/// Slot and epoch from an origin line of this log.
pub(crate) fn parse_origin(origin: &str, key_name: &str) -> Option<(u32, u32)> {
    let rest = origin.strip_prefix(key_name)?.strip_prefix("/slot-")?;
    let (slot, epoch) = rest.split_once("/epoch-")?;
    let (slot, epoch) = (slot.parse().ok()?, epoch.parse().ok()?);
    (self::origin(key_name, slot, epoch) == origin).then_some((slot, epoch))
}

/// Numbers of the slots that have a directory, ascending.
pub(crate) fn list_slots(dir: &Path) -> Result<Vec<u32>, FileError> {
    list_numbers(dir, slot_name)
}

/// Numbers of the slots that have a head, ascending.
pub(crate) fn list_heads(dir: &Path) -> Result<Vec<u32>, FileError> {
    list_numbers(&heads(dir), slot_name)
}

/// Numbers of the epochs of a slot, ascending.
pub(crate) fn list_epochs(dir: &Path, slot_number: u32) -> Result<Vec<u32>, FileError> {
    list_numbers(&slot(dir, slot_number), epoch_name)
}

/// The partial files in a tile's or bundle's `.p` directory with their widths, narrowest first; other names are left alone.
pub(crate) fn partials(dir: &Path) -> Result<Vec<(PathBuf, u64)>, FileError> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries.at("list", dir)?,
    };
    for entry in entries {
        let entry = entry.at("list", dir)?;
        let width = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
        found.extend(width.map(|width| (entry.path(), width)));
    }
    found.sort_unstable_by_key(|(_, width)| *width);
    Ok(found)
}

/// The numbers of the names that `name_of` makes; other names are left alone, `slot-1` for `slot-001` among them.
fn list_numbers(dir: &Path, name_of: fn(u32) -> String) -> Result<Vec<u32>, FileError> {
    let mut numbers = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(numbers),
        entries => entries.at("list", dir)?,
    };
    for entry in entries {
        let name = entry.at("list", dir)?.file_name();
        let number = name.to_str().and_then(|name| name.rsplit_once('-')?.1.parse::<u32>().ok());
        // MUTATE(L3-names): other spellings of a number stand for a slot or an epoch
        let number = number.filter(|number| name.to_str() == Some(name_of(*number).as_str()));
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}
