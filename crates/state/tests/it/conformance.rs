//! What every store must do; run over each.

use std::sync::Arc;

use countersign_state::{KeyRow, NewRequest, OnceRow, SqliteStore, StateError, Store, UseRow, VoteRow};

use crate::support::NOW;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    // Two openings stand for two processes.
    let open = || Arc::new(SqliteStore::open(&path).unwrap()) as Arc<dyn Store>;
    conforms([open(), open()]).await;
}

/// Two openings of one empty store.
async fn conforms([first, second]: [Arc<dyn Store>; 2]) {
    requests_wait_once(&*first, &*second).await;
    votes_and_use(&*first, &*second).await;
    one_of_many_consumes([&first, &second]).await;
    one_key_of_a_name_is_active(&*first, &*second).await;
    one_of_many_begins([&first, &second]).await;
    old_things_are_forgotten(&*first, &*second).await;
}

fn new(id: &str, bound: u8, created: u64) -> NewRequest {
    NewRequest {
        id: id.into(),
        bound: [bound; 32],
        tenant: "acme".into(),
        principal: format!("p{bound}"),
        request: "{}".into(),
        created,
        expires: created + 100,
    }
}

fn used(call: &str) -> UseRow {
    UseRow { call: call.into(), instance: "1:1".into(), until: NOW, end: None }
}

async fn requests_wait_once(first: &dyn Store, second: &dyn Store) {
    assert_eq!(first.ask(new("ap-1", 1, NOW), 9).await.unwrap().as_deref(), Some("ap-1"));
    assert_eq!(second.ask(new("ap-2", 1, NOW), 9).await.unwrap().as_deref(), Some("ap-1"), "the pending one");
    assert_eq!(second.pending([1; 32], NOW).await.unwrap().unwrap().id, "ap-1");
    assert_eq!(second.pending([1; 32], NOW + 100).await.unwrap(), None, "it has expired");
    let anew = second.ask(new("ap-3", 1, NOW + 100), 9).await.unwrap();
    assert_eq!(anew.as_deref(), Some("ap-3"), "a new one after that");
    assert!(first.request("ap-1").await.unwrap().is_some());
    assert_eq!(first.request("ap-2").await.unwrap(), None);
    let more = NewRequest { principal: "p1".into(), ..new("ap-4", 2, NOW + 100) };
    assert_eq!(first.ask(more, 1).await.unwrap(), None, "the limit of one principal");
    assert_eq!(first.requests(1).await.unwrap()[0].id, "ap-3", "newest first");
}

async fn votes_and_use(first: &dyn Store, second: &dyn Store) {
    let vote = |key: &str, vote: &str| VoteRow {
        key: key.into(),
        operator: "bob".into(),
        vote: vote.into(),
        reason: String::new(),
        signature: vec![1, 2],
        at: NOW,
    };
    first.ask(new("ap-5", 5, NOW), 9).await.unwrap();
    assert!(first.vote("ap-5", vote("k1", "approve")).await.unwrap());
    assert!(second.vote("ap-5", vote("k1", "deny")).await.unwrap(), "a key changes its mind");
    assert!(!second.vote("ap-none", vote("k1", "approve")).await.unwrap());
    assert_eq!(first.request("ap-5").await.unwrap().unwrap().votes, [vote("k1", "deny")]);
    assert!(!first.consume("ap-5", used("c0"), vec!["unknown".into()]).await.unwrap(), "an unknown key");
    assert!(first.consume("ap-5", used("c1"), vec![]).await.unwrap());
    assert!(!second.consume("ap-5", used("c2"), vec![]).await.unwrap(), "it is used");
    assert!(!second.vote("ap-5", vote("k2", "approve")).await.unwrap(), "nobody votes on what is used");
    assert_eq!(second.open_uses().await.unwrap().len(), 1);
    assert!(
        matches!(second.close("ap-5", "c2", "done").await, Err(StateError::Damaged(_))),
        "another call's"
    );
    second.close("ap-5", "c1", "done").await.unwrap();
    assert!(first.open_uses().await.unwrap().is_empty());
    assert_eq!(first.request("ap-5").await.unwrap().unwrap().used.unwrap().end.as_deref(), Some("done"));
}

