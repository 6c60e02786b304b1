//! What every store must do; run over each.

use std::sync::Arc;

use countersign_core::{
    Confidentiality, Integrity, Label,
    limits::{Lease, Rate},
};
use countersign_state::{
    Judged, KeyRow, NewRequest, OnceRow, SqliteStore, StateError, StopKind, StopRow, Store, UseRow, VoteRow,
};

use countersign_testbed::Postgres;

use crate::{fleet::Fleet, support::NOW};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    // Two openings stand for two processes.
    let open = || Arc::new(SqliteStore::open(&path).unwrap()) as Arc<dyn Store>;
    conforms([open(), open()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_conforms() {
    let fleet = Fleet::new(Postgres::shared());
    let open = async || Arc::new(fleet.open().await.unwrap()) as Arc<dyn Store>;
    conforms([open().await, open().await]).await;
}

/// Two openings of one empty store.
async fn conforms([first, second]: [Arc<dyn Store>; 2]) {
    requests_wait_once(&*first, &*second).await;
    votes_and_use(&*first, &*second).await;
    one_of_many_consumes([&first, &second]).await;
    one_key_of_a_name_is_active(&*first, &*second).await;
    one_of_many_begins([&first, &second]).await;
    what_was_seen_is_seen_once([&first, &second]).await;
    a_rate_is_shared([&first, &second]).await;
    volumes_and_budgets_add_up([&first, &second]).await;
    a_holder_has_one_run([&first, &second]).await;
    labels_of_runs_only_rise([&first, &second]).await;
    stops_are_shared(&*first, &*second).await;
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
    let open = [("p1", NOW + 100, 1), ("p1", NOW + 200, 0), ("p2", NOW + 100, 0)];
    for (principal, now, expected) in open {
        assert_eq!(second.open_requests(principal, now).await.unwrap(), expected, "{principal} {now}");
    }
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
    let read = || Judged { votes: vec![vote("k1", "deny")], keys: Vec::new() };
    let unknown = Judged { keys: vec!["unknown".into()], ..read() };
    assert!(!first.consume("ap-5", used("c0"), unknown).await.unwrap(), "an unknown key");
    assert!(
        !first.consume("ap-5", used("c0"), Judged::default()).await.unwrap(),
        "a vote that nobody judged"
    );
    let before = Judged { votes: vec![vote("k1", "approve")], keys: Vec::new() };
    assert!(!second.consume("ap-5", used("c0"), before).await.unwrap(), "a vote that was changed");
    let gone = Judged { votes: vec![vote("k1", "deny"), vote("k2", "approve")], keys: Vec::new() };
    assert!(!second.consume("ap-5", used("c0"), gone).await.unwrap(), "a vote that is gone");
    assert!(first.consume("ap-5", used("c1"), read()).await.unwrap());
    assert!(!second.consume("ap-5", used("c2"), read()).await.unwrap(), "it is used");
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
        tokio::spawn(async move {
            store.consume("ap-6", used(&format!("call-{n}")), Judged::default()).await.unwrap()
        })
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
    let by = |key: &str| Judged { votes: Vec::new(), keys: vec![key.to_owned()] };
    assert!(!first.consume("ap-7", used("c7"), by("op-1")).await.unwrap(), "a revoked key");
    assert!(first.consume("ap-7", used("c7"), by("op-2")).await.unwrap());
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

async fn what_was_seen_is_seen_once(stores: [&Arc<dyn Store>; 2]) {
    let attempts = (0..64).map(|n| {
        let store = Arc::clone(stores[n % 2]);
        tokio::spawn(async move { store.seen_once([4; 32], NOW, NOW + 100).await.unwrap() })
    });
    let mut first = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        first += usize::from(attempt.await.unwrap());
    }
    assert_eq!(first, 1);
    let [one, other] = stores;
    assert!(other.seen_once([5; 32], NOW, NOW + 100).await.unwrap(), "another key");
    assert!(!one.seen_once([4; 32], NOW + 99, NOW + 200).await.unwrap(), "it is remembered to the end");
    assert!(other.seen_once([4; 32], NOW + 100, NOW + 200).await.unwrap(), "and no longer");
    assert!(!one.seen_once([4; 32], NOW + 199, NOW + 300).await.unwrap(), "it was seen anew");
    assert!(one.seen_once([5; 32], NOW + 100, NOW + 101).await.unwrap(), "swept or not, it is over");
}

/// Rates go by the clock of the store, so they are slow enough for any machine.
async fn a_rate_is_shared(stores: [&Arc<dyn Store>; 2]) {
    let five_at_once = Rate { per_minute: 1, burst: 5 };
    let [first, second] = stores;
    let lease = async |store: &Arc<dyn Store>, want| store.lease([1; 32], five_at_once, want).await.unwrap();
    assert_eq!(lease(first, 3).await, Lease::Granted(3));
    assert_eq!(lease(second, 3).await, Lease::Granted(2), "what is left");
    let Lease::Wait(wait) = lease(first, 3).await else { panic!("the rate is used up") };
    assert!((30_000_000..=60_000_000).contains(&wait), "{wait}");
    assert_eq!(
        first.lease([2; 32], five_at_once, 9).await.unwrap(),
        Lease::Granted(5),
        "never more than a burst"
    );

    let quick = Rate { per_minute: 600, burst: 1 };
    assert_eq!(first.lease([3; 32], quick, 9).await.unwrap(), Lease::Granted(1));
    let Lease::Wait(wait) = second.lease([3; 32], quick, 1).await.unwrap() else { panic!("too early") };
    tokio::time::sleep(std::time::Duration::from_micros(wait + 1_000)).await;
    assert_eq!(second.lease([3; 32], quick, 1).await.unwrap(), Lease::Granted(1), "it comes back with time");

    let attempts = (0..64).map(|n| {
        let store = Arc::clone(stores[n % 2]);
        tokio::spawn(async move { store.lease([4; 32], five_at_once, 2).await.unwrap() })
    });
    let mut granted = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        if let Lease::Granted(some) = attempt.await.unwrap() {
            granted += some;
        }
    }
    assert_eq!(granted, 5, "all together get no more than one alone");
}

async fn stops_are_shared(first: &dyn Store, second: &dyn Store) {
    let stop = |kind, frozen, at| StopRow {
        kind,
        what: "x".into(),
        frozen,
        reason: "incident".into(),
        operator: "uid 0".into(),
        at,
        until: None,
    };
    let (tool, run) = (stop(StopKind::Tool, true, NOW), stop(StopKind::Run, false, NOW + 1));
    first.stop(tool.clone()).await.unwrap();
    second.stop(run.clone()).await.unwrap();
    assert_eq!(second.stops().await.unwrap(), [tool.clone(), run.clone()]);
    second.stop(StopRow { frozen: true, ..run.clone() }).await.unwrap();
    assert_eq!(first.stops().await.unwrap(), [tool, run.clone()], "what is revoked is no mere freeze");
    assert!(!first.thaw(StopKind::Run, "x").await.unwrap(), "what is revoked stays so");
    assert!(second.thaw(StopKind::Tool, "x").await.unwrap());
    assert!(!second.thaw(StopKind::Tool, "x").await.unwrap());
    let over = StopRow { what: "y".into(), until: Some(NOW), ..run.clone() };
    first.stop(over).await.unwrap();
    first.forget(NOW + 1).await.unwrap();
    assert_eq!(second.stops().await.unwrap(), [run], "what has expired is forgotten");
}

/// Volumes go by the clock of the store; a minute is longer than this test.
async fn volumes_and_budgets_add_up(stores: [&Arc<dyn Store>; 2]) {
    const MINUTE: u64 = 60_000_000;
    let [first, second] = stores;
    let near = |ahead: u64, expected: u64| ahead <= expected && ahead + MINUTE > expected;
    assert_eq!(first.charge([1; 32], [0, 0]).await.unwrap(), [0, 0]);
    let [rows, bytes] = second.charge([1; 32], [10 * MINUTE, 0]).await.unwrap();
    assert!(near(rows, 10 * MINUTE) && bytes == 0, "{rows} {bytes}");
    let [rows, bytes] = first.charge([1; 32], [5 * MINUTE, 2 * MINUTE]).await.unwrap();
    assert!(near(rows, 15 * MINUTE) && near(bytes, 2 * MINUTE), "{rows} {bytes}");
    assert_eq!(second.charge([2; 32], [0, 0]).await.unwrap(), [0, 0], "another principal");
    let charging = (0..32_usize).map(|n| {
        let store = Arc::clone(stores[n % 2]);
        tokio::spawn(async move { store.charge([3; 32], [MINUTE, MINUTE]).await.unwrap() })
    });
    for charged in charging.collect::<Vec<_>>() {
        charged.await.unwrap();
    }
    let [rows, bytes] = first.charge([3; 32], [0, 0]).await.unwrap();
    assert!(near(rows, 32 * MINUTE) && near(bytes, 32 * MINUTE), "{rows} {bytes}");

    assert_eq!(first.count([1; 32], 3, NOW, NOW - 30).await.unwrap(), 3);
    assert_eq!(second.count([1; 32], 4, NOW + 30, NOW).await.unwrap(), 7);
    assert_eq!(second.count([2; 32], 1, NOW, NOW - 30).await.unwrap(), 1, "another run");
    assert_eq!(first.count([1; 32], 1, NOW + 61, NOW + 31).await.unwrap(), 1, "it was idle");
    let counting = (0..32_usize).map(|n| {
        let store = Arc::clone(stores[n % 2]);
        tokio::spawn(async move { store.count([3; 32], 2, NOW, NOW - 30).await.unwrap() })
    });
    for counted in counting.collect::<Vec<_>>() {
        counted.await.unwrap();
    }
    assert_eq!(second.count([3; 32], 0, NOW, NOW - 30).await.unwrap(), 64);
}

async fn a_holder_has_one_run(stores: [&Arc<dyn Store>; 2]) {
    let attempts = (0..64).map(|n| {
        let store = Arc::clone(stores[n % 2]);
        tokio::spawn(async move { store.run_of([1; 32], &format!("run-{n}"), NOW, NOW - 30).await.unwrap() })
    });
    let mut runs = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        runs.push(attempt.await.unwrap());
    }
    runs.dedup();
    assert_eq!(runs.len(), 1, "{runs:?}");
    let [first, second] = stores;
    let other = second.run_of([2; 32], "other", NOW, NOW - 30).await.unwrap();
    assert_eq!(other, "other", "another holder's");
    assert_eq!(first.run_of([1; 32], "late", NOW + 30, NOW).await.unwrap(), runs[0], "it is used");
    assert_eq!(second.run_of([1; 32], "anew", NOW + 60, NOW + 30).await.unwrap(), runs[0], "to the end");
    assert_eq!(first.run_of([1; 32], "anew", NOW + 91, NOW + 61).await.unwrap(), "anew", "it was idle");
    assert_eq!(
        second.run_of([1; 32], "x", NOW + 50, NOW + 20).await.unwrap(),
        "anew",
        "a clock that is behind"
    );
    assert_eq!(first.run_of([1; 32], "x", NOW + 121, NOW + 91).await.unwrap(), "anew", "does not age it");
}

