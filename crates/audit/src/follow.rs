//! Reads a write-ahead file that its owner may be writing at this moment, without ever mistaking a write under way for damage.

use crate::error::FileError;
use crate::layout;
use crate::recover::{Replayed, extend, find_checkpoints};
use crate::tlog::Verifier;
use crate::wal::{Batch, WalReader};
use std::path::Path;

/// A write-ahead file being followed. Every batch that comes out was checked against its checkpoint's root.
pub(crate) struct Follower {
    reader: WalReader,
    origin: String,
    state: Replayed,
}

/// What comes next in the file.
pub(crate) enum Step {
    /// A batch whose entries are those that its checkpoint signed. The signature itself is not yet checked.
    Batch(Batch),
    /// Nothing whole follows now. `torn` when something follows that was never completed.
    End { torn: Option<&'static str> },
    /// Something signed cannot be read any more.
    Damaged { offset: u64, what: String },
}

impl Follower {
    /// Opens the file of an epoch; `None` when there is none (any more).
    pub(crate) fn open(
        dir: &Path,
        slot: u32,
        epoch: u32,
        verifier: &Verifier,
    ) -> Result<Option<Follower>, FileError> {
        let wal = layout::wal(&layout::epoch(dir, slot, epoch));
        let origin = layout::origin(verifier.name(), slot, epoch);
        let follower = |reader| Follower { reader, origin, state: Replayed::default() };
        Ok(WalReader::open(&wal)?.map(follower))
    }

    pub(crate) fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// The next batch. May be called again after the end, to see what was written since.
    pub(crate) fn next(&mut self, verifier: &Verifier) -> Result<Step, FileError> {
        // INVARIANT: a batch is written front to back by one call. A reader that overtakes it may see the end of a
        // batch without its middle; a second look, begun after the end was seen, finds all of it.
        let mut first_look = true;
        loop {
            let offset = self.reader.offset();
            let stop = match self.reader.next()? {
                None => self.reader.stop(),
                Some(batch) => match extend(&self.state, &batch, &self.origin) {
                    Ok(next) => {
                        self.state = next;
                        return Ok(Step::Batch(batch));
                    }
                    Err(what) => what,
                },
            };
            // An empty file has no batch; its reader stands behind the first line, if that is there.
            let offset = if stop.is_empty() { self.reader.offset() } else { offset };
            let read = self.state.frontier.size();
            let (mut later, mut written) = (0, false);
            self.reader.scan(offset, |bytes, starts| {
                let found = find_checkpoints(bytes, starts, &self.origin, verifier);
                later += found.filter(|found| found.size > read).count();
                written = true;
            })?;
            if later == 0 {
                return Ok(Step::End { torn: written.then_some(stop) });
            }
            if !first_look {
                let reason = if stop.is_empty() { "entries were overwritten" } else { stop };
                let what = format!("{reason}; what follows was signed with {later} more checkpoints");
                return Ok(Step::Damaged { offset, what });
            }
            first_look = false;
        }
    }
}
