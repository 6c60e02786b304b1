//! Whatever is changed, cut, exchanged or taken away: verification notices, and a log that lost something does not open.
//!
//! Every test begins with a copy of one log that verifies: two slots, complete epochs and open ones.

use crate::support::{assert_verifies, copy_dir, files, open, record, record_many, report};
use countersign_audit::tlog::{Tile, Verifier, entries_path, open as open_note, tiles};
use countersign_audit::{Log, OpenError, Options, VerifyOptions, verify};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

const WAL: &str = "slot-000/epoch-000002/wal";
const COMPLETE: &str = "slot-000/epoch-000001";

/// Slot 0: a complete epoch and an open one. Slot 1: an open one. Each started after the other had entries.
fn sound() -> &'static Path {
    static SOUND: OnceLock<TempDir> = OnceLock::new();
    let dir = SOUND.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let zero = open(dir.path());
        record_many(&zero, "zero", 700);
        let one = open(dir.path());
        record_many(&one, "one", 30);
        one.close().unwrap();
        zero.close().unwrap();
        drop((zero, one));
        let again = open(dir.path());
        record_many(&again, "again", 30);
        again.close().unwrap();
        dir
    });
    assert!(!dir.path().join(COMPLETE).join("wal").exists() && dir.path().join(WAL).exists());
    assert_verifies(dir.path());
    dir.path()
}

fn copy() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_dir(sound(), dir.path());
    dir
}

/// How many bytes of a file mean something: a log file ends in zeroes that were claimed ahead.
fn used(path: &Path, bytes: &[u8]) -> usize {
    if path.ends_with("wal") { bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1 } else { bytes.len() }
}

/// All files that say something: no keys, no locks, no partial tiles of checkpoints that were since replaced.
fn meaningful(dir: &Path) -> Vec<PathBuf> {
    let current: Vec<PathBuf> = ["slot-000/epoch-000001", "slot-000/epoch-000002", "slot-001/epoch-000001"]
        .iter()
        .flat_map(|epoch| {
            let epoch = dir.join(epoch);
            let vkey = Verifier::parse(fs::read_to_string(dir.join("vkey")).unwrap().trim_end()).unwrap();
            let text = open_note(&fs::read_to_string(epoch.join("checkpoint")).unwrap(), &vkey).unwrap().text;
            let size = text.lines().nth(1).unwrap().parse().unwrap();
            tiles(size).flat_map(move |tile: Tile| {
                let bundle = (tile.level == 0).then(|| epoch.join(entries_path(tile.index, tile.width)));
                [Some(epoch.join(tile.path())), bundle]
            })
        })
        .flatten()
        .collect();
    assert!(current.len() > 10);
    let kept = |path: &PathBuf| {
        let name = path.to_str().unwrap();
        !name.contains("/keys/")
            && !name.ends_with("lock")
            && (!name.contains("/tile/") || current.contains(path))
    };
    files(dir).into_iter().filter(kept).collect()
}

fn assert_noticed(dir: &Path, what: &str) {
    match verify(dir, &VerifyOptions::default()) {
        Ok(report) => assert!(!report.ok(), "not noticed: {what}"),
        Err(error) => assert!(what.contains("vkey"), "{what}: {error}"),
    }
}

fn assert_does_not_open(dir: &Path, what: &str) {
    match Log::open(dir, &Options { reserve: 0, ..Options::default() }) {
        Err(OpenError::Damaged { path, .. }) => assert!(path.starts_with(dir), "{what}"),
        Err(error) => panic!("{what}: {error}"),
        Ok(_) => panic!("opened: {what}"),
    }
}

