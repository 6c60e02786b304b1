//! One epoch: its write-ahead file, its published files, and whether they say the same.

use super::{Check, Report};
use crate::error::FileError;
use crate::files::read_if_there;
use crate::follow::{Follower, Step};
use crate::layout;
use crate::records::LogRecord;
use crate::tlog::{
    Checkpoint, Hash, TILE_WIDTH, Tile, decode_bundle, entries_path, leaf_hash, merkle_tree_hash, tiles,
};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What an epoch was found to hold.
#[derive(Default)]
pub(super) struct EpochView {
    pub(super) number: u32,
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) has_wal: bool,
    /// The first entry, if it is a record of the log's own.
    pub(super) first: Option<LogRecord>,
    /// All start and rotation records.
    pub(super) links: Vec<LogRecord>,
    pub(super) first_time: Option<u64>,
    pub(super) last_time: Option<u64>,
}

/// Checks one epoch.
pub(super) fn verify_epoch(slot: u32, number: u32, check: &mut Check<'_>) -> Result<EpochView, FileError> {
    let mut view = EpochView { number, ..EpochView::default() };
    let dir = layout::epoch(check.dir, slot, number);
    // INVARIANT: read before the write-ahead file, so that by mere timing it is never ahead of it.
    let mut published = read_published(slot, number, &dir, check)?;
    let mut entries = Entries { view: &mut view, last: Vec::new() };
    let wal_leaves = verify_wal(slot, number, &mut entries, check)?;
    if wal_leaves.is_none() {
        // It may have been completed, and its file removed, since the checkpoint was read.
        published = read_published(slot, number, &dir, check)?;
    }
    let mut leaves = wal_leaves.clone().unwrap_or_default();
    match published {
        Some(published) => {
            if wal_leaves.is_some() && published.size > leaves.len() as u64 {
                let what =
                    format!("`checkpoint` covers {} entries, it holds {}", published.size, leaves.len());
                let meaning = "acknowledged entries are missing from the log file";
                check.problem(Some(slot), &layout::wal(&dir), None, what, meaning);
            }
            let files = Published { slot, dir: &dir, checkpoint: &published };
            let found =
                files.verify(wal_leaves.as_deref(), wal_leaves.is_none().then_some(&mut entries), check)?;
            if wal_leaves.is_none() {
                leaves = found;
            }
        }
        None if wal_leaves.is_none() => {
            let what = "it has neither a log file nor a published checkpoint".to_owned();
            check.problem(Some(slot), &dir, None, what, "all its entries are lost");
        }
        None => {}
    }
    let last = std::mem::take(&mut entries.last);
    view.last_time = time_of(&last).or(view.first_time);
    view.has_wal = wal_leaves.is_some();
    view.size = leaves.len() as u64;
    view.root = merkle_tree_hash(&leaves);
    Ok(view)
}

/// The leaf hashes of an epoch as far as they can be read now; what is wrong was reported by [`verify_epoch`].
pub(super) fn leaf_hashes(slot: u32, number: u32, check: &Check<'_>) -> Result<Vec<Hash>, FileError> {
    if let Some(mut wal) = Follower::open(check.dir, slot, number, &check.verifier)? {
        let mut leaves = Vec::new();
        while let Step::Batch(batch) = wal.next(&check.verifier)? {
            leaves.extend(batch.entries().map(leaf_hash));
        }
        return Ok(leaves);
    }
    let dir = layout::epoch(check.dir, slot, number);
    let mut aside = Check { dir: check.dir, verifier: check.verifier.clone(), report: Report::default() };
    match read_published(slot, number, &dir, &mut aside)? {
        Some(checkpoint) => {
            Published { slot, dir: &dir, checkpoint: &checkpoint }.verify(None, None, &mut aside)
        }
        None => Ok(Vec::new()),
    }
}

/// Takes notes of the entries as they pass.
struct Entries<'a> {
    view: &'a mut EpochView,
    last: Vec<u8>,
}

