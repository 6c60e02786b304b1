//! What a process finds when it opens a slot: how far the last epoch reaches, and whether that is all that was acknowledged.
//!
//! INVARIANT: only bytes behind the last acknowledged batch are ever cut. A batch is acknowledged after its sync, the
//! next one is written only then; so at most one batch, the last, can be torn.

use crate::error::{FileError, OpenError};
use crate::files::read_if_there;
use crate::heads::{HeadState, read_head};
use crate::layout;
use crate::tlog::{Checkpoint, Frontier, Verifier, leaf_hash};
use crate::wal::{Batch, MAX_NOTE, WalReader};
use std::path::{Path, PathBuf};

/// The state of one epoch as its write-ahead file proves it.
#[derive(Clone, Default)]
pub(crate) struct Replayed {
    pub(crate) frontier: Frontier,
    /// Where the last whole batch ends.
    pub(crate) end: u64,
    /// The checkpoint that closes it; `None` when nothing was ever acknowledged in this epoch.
    pub(crate) last: Option<Checkpoint>,
    pub(crate) note: String,
    batches: u64,
}

/// Where a slot is to be continued.
pub(crate) struct SlotState {
    /// 0 when the slot is new.
    pub(crate) epoch: u32,
    pub(crate) replayed: Replayed,
    /// The final checkpoint of the epoch before, needed when `epoch` has no entry yet.
    pub(crate) previous: Option<Checkpoint>,
}

/// Reads a slot and refuses one that has lost what it acknowledged.
pub(crate) fn recover_slot(dir: &Path, slot: u32, verifier: &Verifier) -> Result<SlotState, OpenError> {
    let head = read_head(dir, slot, verifier)?;
    if let HeadState::Invalid(what) = head {
        return Err(OpenError::Damaged { path: layout::head(dir, slot), offset: 0, what });
    }
    let epoch = layout::list_epochs(dir, slot)?.last().copied().unwrap_or(0);
    if let HeadState::Valid { epoch: witnessed, checkpoint } = &head
        && *witnessed > epoch
    {
        let what = format!("it is missing; {} entries were acknowledged in it", checkpoint.size);
        return Err(OpenError::Damaged { path: layout::epoch(dir, slot, *witnessed), offset: 0, what });
    }
    if epoch == 0 {
        return Ok(SlotState { epoch, replayed: Replayed::default(), previous: None });
    }

    let replayed = recover_epoch(dir, slot, epoch, &head, verifier)?;
    // The head is created durably before the second batch of a slot is written.
    if matches!(head, HeadState::Missing) && (epoch > 1 || replayed.batches > 1) {
        let what = "it is missing".to_owned();
        return Err(OpenError::Damaged { path: layout::head(dir, slot), offset: 0, what });
    }
    let previous = if replayed.last.is_none() && epoch > 1 {
        // The process died between creating the epoch and its first commit; the epoch before is still whole.
        let before = recover_epoch(dir, slot, epoch - 1, &head, verifier)?.last;
        // MUTATE(L3-predecessor): a slot goes on behind an epoch that was never there
        if before.is_none() {
            let what = "it is missing, or holds nothing, and a later one is there".to_owned();
            return Err(OpenError::Damaged { path: layout::epoch(dir, slot, epoch - 1), offset: 0, what });
        }
        before
    } else {
        None
    };
    Ok(SlotState { epoch, replayed, previous })
}

fn recover_epoch(
    dir: &Path,
    slot: u32,
    epoch: u32,
    head: &HeadState,
    verifier: &Verifier,
) -> Result<Replayed, OpenError> {
    let epoch_dir = layout::epoch(dir, slot, epoch);
    let wal = layout::wal(&epoch_dir);
    let origin = layout::origin(verifier.name(), slot, epoch);
    let mut witnesses = Vec::new();
    if let HeadState::Valid { checkpoint, .. } = head
        && checkpoint.origin == origin
    {
        witnesses.push(Witness { path: layout::head(dir, slot), checkpoint: checkpoint.clone() });
    }
    witnesses.extend(published_witness(&epoch_dir, &origin, verifier)?);

    match WalReader::open(&wal)? {
        Some(mut reader) => replay(&mut reader, &origin, verifier, &witnesses),
        None => match witnesses.first() {
            None => Ok(Replayed::default()),
            Some(witness) => Err(OpenError::Damaged { path: wal, offset: 0, what: witness.lost(0) }),
        },
    }
}

/// A signed checkpoint outside the write-ahead file that says how far it must reach.
struct Witness {
    path: PathBuf,
    checkpoint: Checkpoint,
}

impl Witness {
    fn lost(&self, found: u64) -> String {
        format!(
            "`{}` proves that {} entries were acknowledged, {found} can be read",
            self.path.display(),
            self.checkpoint.size
        )
    }
}

