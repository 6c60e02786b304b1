//! Statements about how far a tree had come, each held against the tree as it is now.

use super::{Check, HeadState};
use crate::error::FileError;
use crate::layout;
use crate::records::{Head, LogRecord};
use crate::tlog::{Checkpoint, Frontier, Hash, split_notes};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A tree had this root at this size.
pub(super) struct Witness {
    slot: u32,
    epoch: u32,
    size: u64,
    root: Hash,
    /// Where it is said.
    file: PathBuf,
    /// The caller gave it, so the caller is told when it holds.
    given: bool,
}

/// Checkpoints that the caller kept.
pub(super) fn from_checkpoints(text: &str, check: &mut Check<'_>) -> Vec<Witness> {
    let file = PathBuf::from("the given checkpoint");
    let mut witnesses = Vec::new();
    let notes = split_notes(&text.replace('\0', ""));
    if notes.is_empty() {
        check.problem(None, &file, None, "it holds no signed checkpoint".to_owned(), "nothing was compared");
    }
    for note in notes {
        let checkpoint = Checkpoint::open(&note, &check.verifier);
        let place =
            checkpoint.as_ref().ok().and_then(|c| layout::parse_origin(&c.origin, check.verifier.name()));
        match (checkpoint, place) {
            (Ok(Checkpoint { size, root, .. }), Some((slot, epoch))) => {
                witnesses.push(Witness { slot, epoch, size, root, file: file.clone(), given: true });
            }
            (Ok(checkpoint), None) => {
                let what = format!("it is of another log, `{}`", checkpoint.origin);
                check.problem(None, &file, None, what, "nothing was compared");
            }
            (Err(error), _) => check.problem(None, &file, None, error.to_string(), "nothing was compared"),
        }
    }
    witnesses
}

/// The head of a slot.
pub(super) fn from_head(slot: u32, head: HeadState, check: &mut Check<'_>) -> Option<Witness> {
    let file = layout::head(check.dir, slot);
    match head {
        HeadState::Missing => None,
        HeadState::Valid { epoch, checkpoint } => {
            let Checkpoint { size, root, .. } = checkpoint;
            Some(Witness { slot, epoch, size, root, file, given: false })
        }
        HeadState::Invalid(what) => {
            check.problem(
                Some(slot),
                &file,
                None,
                what,
                "it was changed; how far the slot had come is unknown",
            );
            None
        }
    }
}

/// What a start or rotation record of `slot` says about the others.
pub(super) fn from_record(slot: u32, epoch: u32, record: &LogRecord) -> impl Iterator<Item = Witness> {
    let file = PathBuf::from(format!("the records of slot {slot} epoch {epoch}"));
    record.witnessed.iter().filter_map(move |head: &Head| {
        let Head { slot, epoch, size, .. } = *head;
        Some(Witness { slot, epoch, size, root: head.root()?, file: file.clone(), given: false })
    })
}

/// Holds every statement against the trees as they are now.
///
/// INVARIANT: a tree is read after the statement about it was, so a statement is never newer than the tree.
pub(super) fn check_all(witnesses: Vec<Witness>, check: &mut Check<'_>) -> Result<(), FileError> {
    let mut by_tree: BTreeMap<(u32, u32), Vec<Witness>> = BTreeMap::new();
    for witness in witnesses {
        by_tree.entry((witness.slot, witness.epoch)).or_default().push(witness);
    }
    missing_slots(by_tree.keys().map(|(slot, _)| *slot).max(), check)?;
    for ((slot, epoch), mut witnesses) in by_tree {
        let leaves = super::epoch::leaf_hashes(slot, epoch, check)?;
        witnesses.sort_by_key(|witness| witness.size);
        let mut frontier = Frontier::default();
        let mut leaves = leaves.into_iter();
        for witness in witnesses {
            while frontier.size() < witness.size
                && let Some(leaf) = leaves.next()
            {
                frontier.push(leaf);
            }
            judge(&witness, &frontier, check);
        }
    }
    Ok(())
}

fn judge(witness: &Witness, tree: &Frontier, check: &mut Check<'_>) {
    let Witness { slot, epoch, size, .. } = *witness;
    if tree.size() < size {
        let path = layout::epoch(check.dir, slot, epoch);
        let what = format!("{} proves {size} entries, {} can be read", witness.file.display(), tree.size());
        let meaning = "acknowledged entries are missing: it was cut, removed or put back to an earlier state";
        check.problem(Some(slot), &path, None, what, meaning);
    } else if tree.root() != witness.root {
        let path = layout::epoch(check.dir, slot, epoch);
        let what = format!("its first {size} entries are not those that {} proves", witness.file.display());
        check.problem(Some(slot), &path, None, what, "the history was rewritten");
    } else if witness.given {
        let line = format!("slot {slot} epoch {epoch}: {size} entries {}", STANDARD.encode(witness.root));
        check.report.consistent_with.push(line);
    }
}

/// Slots are taken in order, so every number below one that was ever used must be there.
fn missing_slots(highest_witnessed: Option<u32>, check: &mut Check<'_>) -> Result<(), FileError> {
    let present = layout::list_slots(check.dir)?;
    let Some(highest) = present.iter().copied().chain(highest_witnessed).max() else { return Ok(()) };
    // MUTATE(L3-slots): slots that no log has are missed one by one
    let last = highest.min(layout::MAX_SLOTS);
    for slot in 0..=last {
        if !present.contains(&slot) {
            let path = layout::slot(check.dir, slot);
            check.problem(
                Some(slot),
                &path,
                None,
                "it is missing".to_owned(),
                "all entries of the slot are lost",
            );
        }
    }
    Ok(())
}