#[test]
fn a_flipped_bit_in_any_file_is_noticed() {
    let dir = copy();
    let mut flips = 0;
    for path in meaningful(dir.path()) {
        let bytes = fs::read(&path).unwrap();
        let used = used(&path, &bytes);
        // The first bytes hold frame kind and length, the last ones a signature; in between, a sample.
        let step = if path.ends_with("wal") { 211 } else { (used / 7).max(1) };
        let places =
            (0..used.min(24)).chain((0..used).step_by(step)).chain([used - 1, used.saturating_sub(60)]);
        for at in places {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 7);
            fs::write(&path, &changed).unwrap();
            assert_noticed(dir.path(), &format!("byte {at} of {}", path.display()));
            flips += 1;
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert!(flips > 300, "{flips}");
    assert_verifies(dir.path());
}

#[test]
fn every_class_of_byte_in_a_log_file_is_noticed_and_what_was_lost_keeps_it_shut() {
    let dir = copy();
    let path = dir.path().join(WAL);
    let bytes = fs::read(&path).unwrap();
    let used = used(&path, &bytes);
    let find = |needle: &[u8], from: usize| {
        from + bytes[from..].windows(needle.len()).position(|w| w == needle).unwrap()
    };
    let entry = find(b"E\0\0\0", 400);
    let last_note = bytes[..used].windows(5).rposition(|w| w == "\n\n\u{2014}".as_bytes()).unwrap();
    let note = find("\n\n\u{2014}".as_bytes(), 0);
    let checkpoint = find(b"C\0\0", 0);
    let classes = [
        ("magic", 3, true),
        ("entry kind", entry, true),
        ("entry length", entry + 4, true),
        ("entry length, high byte", entry + 1, true),
        ("entry", entry + 20, true),
        ("checkpoint kind", checkpoint, true),
        ("checkpoint length", checkpoint + 4, true),
        ("checkpoint origin", checkpoint + 8, true),
        ("root hash", note - 5, true),
        // A signature inside the file is vouched for by the later ones, so only verification minds.
        ("signature", note + 120, false),
        ("last signature", last_note + 120, true),
        ("last byte", used - 1, true),
    ];
    for (class, at, shut) in classes {
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        fs::write(&path, &changed).unwrap();
        assert_noticed(dir.path(), class);
        if shut {
            assert_does_not_open(dir.path(), class);
        }
        assert_eq!(fs::read(&path).unwrap(), changed, "{class}: a refused log was changed");
    }
}

#[test]
fn truncation_of_any_file_is_noticed() {
    let dir = copy();
    for path in meaningful(dir.path()) {
        let bytes = fs::read(&path).unwrap();
        let used = used(&path, &bytes);
        for length in [0, 1, used / 2, used - 1] {
            fs::write(&path, &bytes[..length]).unwrap();
            let what = format!("{} cut to {length} bytes", path.display());
            // An empty head or checkpoint is what a crash at creation leaves; other witnesses speak then, or nothing is lost.
            assert_noticed(dir.path(), &what);
            if path.ends_with(WAL) {
                assert_does_not_open(dir.path(), &what);
            }
        }
        fs::write(&path, &bytes).unwrap();
    }
}

#[test]
fn a_log_file_cut_between_batches_is_noticed() {
    let dir = copy();
    let path = dir.path().join(WAL);
    let bytes = fs::read(&path).unwrap();
    // Behind each checkpoint but the last the file looks whole.
    let mut ends: Vec<usize> = Vec::new();
    let mut at = 16;
    while bytes[at] != 0 {
        let length = u32::from_be_bytes(bytes[at + 1..at + 5].try_into().unwrap()) as usize;
        if bytes[at] == b'C' {
            ends.push(at + 5 + length);
        }
        at += 5 + length;
    }
    ends.pop();
    assert!(ends.len() > 5);
    for end in ends {
        fs::write(&path, &bytes[..end]).unwrap();
        assert_noticed(dir.path(), &format!("cut at {end}"));
        assert_does_not_open(dir.path(), &format!("cut at {end}"));
    }
}

#[test]
fn exchanged_files_are_noticed() {
    let pairs = [
        ("tile/0/000", "tile/0/001"),
        ("tile/entries/000", "tile/entries/001"),
        ("checkpoint", "../../slot-001/epoch-000001/checkpoint"),
        ("checkpoint", "../epoch-000002/checkpoint"),
        ("../../heads/slot-000", "../../heads/slot-001"),
        ("../epoch-000002/wal", "../../slot-001/epoch-000001/wal"),
    ];
    for (a, b) in pairs {
        let dir = copy();
        let (a, b) = (dir.path().join(COMPLETE).join(a), dir.path().join(COMPLETE).join(b));
        let (bytes_a, bytes_b) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
        fs::write(&a, bytes_b).unwrap();
        fs::write(&b, bytes_a).unwrap();
        assert_noticed(dir.path(), &format!("{} and {}", a.display(), b.display()));
    }
}

#[test]
fn anything_taken_away_is_noticed() {
    let gone = [
        WAL,
        "slot-001/epoch-000001/wal",
        "slot-000/epoch-000001/tile/0/000",
        "slot-000/epoch-000001/tile/entries/001",
        "slot-000/epoch-000001/tile/1",
        "slot-000/epoch-000001/checkpoint",
        "slot-000/epoch-000001",
        "slot-000/epoch-000002",
        "slot-000",
        "slot-001",
        "heads/slot-000",
        "heads/slot-001",
        "heads",
        "vkey",
    ];
    for name in gone {
        let dir = copy();
        let path = dir.path().join(name);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        assert_noticed(dir.path(), name);
        if name == WAL || name == "slot-000/epoch-000002" || name == "slot-000" || name == "heads/slot-000" {
            assert_does_not_open(dir.path(), name);
        }
    }
}

#[test]
fn a_slot_taken_away_with_its_head_is_known_to_the_others() {
    for slot in ["slot-000", "slot-001"] {
        let dir = copy();
        fs::remove_dir_all(dir.path().join(slot)).unwrap();
        fs::remove_file(dir.path().join("heads").join(slot)).unwrap();
        assert_noticed(dir.path(), slot);
    }
}

#[test]
fn a_slot_put_back_is_noticed() {
    let dir = copy();
    let earlier = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), earlier.path());
    let log = open(dir.path());
    assert_eq!(log.status().slot, 0);
    record_many(&log, "later", 10);
    // Another process starts and sees how far slot 0 is.
    let other = open(dir.path());
    record(&other, "{}").unwrap();
    other.close().unwrap();
    log.close().unwrap();
    drop((log, other));
    assert_verifies(dir.path());

    fs::remove_dir_all(dir.path().join("slot-000")).unwrap();
    copy_dir(&earlier.path().join("slot-000"), &dir.path().join("slot-000"));
    assert_noticed(dir.path(), "slot 0 put back");
    assert_does_not_open(dir.path(), "slot 0 put back");
    // With its head as well: the other slot remembers.
    fs::copy(earlier.path().join("heads/slot-000"), dir.path().join("heads/slot-000")).unwrap();
    assert_noticed(dir.path(), "slot 0 put back with its head");
}