fn published_witness(
    epoch_dir: &Path,
    origin: &str,
    verifier: &Verifier,
) -> Result<Option<Witness>, OpenError> {
    let path = layout::checkpoint(epoch_dir);
    // An empty file is what a power cut can leave of a name whose content was not yet written.
    let Some(bytes) = read_if_there(&path)?.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
    let checkpoint = std::str::from_utf8(&bytes)
        .map_err(|error| error.to_string())
        .and_then(|note| Checkpoint::open(note, verifier).map_err(|error| error.to_string()));
    match checkpoint {
        Ok(checkpoint) if checkpoint.origin == origin => Ok(Some(Witness { path, checkpoint })),
        Ok(checkpoint) => {
            let what = format!("it is the checkpoint of `{}`", checkpoint.origin);
            Err(OpenError::Damaged { path, offset: 0, what })
        }
        Err(what) => Err(OpenError::Damaged { path, offset: 0, what }),
    }
}

fn replay(
    reader: &mut WalReader,
    origin: &str,
    verifier: &Verifier,
    witnesses: &[Witness],
) -> Result<Replayed, OpenError> {
    let mut state = Replayed::default();
    let mut before_last = Replayed::default();
    let mut stop = None;
    while let Some(batch) = reader.next()? {
        match extend(&state, &batch, origin) {
            Ok(next) => before_last = std::mem::replace(&mut state, next),
            Err(what) => {
                stop = Some((batch.offset, what.to_owned()));
                break;
            }
        }
        for witness in witnesses {
            if witness.checkpoint.size == state.frontier.size()
                && Some(&witness.checkpoint) != state.last.as_ref()
            {
                let what = format!("its history is not the one that `{}` signed", witness.path.display());
                return Err(damaged(reader.path(), batch.offset, what));
            }
        }
    }
    let (mut offset, mut what) = stop.unwrap_or_else(|| (reader.offset(), reader.stop().to_owned()));

    // INVARIANT: a signature covers all entries before it, so the last one is enough. If it is wrong, its batch
    // counts as torn, and the one before must be right.
    if state.last.is_some() && Checkpoint::open(&state.note, verifier).is_err() {
        (offset, what) = (before_last.end, "its last checkpoint is not signed by the log's key".to_owned());
        state = before_last;
        if state.last.is_some() && Checkpoint::open(&state.note, verifier).is_err() {
            return Err(damaged(reader.path(), offset, what));
        }
    }

    // MUTATE(L3-replay): a log that lost acknowledged entries is continued
    let lost = witnesses.iter().find(|witness| witness.checkpoint.size > state.frontier.size());
    if let Some(witness) = lost {
        let reason = if what.is_empty() { "it ends" } else { &what };
        return Err(damaged(
            reader.path(),
            offset,
            format!("{reason}; {}", witness.lost(state.frontier.size())),
        ));
    }
    // Without a witness (a head lags behind after a power cut): one torn batch may be followed by nothing.
    let later = later_checkpoints(reader, offset, origin, &state, verifier)?;
    if later > 1 {
        let what = format!("{what}; {later} signed checkpoints follow the damage");
        return Err(damaged(reader.path(), offset, what));
    }
    Ok(state)
}

/// The state after one more batch, or why the batch does not fit.
pub(crate) fn extend(state: &Replayed, batch: &Batch, origin: &str) -> Result<Replayed, &'static str> {
    let mut frontier = state.frontier.clone();
    for entry in batch.entries() {
        frontier.push(leaf_hash(entry));
    }
    let checkpoint = Checkpoint::parse_unverified(&batch.note).ok_or("a checkpoint is not readable")?;
    if checkpoint.origin != origin {
        return Err("a checkpoint belongs to another log");
    }
    if checkpoint.size != frontier.size() || checkpoint.root != frontier.root() {
        return Err("the entries are not those that the checkpoint after them signed");
    }
    Ok(Replayed {
        frontier,
        end: batch.end,
        last: Some(checkpoint),
        note: batch.note.clone(),
        batches: state.batches.saturating_add(1),
    })
}

/// How many checkpoints of this tree, validly signed and larger than what was read, lie behind `offset`.
fn later_checkpoints(
    reader: &mut WalReader,
    offset: u64,
    origin: &str,
    state: &Replayed,
    verifier: &Verifier,
) -> Result<usize, FileError> {
    let mut later = 0;
    reader.scan(offset, |bytes, starts| {
        let found = find_checkpoints(bytes, starts, origin, verifier);
        later += found.filter(|found| found.size > state.frontier.size()).count();
    })?;
    Ok(later)
}

/// Validly signed checkpoints of one tree that begin within the first `starts` of `bytes`.
pub(crate) fn find_checkpoints<'a>(
    bytes: &'a [u8],
    starts: usize,
    origin: &'a str,
    verifier: &'a Verifier,
) -> impl Iterator<Item = Checkpoint> + 'a {
    let first_line = format!("{origin}\n").into_bytes();
    let candidates = bytes.windows(first_line.len()).enumerate().take(starts);
    candidates.filter_map(move |(at, window)| {
        if window != first_line {
            return None;
        }
        let note = bytes.get(at..)?;
        let note = note.get(..MAX_NOTE.min(note.len()))?;
        // The note ends with the newline of its signature line, the first after the em dash.
        let signature = note.windows(3).position(|window| window == "\u{2014}".as_bytes())?;
        let end = signature + note.get(signature..)?.iter().position(|byte| *byte == b'\n')? + 1;
        Checkpoint::open(std::str::from_utf8(note.get(..end)?).ok()?, verifier).ok()
    })
}

fn damaged(path: &Path, offset: u64, what: String) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), offset, what }
}