impl Entries<'_> {
    fn see(&mut self, index: u64, entry: &[u8]) {
        let record = LogRecord::parse(entry);
        if index == 0 {
            self.view.first_time = time_of(entry);
            self.view.first.clone_from(&record);
        }
        self.view.links.extend(record);
        self.last.clear();
        self.last.extend_from_slice(entry);
    }
}

/// The time in an entry, microseconds since 1970 UTC.
pub(crate) fn time_of(entry: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Timed {
        t: u64,
    }
    serde_json::from_slice::<Timed>(entry).ok().map(|timed| timed.t)
}

/// Checks every batch and signature of the write-ahead file; the leaf hashes of what is whole, `None` without a file.
fn verify_wal(
    slot: u32,
    number: u32,
    entries: &mut Entries<'_>,
    check: &mut Check<'_>,
) -> Result<Option<Vec<Hash>>, FileError> {
    let path = layout::wal(&layout::epoch(check.dir, slot, number));
    let Some(mut wal) = Follower::open(check.dir, slot, number, &check.verifier)? else { return Ok(None) };
    let mut leaves = Vec::new();
    let mut signatures_good = true;
    loop {
        match wal.next(&check.verifier)? {
            Step::Batch(batch) => {
                for entry in batch.entries() {
                    entries.see(leaves.len() as u64, entry);
                    leaves.push(leaf_hash(entry));
                }
                // MUTATE(L3-signature): the signatures in a log file are not looked at
                let signed = Checkpoint::open(&batch.note, &check.verifier);
                if let (true, Err(error)) = (signatures_good, signed) {
                    signatures_good = false;
                    let meaning = "a checkpoint was changed, or another key signed it";
                    check.problem(
                        Some(slot),
                        &path,
                        Some(batch.end),
                        format!("the batch before: {error}"),
                        meaning,
                    );
                }
            }
            Step::End { torn } => {
                if let Some(why) = torn {
                    let what = if why.is_empty() { "unreadable bytes follow" } else { why };
                    let meaning =
                        "a write under way or cut short; if the heads agree, nothing acknowledged is lost";
                    check.notice(slot, &path, wal.offset(), what.to_owned(), meaning);
                }
                return Ok(Some(leaves));
            }
            Step::Damaged { offset, what } => {
                check.problem(
                    Some(slot),
                    &path,
                    Some(offset),
                    what,
                    "entries were changed or cannot be read",
                );
                return Ok(Some(leaves));
            }
        }
    }
}

fn read_published(
    slot: u32,
    number: u32,
    dir: &Path,
    check: &mut Check<'_>,
) -> Result<Option<Checkpoint>, FileError> {
    let path = layout::checkpoint(dir);
    let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
    let meaning = "the published checkpoint was changed";
    let opened = std::str::from_utf8(&bytes)
        .map_err(|error| error.to_string())
        .and_then(|note| Checkpoint::open(note, &check.verifier).map_err(|error| error.to_string()));
    match opened {
        Ok(checkpoint) if checkpoint.origin == layout::origin(check.verifier.name(), slot, number) => {
            Ok(Some(checkpoint))
        }
        Ok(checkpoint) => {
            let what = format!("it is the checkpoint of `{}`", checkpoint.origin);
            check.problem(Some(slot), &path, None, what, meaning);
            Ok(None)
        }
        Err(what) => {
            check.problem(Some(slot), &path, None, what, meaning);
            Ok(None)
        }
    }
}

/// The published files of an epoch.
struct Published<'a> {
    slot: u32,
    dir: &'a Path,
    checkpoint: &'a Checkpoint,
}

