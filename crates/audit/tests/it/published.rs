//! The published directory to outside eyes: an independent tlog implementation reads it and checks our trees.

use crate::support::{open, record_many};
use countersign_audit::tlog::{Verifier, decode_bundle, open as open_note, tiles};
use std::path::{Path, PathBuf};
use tlog_tiles::{Error, HashReader, Tile, TileHashReader, TileReader, record_hash, stored_hash_index};

/// A directory as the outside implementation sees a log.
struct Directory(PathBuf);

impl TileReader for Directory {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            let path = self.0.join(tile.path().replacen("tile/8/", "tile/", 1));
            std::fs::read(path).map_err(|_| Error::InvalidTile)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn check_epoch(log: &Path, epoch: &str) -> u64 {
    let dir = log.join("slot-000").join(epoch);
    let vkey = std::fs::read_to_string(log.join("vkey")).unwrap();
    let note = std::fs::read_to_string(dir.join("checkpoint")).unwrap();
    let text = open_note(&note, &Verifier::parse(vkey.trim_end()).unwrap()).unwrap().text;
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).unwrap();
    let directory = Directory(dir.clone());
    let reader = TileHashReader::new(checkpoint.size(), *checkpoint.hash(), &directory);

    let bundles = tiles(checkpoint.size()).take_while(|tile| tile.level == 0).flat_map(|tile| {
        let path = countersign_audit::tlog::entries_path(tile.index, tile.width);
        let bundle = std::fs::read(dir.join(path)).unwrap();
        decode_bundle(&bundle).unwrap().into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
    });
    let entries: Vec<Vec<u8>> = bundles.collect();
    assert_eq!(entries.len() as u64, checkpoint.size());
    // The outside reader proves every hash that it returns to be in the tree of the checkpoint.
    let indexes: Vec<u64> = (0..checkpoint.size()).map(|n| stored_hash_index(0, n)).collect();
    let hashes = reader.read_hashes(&indexes).unwrap();
    for (entry, hash) in entries.iter().zip(&hashes) {
        assert_eq!(record_hash(entry), *hash);
    }
    checkpoint.size()
}

#[test]
fn an_outside_implementation_reads_the_published_directory() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    record_many(&log, "call", 1000);
    log.close().unwrap();
    drop(log);
    // One complete epoch with full and partial tiles on two levels, and the one that is still open.
    let sizes = [check_epoch(dir.path(), "epoch-000001"), check_epoch(dir.path(), "epoch-000002")];
    assert!(sizes[0] > 512, "{sizes:?}");
    assert!(sizes.iter().sum::<u64>() >= 1000, "{sizes:?}");
}

#[test]
fn the_outside_implementation_notices_a_changed_tile() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    record_many(&log, "call", 700);
    log.close().unwrap();
    drop(log);
    let tile = dir.path().join("slot-000/epoch-000001/tile/0/001");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    let result = std::panic::catch_unwind(|| check_epoch(dir.path(), "epoch-000001"));
    assert!(result.is_err());
}