async fn labels_of_runs_only_rise([first, second]: [&Arc<dyn Store>; 2]) {
    let label = |integrity, confidentiality| Label { integrity, confidentiality };
    assert_eq!(first.run_label([1; 32], NOW).await.unwrap(), Label::default());
    let one = label(Integrity::Untrusted, Confidentiality::Internal);
    assert_eq!(first.run_join([1; 32], one, NOW).await.unwrap(), one);
    assert_eq!(second.run_label([1; 32], NOW).await.unwrap(), one);
    let both = label(Integrity::Untrusted, Confidentiality::Private);
    let other = label(Integrity::Trusted, Confidentiality::Private);
    assert_eq!(second.run_join([1; 32], other, NOW).await.unwrap(), both, "each part has its highest");
    assert_eq!(first.run_join([1; 32], Label::default(), NOW).await.unwrap(), both);
    assert_eq!(second.run_label([2; 32], NOW).await.unwrap(), Label::default(), "another run");

    let steps = [
        (Integrity::Trusted, Confidentiality::Secret),
        (Integrity::Suspicious, Confidentiality::Public),
        (Integrity::Untrusted, Confidentiality::Private),
    ];
    let joining = (0..48_usize).map(|n| {
        let (integrity, confidentiality) = steps[n % 3];
        let store = Arc::clone([first, second][n % 2]);
        tokio::spawn(
            async move { store.run_join([3; 32], label(integrity, confidentiality), NOW).await.unwrap() },
        )
    });
    for joined in joining.collect::<Vec<_>>() {
        joined.await.unwrap();
    }
    let all = label(Integrity::Suspicious, Confidentiality::Secret);
    assert_eq!(second.run_label([3; 32], NOW).await.unwrap(), all, "of all that joined at once");

    // What is used is noted, so that it is not forgotten.
    let later = NOW + 600_000_000;
    second.run_label([3; 32], later).await.unwrap();
    first.forget(NOW + 1).await.unwrap();
    assert_eq!(first.run_label([3; 32], NOW).await.unwrap(), all);
    assert_eq!(first.run_label([1; 32], NOW).await.unwrap(), Label::default());
}

async fn old_things_are_forgotten(first: &dyn Store, second: &dyn Store) {
    first.forget(NOW + 1).await.unwrap();
    assert_eq!(second.once_begin(once("anew")).await.unwrap(), None);
    second.once_free([9; 32], "anew").await.unwrap();
    first.forget(NOW + 1_000).await.unwrap();
    let left: Vec<String> = first.requests(100).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(left, ["ap-6"], "what is in doubt stays");
}
