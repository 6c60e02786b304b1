//! Checks a log directory from outside: while it is served, without configuration, without the signing key.
//!
//! Every entry is hashed again, every published file compared with what the signed checkpoints demand, and every
//! statement about how far a slot had come (its head, the records of other slots, older checkpoints that the caller
//! kept) held against what is there.

mod epoch;
mod report;
mod witness;

pub use report::{Finding, Report, SlotReport};

use crate::error::{FileError, OpenError};
use crate::follow::Follower;
use crate::heads::{HeadState, read_head};
use crate::keys::load_verifier;
use crate::layout;
use crate::records::{Head, LogEvent};
use crate::tlog::Verifier;
use base64::{Engine, engine::general_purpose::STANDARD};
use epoch::EpochView;
use std::path::Path;
use witness::Witness;

/// What to verify against.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// The verifier key that you trust; without it, the one in the directory is taken on trust.
    pub vkey: Option<String>,
    /// Signed checkpoints that were kept elsewhere, one note after the other.
    pub since: Option<String>,
}

/// Checks everything below `dir`.
///
/// # Errors
/// Only when nothing can be checked at all: the directory cannot be read, or there is no valid key to check with.
/// All else is in the report.
pub fn verify(dir: &Path, options: &VerifyOptions) -> Result<Report, OpenError> {
    let mut check = Check::new(dir, options)?;
    let mut witnesses = Vec::new();
    if let Some(since) = &options.since {
        witnesses.extend(witness::from_checkpoints(since, &mut check));
    }
    for slot in layout::list_heads(dir)? {
        // INVARIANT: a head is read before its slot, so that the slot is never behind it by mere timing.
        let head = read_head(dir, slot, &check.verifier)?;
        witnesses.extend(witness::from_head(slot, head, &mut check));
    }
    let slots = layout::list_slots(dir)?;
    for slot in &slots {
        verify_slot(*slot, &mut check, &mut witnesses)?;
    }
    witness::check_all(witnesses, &mut check)?;
    Ok(check.report)
}

/// A verification under way.
struct Check<'a> {
    dir: &'a Path,
    verifier: Verifier,
    report: Report,
}

