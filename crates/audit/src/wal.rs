//! The write-ahead file of one epoch: what was acknowledged lies here, in batches, each closed by a signed checkpoint.
//!
//! ```text
//! file  = "countersign-wal1" batch* zero*
//! batch = entry* checkpoint
//! entry      = 'E' length(u32, big-endian) bytes
//! checkpoint = 'C' length(u32, big-endian) signed note
//! ```
//! A batch is one write and one sync. There is no checksum: the checkpoint's root hash covers every entry byte.

use crate::error::{At, FileError};
use crate::files::open_if_there;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub(crate) const MAGIC: &[u8; 16] = b"countersign-wal1";
/// The longest entry, in bytes: the length prefix of an entry bundle has 16 bits.
pub const MAX_ENTRY: usize = 60 * 1024;
/// The longest signed checkpoint.
pub(crate) const MAX_NOTE: usize = 512;
/// No batch is longer; the queue is bounded well below it.
pub(crate) const MAX_BATCH: usize = 24 * 1024 * 1024;
/// No file is longer: an epoch ends at 2^18 entries.
const MAX_WAL: u64 = 32 << 30;
const ENTRY: u8 = b'E';
const CHECKPOINT: u8 = b'C';
const READ_CHUNK: usize = 64 * 1024;

/// Appends an entry frame. `entry` has at most [`MAX_ENTRY`] bytes.
pub(crate) fn put_entry(batch: &mut Vec<u8>, entry: &[u8]) {
    put_frame(batch, ENTRY, entry);
}

/// Appends the frame that closes a batch.
pub(crate) fn put_checkpoint(batch: &mut Vec<u8>, note: &str) {
    put_frame(batch, CHECKPOINT, note.as_bytes());
}

fn put_frame(batch: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    batch.push(kind);
    batch.extend_from_slice(&length.to_be_bytes());
    batch.extend_from_slice(payload);
}

/// One batch as it was read; its checkpoint is not yet checked.
pub(crate) struct Batch {
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// Where the next one begins.
    pub(crate) end: u64,
    /// The signed checkpoint that closes it.
    pub(crate) note: String,
    bytes: Vec<u8>,
    entries: Vec<Range<usize>>,
}

impl Batch {
    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().filter_map(|range| self.bytes.get(range.clone()))
    }
}

/// Reads batches from the start of the file, a chunk at a time.
pub(crate) struct WalReader {
    file: File,
    path: PathBuf,
    /// File offset of the first byte that is not yet consumed: always the start of a batch.
    offset: u64,
    buffer: Vec<u8>,
    /// How many bytes of `buffer` are consumed.
    consumed: usize,
    /// Nothing at or beyond this offset is read.
    limit: u64,
    stop: &'static str,
}

