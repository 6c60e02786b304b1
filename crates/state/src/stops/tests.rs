//! Each kind of stop meets exactly those that it names, in this process and in another.

use countersign_core::{AuthMethod, PrincipalKind, RunId};

use super::*;
use crate::SqliteStore;

const NOW: u64 = 1_800_000_000_000_000;

fn ann() -> Principal {
    Principal::new("keys", "ann", PrincipalKind::Person, "acme", AuthMethod::ApiKey)
        .with_credential("k1")
        .with_owner("ann@example.com")
        .with_claim("jti", "t1")
}

fn bob() -> Principal {
    Principal::new("idp", "ann", PrincipalKind::Person, "globex", AuthMethod::ApiKey)
        .with_credential("k2")
        .with_owner("bob@example.com")
        .with_claim("jti", "t1")
}

fn row(kind: StopKind, what: &str, frozen: bool) -> StopRow {
    let (reason, operator) = ("test".into(), "root".into());
    StopRow { kind, what: what.into(), frozen, reason, operator, at: NOW, until: None }
}

fn check(watch: &StopWatch, principal: &Principal, run: &str, tool: &str) -> Option<Stop> {
    let run = RunId::new(run);
    watch.check(&Subject { principal, run: Some(&run), tool: Some(tool) }).unwrap()
}

#[tokio::test]
async fn each_kind_stops_whom_it_names_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let other = SqliteStore::open(&path).unwrap();
    let watch = StopWatch::open(Arc::new(SqliteStore::open(&path).unwrap()), || NOW).await.unwrap();
    let key = ann().key().to_owned();
    let cases = [
        (StopKind::Tenant, "acme"),
        (StopKind::Principal, key.as_str()),
        (StopKind::Owner, "ann@example.com"),
        (StopKind::Tool, "write_shop"),
        (StopKind::Credential, "k1"),
        (StopKind::Run, "r1"),
        (StopKind::Token, &token("keys", "t1")),
    ];
    for (kind, what) in cases {
        assert_eq!(check(&watch, &ann(), "r1", "write_shop"), None, "before {kind:?}");
        other.stop(row(kind, what, true)).await.unwrap();
        watch.read().await.unwrap();
        let stopped = Some(Stop::Frozen { what: kind.shown() });
        assert_eq!(check(&watch, &ann(), "r1", "write_shop"), stopped, "{kind:?}");
        assert_eq!(check(&watch, &bob(), "r2", "query_shop"), None, "somebody else and {kind:?}");
        assert!(other.thaw(kind, what).await.unwrap(), "{kind:?}");
        assert!(!other.thaw(kind, what).await.unwrap(), "thawed twice: {kind:?}");
        watch.read().await.unwrap();
    }
    other.stop(row(StopKind::Everything, "", true)).await.unwrap();
    watch.read().await.unwrap();
    assert_eq!(check(&watch, &bob(), "r2", "query_shop"), Some(Stop::Frozen { what: "everything" }));
}

/// What is revoked stays so, until what it is about has expired anyway.
#[tokio::test]
async fn revocations_do_not_thaw_and_expire() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&dir.path().join("state.db")).unwrap());
    store.stop(row(StopKind::Credential, "k1", false)).await.unwrap();
    let ended = StopRow { until: Some(NOW), ..row(StopKind::Credential, "k2", false) };
    store.stop(ended).await.unwrap();
    let watch = StopWatch::open(Arc::clone(&store) as _, || NOW).await.unwrap();
    assert_eq!(check(&watch, &ann(), "r", "t"), Some(Stop::Revoked { what: "credential" }));
    assert_eq!(check(&watch, &bob(), "r", "t"), None);
    store.stop(row(StopKind::Credential, "k1", true)).await.unwrap();
    assert!(!store.thaw(StopKind::Credential, "k1").await.unwrap(), "a freeze does not loosen it");
    store.forget(NOW + 1).await.unwrap();
    assert_eq!(store.stops().await.unwrap().len(), 1);
}

/// Nobody reads for a while: nobody knows, and nothing goes on; then it does again.
#[tokio::test]
async fn what_was_read_long_ago_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&dir.path().join("state.db")).unwrap());
    let watch = StopWatch::open(store, || NOW).await.unwrap();
    let ann = ann();
    let subject = Subject { principal: &ann, run: None, tool: None };
    assert_eq!(watch.check(&subject), Ok(None));
    std::thread::sleep(BELIEVED + Duration::from_millis(50));
    assert!(watch.check(&subject).is_err());
    watch.read().await.unwrap();
    assert_eq!(watch.check(&subject), Ok(None));
}

/// A write that waits for another process does not keep this one from reading what is stopped.
#[tokio::test]
async fn a_writer_that_waits_does_not_delay_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    let watch = StopWatch::open(Arc::clone(&store) as _, || NOW).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = tokio::spawn(async move { store.stop(row(StopKind::Tool, "t", true)).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    watch.read().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    other.execute_batch("COMMIT").unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_was_narrowed_ends_with_what_it_was_narrowed_from() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&dir.path().join("state.db")).unwrap());
    let watch = StopWatch::open(Arc::clone(&store) as _, || NOW).await.unwrap();
    let agent =
        Principal::new("credentials", "agent", PrincipalKind::Service, "acme", AuthMethod::Credential);
    let parent = agent.clone().with_credential("c1");
    let child = agent.clone().with_credential("c2").with_ancestors(["c1".to_owned()]);
    let grandchild = agent.with_credential("c3").with_ancestors(["c1".to_owned(), "c2".to_owned()]);
    let stopped = |watch: &StopWatch| {
        [&parent, &child, &grandchild].map(|one| check(watch, one, "r1", "query_shop").is_some())
    };
    assert_eq!(stopped(&watch), [false, false, false]);
    store.stop(row(StopKind::Credential, "c2", false)).await.unwrap();
    watch.read().await.unwrap();
    assert_eq!(stopped(&watch), [false, true, true]);
    store.stop(row(StopKind::Credential, "c1", false)).await.unwrap();
    watch.read().await.unwrap();
    assert_eq!(stopped(&watch), [true, true, true]);
}

#[tokio::test]
async fn a_run_that_the_credential_names_is_stopped_before_the_body_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&dir.path().join("state.db")).unwrap());
    let watch = StopWatch::open(Arc::clone(&store) as _, || NOW).await.unwrap();
    store.stop(row(StopKind::Run, "acme/agent/close", false)).await.unwrap();
    watch.read().await.unwrap();
    let bound = |run: &str| ann().with_run(RunId::new(run));
    let early = |principal: &Principal| watch.check(&Subject { principal, run: None, tool: None }).unwrap();
    assert_eq!(early(&bound("acme/agent/close")), Some(Stop::Revoked { what: "run" }));
    assert_eq!(early(&bound("acme/agent/other")), None);
    assert_eq!(early(&ann()), None);
}
