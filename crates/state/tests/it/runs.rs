//! What processes know of runs: what one has noted the other sees, also after a restart, and memory saves trips only where that is safe.

use std::sync::Arc;

use countersign_core::{Digest, Label, RunId, ports::Runs};
use countersign_state::{SqliteStore, Store, StoredRuns};

use crate::support::NOW;

fn now() -> u64 {
    NOW
}

struct File(tempfile::TempDir);

impl File {
    fn new() -> File {
        File(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.0.path().join("state.db")).unwrap())
    }

    fn shared(&self) -> StoredRuns {
        StoredRuns::shared(self.store(), now)
    }

    fn alone(&self) -> StoredRuns {
        StoredRuns::alone(self.store(), now)
    }
}

#[tokio::test]
async fn a_label_that_one_process_saw_rise_binds_the_other() {
    let file = File::new();
    let (one, other) = (file.shared(), file.shared());
    let holder = Digest::of(b"ann");
    let run = one.of(holder).await.unwrap();
    assert_eq!(other.of(holder).await.unwrap(), run, "going elsewhere begins no clean run");
    assert_ne!(other.of(Digest::of(b"bob")).await.unwrap(), run);
    assert_eq!(other.label(&run).await.unwrap(), Label::default());
    one.join(&run, Label::RETRIEVED).await.unwrap();
    assert_eq!(other.label(&run).await.unwrap(), Label::RETRIEVED, "what it knew before does not count");
    other.join(&run, Label::default()).await.unwrap();
    assert_eq!(one.label(&run).await.unwrap(), Label::RETRIEVED);
}

#[tokio::test]
async fn a_run_goes_on_after_a_restart() {
    let file = File::new();
    let before = file.alone();
    let run = before.of(Digest::of(b"ann")).await.unwrap();
    before.join(&run, Label::RETRIEVED).await.unwrap();
    assert_eq!(before.label(&run).await.unwrap(), Label::RETRIEVED);
    drop(before);
    let after = file.alone();
    assert_eq!(after.of(Digest::of(b"ann")).await.unwrap(), run);
    assert_eq!(after.label(&run).await.unwrap(), Label::RETRIEVED);
}

/// A process that is alone asks once for each run and writes once for each label; what it cannot write, nobody is told.
#[tokio::test]
async fn who_is_alone_asks_and_writes_once() {
    let file = File::new();
    let runs = file.alone();
    let holder = Digest::of(b"ann");
    let run = runs.of(holder).await.unwrap();
    runs.label(&run).await.unwrap();
    runs.join(&run, Label::RETRIEVED).await.unwrap();
    // From here on the store answers nobody.
    std::fs::rename(file.0.path().join("state.db"), file.0.path().join("gone.db")).unwrap();
    for _ in 0..3 {
        assert_eq!(runs.of(holder).await.unwrap(), run);
        runs.join(&run, Label::RETRIEVED).await.unwrap();
        assert_eq!(runs.label(&run).await.unwrap(), Label::RETRIEVED);
    }
    let suspicious = Label { integrity: countersign_core::Integrity::Suspicious, ..Label::default() };
    assert!(runs.join(&run, suspicious).await.is_err(), "a label that rises must be written");
    assert!(runs.of(Digest::of(b"bob")).await.is_err());
    assert!(runs.label(&RunId::new("another")).await.is_err());
    assert!(file_less().await, "who is not alone asks each time");
}

async fn file_less() -> bool {
    let file = File::new();
    let runs = file.shared();
    let run = runs.of(Digest::of(b"ann")).await.unwrap();
    runs.label(&run).await.unwrap();
    std::fs::rename(file.0.path().join("state.db"), file.0.path().join("gone.db")).unwrap();
    runs.label(&run).await.is_err()
}