#[test]
fn another_key_is_noticed_by_who_knows_the_right_one() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    record(&log, "{}").unwrap();
    log.close().unwrap();
    drop(log);
    assert_verifies(dir.path());
    let right = fs::read_to_string(sound().join("vkey")).unwrap();
    let report =
        verify(dir.path(), &VerifyOptions { vkey: Some(right), ..VerifyOptions::default() }).unwrap();
    assert!(!report.ok(), "{report}");
}

#[test]
fn a_report_says_where_and_what_it_means() {
    let dir = copy();
    let path = dir.path().join(COMPLETE).join("tile/entries/001");
    let mut bytes = fs::read(&path).unwrap();
    bytes[2000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let report = report(dir.path());
    assert_eq!(report.problems.len(), 1, "{report}");
    let problem = &report.problems[0];
    assert_eq!((problem.slot, problem.file.as_str()), (Some(0), "slot-000/epoch-000001/tile/entries/001"));
    assert!(problem.offset.is_some_and(|offset| offset <= 2000 && offset > 1800), "{report}");
    assert!(report.to_string().contains("NOT verified: 1 problems"), "{report}");
    assert!(
        report
            .to_string()
            .contains("an entry is not the one that was signed (published entries were changed)")
    );
}

#[test]
fn partial_files_of_earlier_checkpoints_are_few_and_checked_too() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for round in 0..4 {
        record_many(&log, &format!("round-{round}"), 3);
        // Longer than the interval of publishing, so that every round has a checkpoint of its own.
        std::thread::sleep(std::time::Duration::from_millis(1_200));
    }
    log.close().unwrap();
    let partials: Vec<PathBuf> =
        files(dir.path()).into_iter().filter(|path| path.to_str().unwrap().contains("000.p/")).collect();
    assert!(
        (3..=6).contains(&partials.len()),
        "a tile and a bundle, of two or three checkpoints: {partials:?}"
    );
    assert_verifies(dir.path());
    for path in partials {
        let bytes = fs::read(&path).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 4;
            fs::write(&path, &changed).unwrap();
            assert_noticed(dir.path(), &format!("byte {at} of {}", path.display()));
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert_verifies(dir.path());
}