impl WalReader {
    /// Opens the file; `None` when there is none. A file shorter than its magic has no batches.
    pub(crate) fn open(path: &Path) -> Result<Option<WalReader>, FileError> {
        let Some(file) = open_if_there(path, MAX_WAL)? else { return Ok(None) };
        Ok(Some(WalReader {
            file,
            path: path.to_owned(),
            offset: 0,
            buffer: Vec::new(),
            consumed: 0,
            limit: u64::MAX,
            stop: "",
        }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next batch begins, or would begin.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Why the last call of [`next`](Self::next) found no batch; empty when the file simply ends there.
    pub(crate) fn stop(&self) -> &'static str {
        self.stop
    }

    /// From now on reads nothing at or beyond `limit`.
    pub(crate) fn limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Reads again from the batch at `offset`, so that the next read sees what was written since.
    pub(crate) fn rewind(&mut self, offset: u64) {
        self.offset = offset;
        self.buffer.clear();
        self.consumed = 0;
    }

    /// The next whole batch, or `None` where no whole batch follows (see [`stop`](Self::stop)).
    pub(crate) fn next(&mut self) -> Result<Option<Batch>, FileError> {
        loop {
            let rest = self.rest();
            let parsed = if self.offset == 0 { parse_magic(rest) } else { parse_batch(rest) };
            match parsed {
                Parsed::Magic => {
                    self.consume(MAGIC.len());
                }
                Parsed::Batch { length, entries, note } => {
                    let offset = self.offset;
                    let bytes = self.consume(length);
                    self.stop = "";
                    return Ok(Some(Batch { offset, end: self.offset, note, bytes, entries }));
                }
                Parsed::Stop(why) => {
                    self.stop = why;
                    return Ok(None);
                }
                Parsed::More(why) => {
                    if self.fill()? == 0 {
                        self.stop = if self.rest().is_empty() { "" } else { why };
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Shows all bytes from `offset` on, piece by piece; the reader stands at `offset` afterwards. Of each piece the number of bytes comes along at
    /// which a note may begin that nobody has seen: all of it lies in this piece. Pieces of zeroes, claimed ahead and not yet used, are left out.
    pub(crate) fn scan(&mut self, offset: u64, mut see: impl FnMut(&[u8], usize)) -> Result<(), FileError> {
        self.rewind(offset);
        loop {
            let ended = self.fill()? == 0;
            let rest = self.rest();
            let seen = if ended { rest.len() } else { rest.len().saturating_sub(MAX_NOTE) };
            if rest.iter().any(|byte| *byte != 0) {
                see(rest, seen);
            }
            if ended {
                self.rewind(offset);
                return Ok(());
            }
            self.offset = self.offset.saturating_add(seen as u64);
            self.consumed = seen;
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.consumed..).unwrap_or_default()
    }

    fn consume(&mut self, length: usize) -> Vec<u8> {
        let bytes = self.rest().get(..length).unwrap_or_default().to_vec();
        self.offset = self.offset.saturating_add(length as u64);
        self.consumed = self.consumed.saturating_add(length);
        bytes
    }

    /// Reads one more chunk behind the buffer; 0 at the end of the file or at the limit.
    fn fill(&mut self) -> Result<usize, FileError> {
        self.buffer.drain(..self.consumed.min(self.buffer.len()));
        self.consumed = 0;
        let position = self.offset.saturating_add(self.buffer.len() as u64);
        let wanted = self.limit.saturating_sub(position).min(READ_CHUNK as u64) as usize;
        let old_length = self.buffer.len();
        self.buffer.resize(old_length.saturating_add(wanted), 0);
        let target = self.buffer.get_mut(old_length..).unwrap_or_default();
        let read = self.file.read_at(target, position).at("read", &self.path);
        self.buffer.truncate(old_length.saturating_add(*read.as_ref().unwrap_or(&0)));
        read
    }
}

enum Parsed {
    Magic,
    Batch {
        length: usize,
        entries: Vec<Range<usize>>,
        note: String,
    },
    /// No batch begins here, or this is none. Empty reason: the unused part of the file.
    Stop(&'static str),
    /// The bytes end too early; the reason counts when there are no more.
    More(&'static str),
}

fn parse_magic(bytes: &[u8]) -> Parsed {
    match bytes.first_chunk::<16>() {
        Some(MAGIC) => Parsed::Magic,
        Some([0, ..]) => Parsed::Stop(""),
        Some(_) => Parsed::Stop("the file does not begin as a log file does"),
        None => Parsed::More("the file is shorter than its first line"),
    }
}

fn parse_batch(bytes: &[u8]) -> Parsed {
    let mut entries = Vec::new();
    let mut rest = bytes;
    loop {
        let at = bytes.len() - rest.len();
        if at > MAX_BATCH {
            return Parsed::Stop("a batch has no end");
        }
        let Some((kind, tail)) = rest.split_first() else {
            return Parsed::More("the file ends inside a batch");
        };
        match *kind {
            ENTRY | CHECKPOINT => {}
            0 if at == 0 => return Parsed::Stop(""),
            0 => return Parsed::Stop("a batch was not written to its end"),
            _ => return Parsed::Stop("no entry or checkpoint begins where one should"),
        }
        let Some((length, tail)) = tail.split_first_chunk::<4>() else {
            return Parsed::More("the file ends inside a batch");
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 || length > if *kind == ENTRY { MAX_ENTRY } else { MAX_NOTE } {
            return Parsed::Stop("an entry or checkpoint has an impossible length");
        }
        let Some((payload, tail)) = tail.split_at_checked(length) else {
            return Parsed::More("the file ends inside a batch");
        };
        let start = at + 5;
        if *kind == ENTRY {
            entries.push(start..start + length);
            rest = tail;
            continue;
        }
        return match std::str::from_utf8(payload) {
            Ok(note) => Parsed::Batch { length: start + length, entries, note: note.to_owned() },
            Err(_) => Parsed::Stop("a checkpoint is not text"),
        };
    }
}
