//! The log refuses everything after a failed sync. Only here can a sync be made to fail on purpose.

use super::*;
use std::sync::atomic::Ordering;

#[test]
fn a_failed_sync_poisons_the_log_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let log = Log::open(dir.path(), &Options { reserve: 0, ..Options::default() }).unwrap();
    let kept = log.append(b"{\"kept\":true}", EntryClass::Closing).unwrap();
    runtime.block_on(log.durable(kept)).unwrap();

    log.shared().fail_sync.store(true, Ordering::Relaxed);
    let lost = log.append(b"{\"kept\":false}", EntryClass::Closing).unwrap();
    let refused = runtime.block_on(log.durable(lost)).unwrap_err();
    assert!(refused.to_string().starts_with("audit unavailable: "), "{refused}");
    assert!(refused.to_string().contains("the disk did not take it"), "{refused}");

    // The disk works again; the log does not believe it.
    log.shared().fail_sync.store(false, Ordering::Relaxed);
    assert_eq!(log.append(b"{}", EntryClass::Intent), Err(refused.clone()));
    assert_eq!(log.append(b"{}", EntryClass::Closing), Err(refused.clone()));
    assert_eq!(runtime.block_on(log.durable(lost)), Err(refused.clone()));
    assert_eq!(runtime.block_on(log.durable(kept)), Ok(()));
    assert_eq!(log.status().failure, Some(refused.to_string()));
    assert!(log.close().is_err());
    drop(log);

    let log = Log::open(dir.path(), &Options::default()).unwrap();
    log.close().unwrap();
    let report = crate::verify(dir.path(), &crate::VerifyOptions::default()).unwrap();
    assert!(report.ok(), "{report}");
    let entries: Vec<_> = crate::read(dir.path()).unwrap().map(|entry| entry.unwrap().bytes).collect();
    assert!(entries.contains(&b"{\"kept\":true}".to_vec()));
}