impl Published<'_> {
    /// Checks bundles and tiles against the checkpoint; the leaf hashes that lead to its root.
    fn verify(
        &self,
        wal_leaves: Option<&[Hash]>,
        mut entries: Option<&mut Entries<'_>>,
        check: &mut Check<'_>,
    ) -> Result<Vec<Hash>, FileError> {
        let size = self.checkpoint.size;
        let mut bundles = Vec::new();
        let mut from_tiles: Vec<Hash> = Vec::new();
        let mut from_bundles: Vec<Hash> = Vec::new();
        let wal_leaves = wal_leaves.and_then(|leaves| leaves.get(..usize::try_from(size).ok()?));
        for tile in tiles(size).take_while(|tile| tile.level == 0) {
            let bundle = self.read(&entries_path(tile.index, TILE_WIDTH), tile.width)?;
            let decoded =
                bundle.as_ref().and_then(|(_, bytes)| decode_bundle(bytes).ok()).unwrap_or_default();
            for entry in decoded.into_iter().take(tile.width as usize) {
                if let Some(entries) = &mut entries {
                    entries.see(from_bundles.len() as u64, entry);
                }
                from_bundles.push(leaf_hash(entry));
            }
            let hashes = self.read(&full_path(tile), tile.width)?;
            // Nothing can lead to the root any more, however many entries are said to follow.
            // MUTATE(L3-size): a checkpoint may claim any number of entries
            if wal_leaves.is_none() && bundle.is_none() && hashes.is_none() {
                break;
            }
            bundles.push((tile, bundle));
            from_tiles.extend(
                hashes.iter().flat_map(|(_, bytes)| bytes.as_chunks::<32>().0).take(tile.width as usize),
            );
        }
        // Whichever leads to the signed root is right; the others are compared with it.
        let right = [wal_leaves.unwrap_or_default(), &from_bundles, &from_tiles]
            .into_iter()
            .find(|leaves| leaves.len() as u64 == size && merkle_tree_hash(leaves) == self.checkpoint.root);
        let Some(right) = right.map(<[Hash]>::to_vec) else {
            let what = "neither entries nor tiles lead to the root hash that it signs".to_owned();
            let meaning = "entries were changed, removed or exchanged";
            check.problem(Some(self.slot), &layout::checkpoint(self.dir), None, what, meaning);
            return Ok(from_bundles);
        };
        for (tile, bundle) in bundles {
            self.check_bundle(tile, bundle, &right, check);
        }
        self.check_tiles(&right, check)?;
        Ok(right)
    }

    fn check_bundle(
        &self,
        tile: Tile,
        bundle: Option<(PathBuf, Vec<u8>)>,
        right: &[Hash],
        check: &mut Check<'_>,
    ) {
        let meaning = "published entries were changed";
        let Some((path, bytes)) = bundle else {
            let path = self.dir.join(entries_path(tile.index, tile.width));
            return check.problem(
                Some(self.slot),
                &path,
                None,
                "it is missing".to_owned(),
                "published entries are lost",
            );
        };
        let entries = match decode_bundle(&bytes) {
            Ok(entries) => entries,
            Err(error) => return check.problem(Some(self.slot), &path, None, error.to_string(), meaning),
        };
        // A partial bundle may have been replaced by the full one, which holds more than is covered yet.
        if (entries.len() as u64) < tile.width || entries.len() as u64 > TILE_WIDTH {
            let what = format!("it holds {} entries where {} belong", entries.len(), tile.width);
            return check.problem(Some(self.slot), &path, None, what, meaning);
        }
        let start = usize::try_from(tile.index * TILE_WIDTH).unwrap_or(usize::MAX);
        let mut offset = 0u64;
        for (entry, expected) in
            entries.iter().take(tile.width as usize).zip(right.get(start..).unwrap_or_default())
        {
            // MUTATE(L3-entry): published entries are not hashed again
            if leaf_hash(entry) != *expected {
                let what = "an entry is not the one that was signed".to_owned();
                return check.problem(Some(self.slot), &path, Some(offset), what, meaning);
            }
            offset = offset.saturating_add(entry.len() as u64 + 2);
        }
    }

    fn check_tiles(&self, leaves: &[Hash], check: &mut Check<'_>) -> Result<(), FileError> {
        let meaning = "a published tile was changed; proofs made from it will fail";
        let mut level_hashes = leaves.to_vec();
        let mut level = 0u8;
        for tile in tiles(self.checkpoint.size) {
            while level < tile.level {
                level_hashes = level_hashes.chunks_exact(TILE_WIDTH as usize).map(merkle_tree_hash).collect();
                level = level.saturating_add(1);
            }
            let start = usize::try_from(tile.index * TILE_WIDTH).unwrap_or(usize::MAX);
            let expected = level_hashes.get(start..).unwrap_or_default();
            let expected = expected.get(..tile.width as usize).unwrap_or_default().as_flattened();
            let Some((path, found)) = self.read(&full_path(tile), tile.width)? else {
                let path = self.dir.join(tile.path());
                check.problem(Some(self.slot), &path, None, "it is missing".to_owned(), meaning);
                continue;
            };
            let partial_replaced = tile.width < TILE_WIDTH && found.len() > expected.len();
            let differs = expected.iter().zip(&found).position(|(a, b)| a != b);
            if let Some(offset) = differs {
                let what = "a hash is not the one that was signed".to_owned();
                check.problem(Some(self.slot), &path, Some(offset as u64), what, meaning);
            } else if found.len() != expected.len() && !partial_replaced {
                let what = format!("it has {} bytes where {} belong", found.len(), expected.len());
                check.problem(Some(self.slot), &path, None, what, meaning);
            }
            // MUTATE(L3-outgrown): partial files of earlier checkpoints may say anything
            self.check_outgrown(tile, expected, check)?;
        }
        Ok(())
    }

    /// Narrower partial files that an earlier checkpoint needed: what is left of them must say the same.
    fn check_outgrown(&self, tile: Tile, hashes: &[u8], check: &mut Check<'_>) -> Result<(), FileError> {
        let meaning = "a file that an earlier checkpoint needed was changed";
        let narrower = |full: &str| -> Result<Vec<(PathBuf, u64)>, FileError> {
            let found = layout::partials(&self.dir.join(format!("{full}.p")))?;
            Ok(found.into_iter().filter(|(_, width)| *width < tile.width).collect())
        };
        for (path, width) in narrower(&full_path(tile))? {
            let expected = usize::try_from(width * 32).ok().and_then(|end| hashes.get(..end));
            if let Some(found) = read_if_there(&path)?
                && expected != Some(found.as_slice())
            {
                check.problem(Some(self.slot), &path, None, "it was changed".to_owned(), meaning);
            }
        }
        if tile.level > 0 {
            return Ok(());
        }
        for (path, width) in narrower(&entries_path(tile.index, TILE_WIDTH))? {
            let Some(found) = read_if_there(&path)? else { continue };
            let leaves = decode_bundle(&found).unwrap_or_default();
            let leaves: Vec<u8> = leaves.iter().flat_map(|entry| leaf_hash(entry)).collect();
            let expected = usize::try_from(width * 32).ok().and_then(|end| hashes.get(..end));
            if expected != Some(leaves.as_slice()) {
                check.problem(Some(self.slot), &path, None, "it was changed".to_owned(), meaning);
            }
        }
        Ok(())
    }

    /// Reads a tile or bundle of `width`: the partial file, or a wider or the full one that has replaced it.
    fn read(&self, full: &str, width: u64) -> Result<Option<(PathBuf, Vec<u8>)>, FileError> {
        let full_path = self.dir.join(full);
        if width < TILE_WIDTH {
            let found = layout::partials(&self.dir.join(format!("{full}.p")))?;
            for (partial, _) in found.into_iter().filter(|(_, found)| *found >= width) {
                if let Some(bytes) = read_if_there(&partial)? {
                    return Ok(Some((partial, bytes)));
                }
            }
        }
        Ok(read_if_there(&full_path)?.map(|bytes| (full_path, bytes)))
    }
}

fn full_path(tile: Tile) -> String {
    Tile { width: TILE_WIDTH, ..tile }.path()
}
