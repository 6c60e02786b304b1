//! How much a root may hold: what would make it larger is refused before anything is written.
//!
//! The root is measured at its first change; after that each change of ours is added up, under a lock that is held while it is made, so that two
//! changes never take the same room. What others put there is found when the measure is [`OLD`]; and nobody is refused on a measure that is not
//! fresh. INVARIANT: a change that makes nothing larger is never refused, so that a full root can be cleared up.

use std::{
    os::fd::AsFd as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::fs::FileType;

use super::{
    folder::{Folder, Stop},
    kernel,
    path::RelPath,
    refusal::Refusal,
};

/// The account of one root.
#[derive(Debug)]
pub(super) struct Quota {
    limit: u64,
    account: Mutex<Option<Measured>>,
}

/// What a root holds.
#[derive(Clone, Copy, Debug)]
struct Measured {
    used: u64,
    at: Instant,
}

/// Room for one change. Nobody else takes any until it is dropped.
pub(super) struct Room<'q> {
    account: MutexGuard<'q, Option<Measured>>,
    before: Measured,
    after: Measured,
}

/// What each file and directory takes in full: no number of small ones fills a disk unseen.
const BLOCK: u64 = 4096;
/// When a measure is taken again, since others may have changed the root.
const OLD: Duration = Duration::from_secs(60);
/// How old a measure may be that somebody is refused on.
const FRESH: Duration = Duration::from_secs(1);
/// Entries that are counted; a root with more takes no change that makes it larger.
const ENTRIES: usize = 1_000_000;
/// How deep it is counted.
const DEPTH: usize = 256;

/// What a file of this size, or a directory, takes.
pub(super) fn taken(size: u64) -> u64 {
    size.div_ceil(BLOCK).max(1).saturating_mul(BLOCK)
}

impl Quota {
    pub(super) fn new(limit: u64) -> Quota {
        Quota { limit, account: Mutex::new(None) }
    }

    /// Room for a change that frees `freed` bytes and takes `taken`.
    pub(super) fn room(
        &self,
        folder: &Folder,
        freed: u64,
        taken: u64,
        stop: &Stop,
    ) -> Result<Room<'_>, Refusal> {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        stop.check()?;
        // INVARIANT: where it is not certain whether a change was made, the next one measures again.
        let known = account.take().filter(|known| known.at.elapsed() < OLD);
        let grows = taken > freed;
        let measured = match known {
            // MUTATE(C3-quota-measure): a root that was cleared up stays full
            Some(known) if !grows || self.holds(known, freed, taken) || known.at.elapsed() < FRESH => known,
            _ => Measured { used: measure(folder, stop)?, at: Instant::now() },
        };
        // MUTATE(C3-quota): a root takes whatever it is given
        if grows && !self.holds(measured, freed, taken) {
            *account = Some(measured);
            let free = self.limit.saturating_sub(measured.used);
            return Err(Refusal::Full { limit: self.limit, free, needed: taken - freed });
        }
        let used = measured.used.saturating_sub(freed).saturating_add(taken);
        Ok(Room { account, before: measured, after: Measured { used, ..measured } })
    }

    fn holds(&self, measured: Measured, freed: u64, taken: u64) -> bool {
        measured.used.saturating_sub(freed).saturating_add(taken) <= self.limit
    }
}

impl Room<'_> {
    /// The change was made.
    pub(super) fn taken(mut self) {
        // MUTATE(C3-quota-one): what one change took, the next takes again
        *self.account = Some(self.after);
    }

    /// The change was not even begun.
    pub(super) fn left(mut self) {
        *self.account = Some(self.before);
    }
}

/// What everything below a root takes, links and special files too; other mounts are not looked into, nor what is not ours to read.
fn measure(folder: &Folder, stop: &Stop) -> Result<u64, Refusal> {
    let (mut used, mut budget) = (0u64, ENTRIES);
    let mut pending = vec![(RelPath::default(), 0)];
    while let Some((path, depth)) = pending.pop() {
        stop.check()?;
        let directory = match folder.root().directory(&path) {
            Ok(directory) => directory,
            Err(refused) if depth == 0 => return Err(refused),
            Err(_) => continue,
        };
        let (names, over) = kernel::list(directory.as_fd(), budget)?;
        if over || depth == DEPTH {
            return Err(Refusal::Uncounted { limit: ENTRIES });
        }
        budget -= names.len();
        for (name, _) in names {
            // It may have gone meanwhile.
            let Ok(stat) = kernel::status(directory.as_fd(), &name) else { continue };
            let is_directory = kernel::kind(&stat) == FileType::Directory;
            let size = if is_directory { 0 } else { u64::try_from(stat.st_size).unwrap_or(u64::MAX) };
            used = used.saturating_add(taken(size));
            let child = String::from_utf8(name).ok().and_then(|name| path.child(&name).ok());
            pending.extend(child.filter(|_| is_directory).map(|child| (child, depth + 1)));
        }
    }
    Ok(used)
}