impl<'a> Check<'a> {
    fn new(dir: &'a Path, options: &VerifyOptions) -> Result<Check<'a>, OpenError> {
        let beside = load_verifier(dir);
        let path = layout::vkey(dir);
        let trusted = match &options.vkey {
            None => None,
            Some(line) => Some(
                Verifier::parse(line.trim())
                    .map_err(|source| OpenError::Key { path: path.clone(), source })?,
            ),
        };
        let (verifier, matches) = match (trusted, beside) {
            (None, beside) => (beside?, true),
            (Some(trusted), Ok(beside)) => (trusted.clone(), trusted == beside),
            (Some(trusted), Err(_)) => (trusted, false),
        };
        let report = Report { key: verifier.to_string(), ..Report::default() };
        let mut check = Check { dir, verifier, report };
        if !matches {
            let what = "it is not the key that you trust".to_owned();
            check.problem(None, &path, None, what, "the log may have been replaced by another");
        }
        Ok(check)
    }

    fn finding(
        &self,
        slot: Option<u32>,
        file: &Path,
        offset: Option<u64>,
        what: String,
        meaning: &'static str,
    ) -> Finding {
        let file = file.strip_prefix(self.dir).unwrap_or(file).display().to_string();
        Finding { slot, file, offset, what, meaning }
    }

    fn problem(
        &mut self,
        slot: Option<u32>,
        file: &Path,
        offset: Option<u64>,
        what: String,
        meaning: &'static str,
    ) {
        let finding = self.finding(slot, file, offset, what, meaning);
        self.report.problems.push(finding);
    }

    fn notice(&mut self, slot: u32, file: &Path, offset: u64, what: String, meaning: &'static str) {
        let finding = self.finding(Some(slot), file, Some(offset), what, meaning);
        self.report.notices.push(finding);
    }
}

/// So many numbers that are missing are told one by one; names can leave gaps of any size.
const MAX_MISSING: usize = 100;

/// Checks the epochs of a slot and the chain between them; adds what its records say about other slots.
fn verify_slot(slot: u32, check: &mut Check<'_>, witnesses: &mut Vec<Witness>) -> Result<(), FileError> {
    let mut before: Option<EpochView> = None;
    let (mut entries, mut expected) = (0u64, 1u32);
    loop {
        let epochs = layout::list_epochs(check.dir, slot)?;
        let Some(number) = epochs.into_iter().find(|number| *number >= expected) else { break };
        // MUTATE(L3-gap): every number that is missing is told
        for missing in (expected..number).take(MAX_MISSING) {
            let path = layout::epoch(check.dir, slot, missing);
            check.problem(Some(slot), &path, None, "it is missing".to_owned(), "all its entries are lost");
        }
        let view = verify_settled(slot, number, check)?;
        check_chain(slot, before.as_ref(), &view, number == expected, check);
        for record in &view.links {
            // MUTATE(L3-witness): slots do not remember each other
            witnesses.extend(witness::from_record(slot, number, record));
        }
        entries = entries.saturating_add(view.size);
        if view.size > 0 || before.is_none() {
            before = Some(view);
        }
        // There is none after the last number.
        let Some(next) = number.checked_add(1) else { break };
        expected = next;
    }
    let Some(last) = before else {
        let path = layout::slot(check.dir, slot);
        let meaning = "a process that never wrote, or all that was there was taken away";
        check.notice(slot, &path, 0, "it holds nothing".to_owned(), meaning);
        return Ok(());
    };
    // The newest epoch is still being written, so its write-ahead file must be there, unless it was completed just now.
    let newest = layout::list_epochs(check.dir, slot)?.last().copied().unwrap_or(0);
    if !last.has_wal
        && newest == last.number
        && Follower::open(check.dir, slot, newest, &check.verifier)?.is_none()
    {
        let path = layout::wal(&layout::epoch(check.dir, slot, last.number));
        let what = "the newest log file of the slot is missing".to_owned();
        check.problem(Some(slot), &path, None, what, "entries behind the published checkpoint are lost");
    }
    check_head_present(slot, last.size, last.number, check)?;
    check.report.entries = check.report.entries.saturating_add(entries);
    check.report.to = check.report.to.max(last.last_time);
    check.report.slots.push(SlotReport {
        slot,
        epochs: expected.saturating_sub(1),
        entries,
        size: last.size,
        root: STANDARD.encode(last.root),
    });
    Ok(())
}

/// Checks an epoch; again if it was completed meanwhile, so that its end is known when the next one is compared with it.
fn verify_settled(slot: u32, number: u32, check: &mut Check<'_>) -> Result<EpochView, FileError> {
    let complete_before = has_next_epoch(check, slot, number)?;
    let (problems, notices) = (check.report.problems.len(), check.report.notices.len());
    let view = epoch::verify_epoch(slot, number, check)?;
    if complete_before || !has_next_epoch(check, slot, number)? {
        return Ok(view);
    }
    check.report.problems.truncate(problems);
    check.report.notices.truncate(notices);
    epoch::verify_epoch(slot, number, check)
}

fn has_next_epoch(check: &Check<'_>, slot: u32, number: u32) -> Result<bool, FileError> {
    Ok(layout::list_epochs(check.dir, slot)?.last().is_some_and(|last| *last > number))
}

/// The first entry of an epoch names the final head of the one before.
fn check_chain(
    slot: u32,
    before: Option<&EpochView>,
    view: &EpochView,
    adjacent: bool,
    check: &mut Check<'_>,
) {
    let path = layout::epoch(check.dir, slot, view.number);
    if view.size == 0 {
        return;
    }
    if let Some(time) = view.first_time {
        check.report.from = Some(check.report.from.map_or(time, |from| from.min(time)));
    }
    let meaning = "the epochs do not belong together";
    let Some(first) = &view.first else {
        let what = "its first entry is not a start or rotation record".to_owned();
        return check.problem(Some(slot), &path, None, what, meaning);
    };
    if (first.slot, first.epoch) != (slot, view.number) || first.kind == LogEvent::Stop {
        let what = format!("its first entry belongs to slot {} epoch {}", first.slot, first.epoch);
        return check.problem(Some(slot), &path, None, what, meaning);
    }
    if !adjacent {
        return;
    }
    let expected = before.map(|before| Head {
        slot,
        epoch: before.number,
        size: before.size,
        root: STANDARD.encode(before.root),
    });
    if first.previous != expected {
        let named = first.previous.as_ref().map_or(0, |head| head.size);
        let found = expected.map_or(0, |head| head.size);
        let what =
            format!("its first entry names a predecessor of {named} entries, which has {found} or others");
        check.problem(Some(slot), &path, None, what, "the epoch before was cut, extended or replaced");
    }
}

/// A slot with more than its first entry has a head.
fn check_head_present(slot: u32, size: u64, epoch: u32, check: &mut Check<'_>) -> Result<(), FileError> {
    if (size > 1 || epoch > 1) && matches!(read_head(check.dir, slot, &check.verifier)?, HeadState::Missing) {
        let path = layout::head(check.dir, slot);
        let what = "it is missing".to_owned();
        check.problem(Some(slot), &path, None, what, "the slot may have been put back to an earlier state");
    }
    Ok(())
}
