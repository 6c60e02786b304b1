//! The store of a fleet in good and bad times: first start, newer programs, missing rights, outages, and what is called out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use countersign_core::{
    AuthMethod, Principal, PrincipalKind,
    approval::{Approvals as _, Claim, Vote},
    stops::{Stop, Stops as _, Subject},
};
use countersign_state::{
    Desk, Judged, NewRequest, OperatorKey, Seal, StateError, StopKind, StopRow, StopWatch, Store, UseRow,
};
use countersign_testbed::{Options, Postgres};

use crate::{
    fleet::Fleet,
    support::{NOW, operator, request, usage},
};

fn stop(what: &str) -> StopRow {
    StopRow {
        kind: StopKind::Tenant,
        what: what.into(),
        frozen: true,
        reason: String::new(),
        operator: "uid 0".into(),
        at: NOW,
        until: None,
    }
}

async fn within<T>(limit: Duration, mut ready: impl AsyncFnMut() -> Option<T>) -> (T, Duration) {
    let begun = Instant::now();
    loop {
        if let Some(done) = ready().await {
            return (done, begun.elapsed());
        }
        assert!(begun.elapsed() < limit, "not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_processes_start_on_an_empty_database() {
    let fleet = Fleet::new(Postgres::shared());
    let starts: Vec<_> = (0..12)
        .map(|_| {
            let fleet = fleet.clone();
            tokio::spawn(async move { fleet.open().await.map(drop) })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    let version = Postgres::shared().run(fleet.name(), "SELECT version FROM countersign.state_version");
    assert_eq!(version, "3");
}

/// Somebody's denial, stored the moment it is known that another session waits for its row.
const DENY: &str = "BEGIN;
    SELECT id FROM approvals WHERE id = 'ap-1' FOR UPDATE;
    INSERT INTO votes (approval, key, operator, vote, reason, signature, at) VALUES ('ap-1', 'k', 'bob', 'deny', '', '', 1);
    DO $$ BEGIN
        WHILE NOT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                          WHERE NOT l.granted AND a.datname = current_database()) LOOP
            PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
        END LOOP;
    END $$;
    COMMIT";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_that_is_being_stored_is_waited_for() {
    let cluster = Postgres::shared();
    let fleet = Fleet::new(cluster);
    let store = fleet.open().await.unwrap();
    let new = NewRequest {
        id: "ap-1".into(),
        bound: [1; 32],
        tenant: "acme".into(),
        principal: "p".into(),
        request: "{}".into(),
        created: NOW,
        expires: NOW + 100,
    };
    store.ask(new, 9).await.unwrap();
    let name = fleet.name().to_owned();
    let deny = format!("SET search_path = countersign; {DENY}");
    let denial = tokio::task::spawn_blocking(move || cluster.run(&name, &deny));
    let held = "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'RowExclusiveLock' AND relation = 'countersign.votes'::regclass";
    let locked = || (cluster.run(fleet.name(), held) == "1").then_some(());
    within(Duration::from_secs(20), async || locked()).await;
    let by = UseRow { call: "c1".into(), instance: "1:1".into(), until: NOW, end: None };
    assert!(!store.consume("ap-1", by, Judged::default()).await.unwrap(), "the denial came first");
    denial.await.unwrap();
    assert_eq!(store.request("ap-1").await.unwrap().unwrap().used, None);
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_refused_at_the_start_and_by_processes_that_run() {
    let fleet = Fleet::new(Postgres::shared());
    let store = fleet.open().await.unwrap();
    Postgres::shared().run(fleet.name(), "UPDATE countersign.state_version SET version = 99");
    let Err(refused) = fleet.open().await else { panic!("a newer schema is used") };
    assert_eq!(refused.to_string(), "the state has version 99; this program reads up to version 3");
    let refused = store.keys().await.unwrap_err();
    assert!(matches!(refused, StateError::Version { found: 99, .. }), "{refused}");
}

#[tokio::test]
async fn what_the_server_lacks_is_said() {
    let cluster = Postgres::shared();
    let fleet = Fleet::new(cluster);
    cluster.run(fleet.name(), "DROP SCHEMA countersign");
    let Err(refused) = fleet.open().await else { panic!("there is no schema") };
    let text = refused.to_string();
    assert!(text.contains("no schema `countersign`") && text.contains("CREATE SCHEMA countersign"), "{text}");
    let wrong = Fleet {
        settings: countersign_state::PostgresSettings {
            password: Some("wr0ng-pass".to_owned().into()),
            ..fleet.settings.clone()
        },
        ..fleet.clone()
    };
    let Err(refused) = wrong.open().await else { panic!("any password will do") };
    assert!(refused.to_string().contains("password authentication failed"), "{refused}");
    assert!(!format!("{refused:?} {:?}", wrong.settings).contains("wr0ng-pass"));
}

#[tokio::test]
async fn an_operator_is_told_what_to_mend() {
    // Clusters of tests are not synced to disk, which is what an operator must know.
    let found = Fleet::new(Postgres::shared()).open().await.unwrap().examine().await.unwrap();
    assert!(found.iter().any(|text| text.contains("fsync")), "{found:?}");
    assert!(!found.iter().any(|text| text.contains("role")), "the role of our own script: {found:?}");
    let cluster = Postgres::shared();
    let fleet = Fleet::new(cluster);
    cluster.run("postgres", &format!("ALTER ROLE {} SUPERUSER", fleet.name()));
    let found = fleet.open().await.unwrap().examine().await.unwrap();
    assert!(found[0].contains("superuser"), "{found:?}");
}

/// Rows that were acknowledged must not be lost, and a standby knows late.
#[tokio::test]
async fn commits_are_durable_and_standbys_are_refused() {
    let cluster = Postgres::shared();
    let fleet = Fleet::new(cluster);
    let store = fleet.open().await.unwrap();
    assert_eq!(cluster.run(fleet.name(), "SHOW synchronous_commit"), "off", "the server's own setting");
    store.keys().await.unwrap();
    store.stop(stop("acme")).await.unwrap();
    cluster
        .run("postgres", &format!("ALTER DATABASE {} SET default_transaction_read_only = on", fleet.name()));
    let Err(refused) = fleet.open().await else { panic!("a read-only database holds no state") };
    assert!(refused.to_string().contains("name the primary"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_heard_at_once_in_another_process() {
    let fleet = Fleet::new(Postgres::shared());
    let (first, second) = (Arc::new(fleet.open().await.unwrap()), fleet.open().await.unwrap());
    let watch = Arc::new(StopWatch::open(Arc::clone(&first) as _, || NOW).await.unwrap());
    let keeping = Arc::clone(&watch);
    tokio::spawn(async move { keeping.keep(|_| ()).await });
    let ann = Principal::new("keys", "ann", PrincipalKind::Person, "acme", AuthMethod::ApiKey);
    let subject = Subject { principal: &ann, run: None, tool: None };
    // Until it listens.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        second.stop(stop("acme")).await.unwrap();
        let stopped = async || watch.check(&subject).unwrap();
        let (found, took) = within(Duration::from_secs(2), stopped).await;
        assert_eq!(found, Stop::Frozen { what: "this tenant" });
        slowest = slowest.max(took);
        second.thaw(StopKind::Tenant, "acme").await.unwrap();
        within(Duration::from_secs(2), async || stopped().await.is_none().then_some(())).await;
    }
    println!("heard after {slowest:?} at most");
    // Reading again alone takes 400 ms, and on average half of that.
    assert!(slowest < Duration::from_millis(300), "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_refuses_and_ends_by_itself() {
    let cluster = Postgres::start();
    let fleet = Fleet::new(&cluster).hasty();
    let store = Arc::new(fleet.open().await.unwrap());
    let watch = Arc::new(StopWatch::open(Arc::clone(&store) as _, || NOW).await.unwrap());
    let (keeping, told) = (Arc::clone(&watch), Arc::new(AtomicU32::new(0)));
    let counter = Arc::clone(&told);
    tokio::spawn(async move {
        keeping.keep(|_| _ = counter.fetch_add(1, SeqCst)).await;
    });
    let ann = Principal::new("keys", "ann", PrincipalKind::Person, "acme", AuthMethod::ApiKey);
    let subject = Subject { principal: &ann, run: None, tool: None };
    assert_eq!(watch.check(&subject), Ok(None));

    cluster.stop();
    let begun = Instant::now();
    let refused = store.seen_once([1; 32], NOW, NOW + 1).await;
    assert!(matches!(refused, Err(StateError::Unreachable(_))), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let (_, took) = within(Duration::from_secs(4), async || watch.check(&subject).err()).await;
    println!("calls are refused {took:?} after the outage began");
    assert!(took < Duration::from_millis(2_500), "{took:?}");
    assert_eq!(told.load(SeqCst), 1, "an outage is told once");

    cluster.restart();
    let (_, took) = within(Duration::from_secs(5), async || watch.check(&subject).ok()).await;
    println!("and go again {took:?} after the server was back");
    within(Duration::from_secs(5), async || store.seen_once([1; 32], NOW, NOW + 1).await.ok()).await;
}

/// A server that is there and says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_given_up() {
    let cluster = Postgres::shared();
    let fleet = Fleet::new(cluster).hasty();
    let store = fleet.open().await.unwrap();
    store.stop(stop("acme")).await.unwrap();
    let database = fleet.name().to_owned();
    let locked = std::thread::spawn(move || {
        let sql = "BEGIN; LOCK countersign.stops IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(5); COMMIT";
        Postgres::shared().run(&database, sql)
    });
    tokio::time::sleep(Duration::from_millis(700)).await;
    let begun = Instant::now();
    assert!(store.stops().await.is_err());
    assert!(begun.elapsed() < Duration::from_millis(3_500), "{:?}", begun.elapsed());
    locked.join().unwrap();
    assert_eq!(store.stops().await.unwrap().len(), 1, "and then it answers again");
}

/// Something that takes connections and never says a word.
#[tokio::test]
async fn a_server_that_says_nothing_holds_nobody_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fleet = Fleet::at(silent.local_addr().unwrap().port(), "state").hasty();
    let begun = Instant::now();
    let Err(refused) = fleet.open().await else { panic!("nobody answered") };
    assert!(matches!(refused, StateError::Unreachable(_)), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn connections_are_few_and_all_end() {
    let cluster = Postgres::start_with(&Options::default());
    let fleet = Fleet::new(&cluster);
    let store = Arc::new(fleet.open().await.unwrap());
    let steps: Vec<_> = (0..200_u8)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.seen_once([n; 32], NOW, NOW + 1).await.unwrap() })
        })
        .collect();
    for step in steps {
        assert!(step.await.unwrap());
    }
    assert!(cluster.connections(fleet.name()) <= 8);
    drop(store);
    within(Duration::from_secs(5), async || (cluster.connections(fleet.name()) == 0).then_some(())).await;
}

/// What the desk writes is what a database can hold, and what it reads is what it wrote.
#[tokio::test]
async fn people_approve_through_the_database_of_a_fleet() {
    let fleet = Fleet::new(Postgres::shared());
    let dir = tempfile::tempdir().unwrap();
    let desk = async || {
        let seal = Seal::open(&dir.path().join("seal.key")).unwrap();
        Desk::new(Arc::new(fleet.open().await.unwrap()), seal)
    };
    let (one, other) = (desk().await, desk().await);
    let key = OperatorKey::create(&dir.path().join("bob.key"), "bob").unwrap();
    one.enroll(operator("bob"), key.public(), NOW).await.unwrap();
    let request = request("{}", 1);
    let id = one.ask("ap-fleet", &request, NOW).await.unwrap();
    let waiting = other.claim(&request.call, usage(1)).await.unwrap();
    assert!(matches!(waiting, Claim::Waiting { have: 0, .. }), "{waiting:?}");
    let signed = other.sign(&id, &key, Vote::Approve, "looks right", NOW).await.unwrap();
    other.cast(signed).await.unwrap();
    let granted = one.claim(&request.call, usage(2)).await.unwrap();
    assert!(matches!(granted, Claim::Granted(_)), "{granted:?}");
    let again = other.claim(&request.call, usage(3)).await.unwrap();
    assert!(matches!(again, Claim::Unasked), "{again:?}");
}