async fn one_of_many_consumes(stores: [&Arc<dyn Store>; 2]) {
    stores[0].ask(new("ap-6", 6, NOW), 9).await.unwrap();
    let attempts = (0..64).map(|n| {
        let store = Arc::clone(stores[n % 2]);
        tokio::spawn(async move { store.consume("ap-6", used(&format!("call-{n}")), vec![]).await.unwrap() })
    });
    let mut won = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        won += usize::from(attempt.await.unwrap());
    }
    assert_eq!(won, 1);
}

async fn one_key_of_a_name_is_active(first: &dyn Store, second: &dyn Store) {
    let key = |id: &str, name: &str, public: u8| KeyRow {
        id: id.into(),
        name: name.into(),
        subjects: vec!["x".into(), "y".into()],
        tenant: Some("acme".into()),
        public: [public; 32],
        enrolled: NOW + u64::from(public),
        revoked: None,
        seal: vec![7],
    };
    assert!(first.enroll(key("op-1", "bob", 1)).await.unwrap());
    assert!(!second.enroll(key("op-2", "BOB", 2)).await.unwrap(), "one person, one key");
    assert!(!second.enroll(key("op-3", "eve", 1)).await.unwrap(), "one key, one person");
    let revoked = KeyRow { revoked: Some(NOW), seal: vec![8], ..key("op-1", "bob", 1) };
    second.revoke(revoked.clone()).await.unwrap();
    assert!(first.enroll(key("op-2", "bob", 2)).await.unwrap());
    assert_eq!(second.keys().await.unwrap(), [revoked, key("op-2", "bob", 2)]);
    first.ask(new("ap-7", 7, NOW), 9).await.unwrap();
    assert!(!first.consume("ap-7", used("c7"), vec!["op-1".into()]).await.unwrap(), "a revoked key");
    assert!(first.consume("ap-7", used("c7"), vec!["op-2".into()]).await.unwrap());
    first.close("ap-7", "c7", "done").await.unwrap();
}

fn once(call: &str) -> OnceRow {
    OnceRow {
        key: [9; 32],
        arguments: [3; 32],
        call: call.into(),
        instance: "1:1".into(),
        until: NOW,
        phase: "claimed".into(),
        answer: String::new(),
        at: NOW,
    }
}

async fn one_of_many_begins(stores: [&Arc<dyn Store>; 2]) {
    let attempts = (0..64).map(|n| {
        let store = Arc::clone(stores[n % 2]);
        tokio::spawn(async move { store.once_begin(once(&format!("call-{n}"))).await.unwrap() })
    });
    let mut winners = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        winners += usize::from(attempt.await.unwrap().is_none());
    }
    assert_eq!(winners, 1);
    let [first, second] = stores;
    let known = first.once_begin(once("late")).await.unwrap().unwrap();
    assert!(!second.once_take_over("nobody", once("late")).await.unwrap());
    assert!(second.once_take_over(&known.call, once("late")).await.unwrap());
    assert!(first.once_phase([9; 32], &known.call, "done", "{}").await.is_err(), "it is another call's now");
    first.once_phase([9; 32], "late", "executing", "").await.unwrap();
    assert!(!second.once_take_over("late", once("later")).await.unwrap(), "what executes is not taken over");
    first.once_phase([9; 32], "late", "done", "{\"affected\":1}").await.unwrap();
    assert_eq!(second.once_begin(once("x")).await.unwrap().unwrap().answer, "{\"affected\":1}");
    assert!(second.once_free([9; 32], "x").await.is_err(), "it is another call's");
}

async fn old_things_are_forgotten(first: &dyn Store, second: &dyn Store) {
    first.forget(NOW + 1).await.unwrap();
    assert_eq!(second.once_begin(once("anew")).await.unwrap(), None);
    second.once_free([9; 32], "anew").await.unwrap();
    first.forget(NOW + 1_000).await.unwrap();
    let left: Vec<String> = first.requests(100).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(left, ["ap-6"], "what is in doubt stays");
}
