//! Heads: the latest signed checkpoint of each slot, kept outside the slot.
//!
//! A head is one write of 512 bytes after each commit, not synced: it survives the death of the process, and
//! shows when the slot beside it was cut or put back. It is never ahead of what is durable.

use crate::error::{At, FileError, OpenError};
use crate::files::{create_dir, read_if_there, sync_dir};
use crate::layout;
use crate::tlog::{Checkpoint, Verifier};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Size of a head file: the note, padded with zero bytes. One sector, so that it is replaced as a whole.
const HEAD_SIZE: usize = 512;
/// A reader may meet a head in the middle of a write; it looks again this often before it believes in damage.
const READ_ATTEMPTS: u32 = 8;

/// The head file of the slot that this process writes.
pub(crate) struct HeadFile {
    file: File,
    path: PathBuf,
}

impl HeadFile {
    /// Opens or creates the head file, its name durable.
    pub(crate) fn open(dir: &Path, slot: u32) -> Result<HeadFile, FileError> {
        let heads = layout::heads(dir);
        create_dir(&heads)?;
        let path = layout::head(dir, slot);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .at("open", &path)?;
        sync_dir(&heads)?;
        Ok(HeadFile { file, path })
    }

    /// Replaces the head.
    pub(crate) fn write(&self, note: &str) -> Result<(), FileError> {
        let mut sector = [0u8; HEAD_SIZE];
        sector.iter_mut().zip(note.bytes()).for_each(|(to, from)| *to = from);
        self.file.write_all_at(&sector, 0).at("write", &self.path)
    }

    /// Makes the head durable.
    pub(crate) fn sync(&self) -> Result<(), FileError> {
        self.file.sync_data().at("sync", &self.path)
    }
}

/// What a head file says.
pub(crate) enum HeadState {
    /// There is none, or it was created and not yet written.
    Missing,
    /// It is not a checkpoint of this slot signed by the log's key.
    Invalid(String),
    /// The slot had reached this size in this epoch.
    Valid { epoch: u32, checkpoint: Checkpoint },
}

/// Reads the head of a slot.
pub(crate) fn read_head(dir: &Path, slot: u32, verifier: &Verifier) -> Result<HeadState, FileError> {
    let mut state = HeadState::Missing;
    for _ in 0..READ_ATTEMPTS {
        state = read_once(dir, slot, verifier)?;
        if matches!(state, HeadState::Valid { .. }) {
            break;
        }
        std::thread::yield_now();
    }
    Ok(state)
}

fn read_once(dir: &Path, slot: u32, verifier: &Verifier) -> Result<HeadState, FileError> {
    let Some(bytes) = read_if_there(&layout::head(dir, slot))? else { return Ok(HeadState::Missing) };
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let Some((note, padding)) = bytes.split_at_checked(end) else { return Ok(HeadState::Missing) };
    if bytes.is_empty() {
        return Ok(HeadState::Missing);
    }
    if bytes.len() != HEAD_SIZE || padding.iter().any(|byte| *byte != 0) {
        return Ok(HeadState::Invalid("it does not have the size and padding of a head".to_owned()));
    }
    let Ok(note) = std::str::from_utf8(note) else {
        return Ok(HeadState::Invalid("it is not text".to_owned()));
    };
    let checkpoint = match Checkpoint::open(note, verifier) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return Ok(HeadState::Invalid(error.to_string())),
    };
    match layout::parse_origin(&checkpoint.origin, verifier.name()) {
        Some((of, epoch)) if of == slot => Ok(HeadState::Valid { epoch, checkpoint }),
        _ => Ok(HeadState::Invalid(format!("it is the head of `{}`", checkpoint.origin))),
    }
}

/// The heads of all slots but `own`, for a record that witnesses them. Unreadable ones are refused.
pub(crate) fn other_heads(
    dir: &Path,
    own: u32,
    verifier: &Verifier,
) -> Result<Vec<crate::records::Head>, OpenError> {
    let mut heads = Vec::new();
    for slot in layout::list_heads(dir)? {
        if slot == own {
            continue;
        }
        match read_head(dir, slot, verifier)? {
            HeadState::Missing => {}
            HeadState::Valid { epoch, checkpoint } => {
                heads.push(crate::records::Head::new(slot, epoch, &checkpoint));
            }
            HeadState::Invalid(what) => {
                return Err(OpenError::Damaged { path: layout::head(dir, slot), offset: 0, what });
            }
        }
    }
    Ok(heads)
}
