//! What the desk believes: signatures by enrolled people over exactly this request, and nothing else.

use countersign_core::{
    CallId,
    approval::{Approvals, BoundCall, Claim, End, Operator, Request, Use, Vote},
};
use countersign_state::{Desk, OperatorKey, SqliteStore, Stage, StateError};

use crate::support::*;

fn granted(claim: &Claim) -> bool {
    matches!(claim, Claim::Granted(_))
}

fn waits(claim: &Claim, wanted: u8) -> bool {
    matches!(claim, Claim::Waiting { have, .. } if *have == wanted)
}

#[tokio::test]
async fn an_approved_request_is_used_once_and_names_its_approvers() {
    let world = World::new();
    let asked = request("{}", 1);
    assert_eq!(world.claim(&asked.call, 1).await, Claim::Unasked);
    let id = world.ask(&asked).await;
    assert!(waits(&world.claim(&asked.call, 1).await, 0));
    let bob = world.person("bob").await;
    world.approve(&id, &bob).await.unwrap();
    let Claim::Granted(approved) = world.claim(&asked.call, 1).await else { panic!() };
    assert_eq!(approved.request, asked);
    assert_eq!(
        (approved.approvers[0].operator.name.as_str(), &approved.approvers[0].key),
        ("bob", &bob.id())
    );
    assert_eq!(world.claim(&asked.call, 2).await, Claim::Unasked, "the second time needs a new approval");
}

/// A denial that the desk took in says that the call does not run, whatever was being judged at that moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_that_was_taken_in_is_never_overruled() {
    let world = World::new();
    let (bob, eve) = (world.person("bob").await, world.person("eve").await);
    let denying = world.another();
    for round in 1..=20 {
        let asked = request(&format!("{{\"n\":{round}}}"), 1);
        let id = world.ask(&asked).await;
        world.approve(&id, &bob).await.unwrap();
        let denial = world.desk.sign(&id, &eve, Vote::Deny, "stop", NOW).await.unwrap();
        let (claim, cast) = tokio::join!(world.claim(&asked.call, round), denying.cast(denial));
        assert_ne!(granted(&claim), cast.is_ok(), "{claim:?}");
        assert_eq!(matches!(claim, Claim::Denied { .. }), cast.is_ok(), "{claim:?}");
    }
}

#[tokio::test]
async fn a_change_of_anything_that_is_bound_needs_its_own_approval() {
    let world = World::new();
    let asked = request("{\"statement\":\"a\"}", 1);
    let id = world.ask(&asked).await;
    world.approve(&id, &world.person("bob").await).await.unwrap();
    let base = || asked.call.clone();
    let others = [
        BoundCall { arguments: "{\"statement\":\"b\"}".into(), ..base() },
        BoundCall { policy: "p2".into(), ..base() },
        BoundCall { pin: "01".into(), ..base() },
        BoundCall { tenant: "globex".into(), ..base() },
        BoundCall { subject: "eve".into(), ..base() },
        BoundCall { issuer: "local".into(), ..base() },
        BoundCall { owner: Some("eve".into()), ..base() },
        BoundCall { claims: [("region".into(), "eu".into())].into(), ..base() },
        BoundCall { run: "run-2".into(), ..base() },
        BoundCall { integrity: "untrusted".into(), ..base() },
        BoundCall { confidentiality: "private".into(), ..base() },
        BoundCall { tool: "write_other".into(), ..base() },
        BoundCall { power: "write-low".into(), ..base() },
        BoundCall { accesses: vec!["write table shop.users".into()], ..base() },
        BoundCall { destinations: vec!["evil.example".into()], ..base() },
    ];
    for other in others {
        assert_eq!(world.claim(&other, 1).await, Claim::Unasked, "{other:?}");
    }
    assert!(granted(&world.claim(&asked.call, 1).await));
}

#[tokio::test]
async fn an_approval_that_expired_counts_for_nothing() {
    let world = World::new();
    let asked = request("{}", 1);
    let id = world.ask(&asked).await;
    world.approve(&id, &world.person("bob").await).await.unwrap();
    let late = Use { now: asked.expires, ..usage(1) };
    assert_eq!(world.desk.claim(&asked.call, late).await.unwrap(), Claim::Unasked);
    // Nor does it when the row's own column is put forward: the signed time decides.
    world.raw().execute("UPDATE approvals SET expires = expires * 2", []).unwrap();
    assert_eq!(world.desk.claim(&asked.call, late).await.unwrap(), Claim::Unasked);
    assert_eq!(world.desk.find(&id, asked.expires).await.unwrap().stage, Stage::Expired);
}

#[tokio::test]
async fn a_forged_row_approves_nothing() {
    let world = World::new();
    let asked = request("{}", 1);
    let id = world.ask(&asked).await;
    let bob = world.person("bob").await;
    let forge = "INSERT INTO votes (approval, key, operator, vote, reason, signature, at) VALUES (?1, ?2, 'bob', 'approve', '', ?3, 1)";
    for signature in [Vec::<u8>::new(), vec![0; 64], vec![1; 64]] {
        world.raw().execute("DELETE FROM votes", []).unwrap();
        world.raw().execute(forge, rusqlite::params![id, bob.id(), signature]).unwrap();
        let sql = "SELECT count(*) FROM votes JOIN operator_keys ON id = key WHERE vote = 'approve' AND revoked IS NULL";
        let approvals: u32 = world.raw().query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(approvals, 1, "the attack: whoever believes rows sees an approval by bob");
        assert!(waits(&world.claim(&asked.call, 1).await, 0));
        assert_eq!(world.desk.find(&id, NOW).await.unwrap().void, 1);
    }
}

#[tokio::test]
async fn a_forged_key_enrols_nobody() {
    let world = World::new();
    let asked = request("{}", 1);
    let id = world.ask(&asked).await;
    let (_, row) = world.person_with(operator("bob")).await;
    // Somebody who can write to the database, but not read the seal, puts a key of their own in bob's place …
    let mallory = world.key("mallory");
    let put = "UPDATE operator_keys SET public = ?1, id = ?2";
    world.raw().execute(put, rusqlite::params![mallory.public(), mallory.id()]).unwrap();
    assert!(world.desk.keys().await.unwrap().is_empty(), "the seal is broken");
    assert!(matches!(world.approve(&id, &mallory).await, Err(StateError::Refused(_))));
    // … or takes a revocation back.
    world.raw().execute(put, rusqlite::params![row.public, row.id]).unwrap();
    world.desk.revoke(&row.id, NOW).await.unwrap();
    world.raw().execute("UPDATE operator_keys SET revoked = NULL", []).unwrap();
    assert!(world.desk.keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_was_shown_cannot_be_changed_under_a_signature() {
    let world = World::new();
    let asked = request("{}", 1);
    let id = world.ask(&asked).await;
    world.approve(&id, &world.person("bob").await).await.unwrap();
    let change = |from: &str, to: &str| {
        let sql = "UPDATE approvals SET request = replace(request, ?1, ?2)";
        assert_eq!(world.raw().execute(sql, [from, to]).unwrap(), 1);
    };
    change("\"affected\":3", "\"affected\":300");
    assert!(waits(&world.claim(&asked.call, 1).await, 0));
    change("\"affected\":300", "\"affected\":3");
    change("\"needed\":1", "\"needed\":0");
    assert!(!granted(&world.claim(&asked.call, 1).await));
    change("\"needed\":0", "\"needed\":1");
    change("write_shop", "write_bank");
    assert!(world.desk.claim(&asked.call, usage(1)).await.is_err(), "it is not what it is stored under");
    change("write_bank", "write_shop");
    assert!(granted(&world.claim(&asked.call, 1).await));
}

#[tokio::test]
async fn unknown_and_revoked_keys_do_not_count() {
    let world = World::new();
    let asked = request("{}", 1);
    let id = world.ask(&asked).await;
    let stranger = world.key("bob");
    assert!(matches!(world.approve(&id, &stranger).await, Err(StateError::Refused(_))));
    let bob = world.person("bob").await;
    world.approve(&id, &bob).await.unwrap();
    // Revoked after it signed and before it was used.
    world.desk.revoke(&bob.id(), NOW).await.unwrap();
    assert!(waits(&world.claim(&asked.call, 1).await, 0));
    assert!(matches!(world.approve(&id, &bob).await, Err(StateError::Refused(_))));
}

#[tokio::test]
async fn nobody_approves_their_own_call_or_that_of_their_agent() {
    let world = World::new();
    let own = request("{}", 1);
    let id = world.ask(&own).await;
    for operator in [operator("ANN"), Operator { subjects: vec!["ann".into()], ..operator("somebody") }] {
        let (key, _) = world.person_with(operator).await;
        assert!(matches!(world.approve(&id, &key).await, Err(StateError::Refused(_))));
    }
    let call = BoundCall { subject: "agent-7".into(), owner: Some("bob".into()), ..own.call.clone() };
    let id = world.ask(&Request { call, ..own }).await;
    let bob = world.person("bob").await;
    assert!(matches!(world.approve(&id, &bob).await, Err(StateError::Refused(_))));
}

#[tokio::test]
async fn a_vote_by_the_caller_does_not_count_when_it_is_used_either() {
    let world = World::new();
    let asked = request("{}", 1);
    let id = world.ask(&asked).await;
    let (key, _) = world.person_with(operator("bob")).await;
    world.approve(&id, &key).await.unwrap();
    assert_eq!(world.desk.find(&id, NOW).await.unwrap().stage, Stage::Approved);
    // Only then it is known that bob makes calls as ann.
    world.raw().execute("DELETE FROM operator_keys", []).unwrap();
    let bob = Operator { subjects: vec!["ann".into()], ..operator("bob") };
    world.desk.enroll(bob, key.public(), NOW).await.unwrap();
    assert!(waits(&world.claim(&asked.call, 1).await, 0));
}

#[tokio::test]
async fn approvers_of_one_tenant_do_not_reach_another() {
    let world = World::new();
    let asked = request("{}", 1);
    let id = world.ask(&asked).await;
    let (gil, _) = world.person_with(Operator { tenant: Some("globex".into()), ..operator("gil") }).await;
    assert!(matches!(world.approve(&id, &gil).await, Err(StateError::Refused(_))));
    let (amy, _) = world.person_with(Operator { tenant: Some("acme".into()), ..operator("amy") }).await;
    world.approve(&id, &amy).await.unwrap();
    assert!(granted(&world.claim(&asked.call, 1).await));
}

#[tokio::test]
async fn two_means_two_people() {
    let world = World::new();
    let asked = request("{}", 2);
    let id = world.ask(&asked).await;
    let bob = world.person("bob").await;
    world.approve(&id, &bob).await.unwrap();
    world.approve(&id, &bob).await.unwrap();
    assert!(waits(&world.claim(&asked.call, 1).await, 1));
    // A second key of the same person is refused while the first is good.
    let second = world.key("bob");
    assert!(world.desk.enroll(operator("Bob"), second.public(), NOW).await.is_err());
    world.approve(&id, &world.person("carol").await).await.unwrap();
    let Claim::Granted(approved) = world.claim(&asked.call, 1).await else { panic!() };
    assert_eq!(approved.approvers.len(), 2);
}

#[tokio::test]
async fn two_keys_of_one_name_are_one_person() {
    let world = World::new();
    let asked = request("{}", 2);
    let id = world.ask(&asked).await;
    // Enrolled apart and joined by a store that lets it happen.
    let (bob, second) = (world.person("bob").await, world.key("bob"));
    world.approve(&id, &bob).await.unwrap();
    let rows = "UPDATE operator_keys SET name = 'x' || name WHERE id = ?1";
    world.raw().execute(rows, [bob.id()]).unwrap();
    world.desk.enroll(operator("BOB"), second.public(), NOW).await.unwrap();
    world.raw().execute("UPDATE operator_keys SET name = substr(name, 2) WHERE id = ?1", [bob.id()]).unwrap();
    world.approve(&id, &second).await.unwrap();
    assert_eq!(world.desk.find(&id, NOW).await.unwrap().approvers.len(), 2, "both signatures are good");
    assert!(waits(&world.claim(&asked.call, 1).await, 1));
}

#[tokio::test]
async fn a_denial_answers_with_its_reason_and_stops_the_request() {
    let world = World::new();
    let asked = request("{}", 1);
    let id = world.ask(&asked).await;
    let (bob, carol) = (world.person("bob").await, world.person("carol").await);
    world.approve(&id, &bob).await.unwrap();
    let signed = world.desk.sign(&id, &carol, Vote::Deny, "wrong customer", NOW).await.unwrap();
    world.desk.cast(signed).await.unwrap();
    let denied = Claim::Denied { id: id.clone(), reason: "wrong customer".into() };
    assert_eq!(world.claim(&asked.call, 1).await, denied);
    assert!(matches!(world.approve(&id, &bob).await, Err(StateError::Refused(_))), "it is denied");
}

#[tokio::test]
async fn a_use_that_was_cut_off_is_in_doubt_and_stays_used() {
    let world = World::new();
    let asked = request("{}", 1);
    let id = world.ask(&asked).await;
    world.approve(&id, &world.person("bob").await).await.unwrap();
    assert!(granted(&world.claim(&asked.call, 1).await));
    assert!(world.desk.in_doubt(NOW).await.unwrap().is_empty(), "it is under way");
    let later = usage(1).until;
    assert_eq!(world.desk.in_doubt(later).await.unwrap()[0].id, id);
    // A process that is gone is known at once.
    world.raw().execute("UPDATE approvals SET instance = instance || '9'", []).unwrap();
    assert_eq!(world.desk.in_doubt(NOW).await.unwrap().len(), 1);
    assert_eq!(world.claim(&asked.call, 2).await, Claim::Unasked, "it is not used again");
    world.desk.close(&id, call_id(1), End::Done, NOW).await.unwrap();
    assert!(world.desk.in_doubt(later).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_claims_in_two_processes_one_is_granted() {
    let world = World::new();
    let desks: [&'static Desk; 2] =
        [Box::leak(Box::new(world.another())), Box::leak(Box::new(world.another()))];
    let bob = world.person("bob").await;
    for round in 0..10 {
        let asked = request(&format!("{{\"n\":{round}}}"), 1);
        let id = world.ask(&asked).await;
        world.approve(&id, &bob).await.unwrap();
        let claims = (0..20u8).map(|by| {
            let (desk, call) = (desks[usize::from(by % 2)], asked.call.clone());
            let by = Use { call: CallId::new(round, [by; 10]), ..usage(0) };
            tokio::spawn(async move { desk.claim(&call, by).await.unwrap() })
        });
        let mut won = 0;
        for claim in claims.collect::<Vec<_>>() {
            won += usize::from(granted(&claim.await.unwrap()));
        }
        assert_eq!(won, 1, "round {round}");
    }
}

#[tokio::test]
async fn one_principal_cannot_flood_the_approvers() {
    let world = World::new();
    let mut refused = 0;
    for n in 0..30 {
        let asked = request(&format!("{{\"n\":{n}}}"), 1);
        let room = world.desk.has_room(&asked.call, NOW).await.unwrap();
        let asked = world.desk.ask(&format!("ap-{n}"), &asked, NOW).await;
        assert_eq!(room, asked.is_ok(), "what is told beforehand holds");
        refused += usize::from(asked.is_err());
    }
    assert_eq!(refused, 10);
}

#[tokio::test]
async fn a_state_that_cannot_be_reached_refuses() {
    let world = World::new();
    let asked = request("{}", 1);
    let id = world.ask(&asked).await;
    world.approve(&id, &world.person("bob").await).await.unwrap();
    let (file, away) = (world.file(), world.file().with_extension("away"));
    std::fs::rename(&file, &away).unwrap();
    assert!(world.desk.claim(&asked.call, usage(1)).await.unwrap_err().contains("removed or replaced"));
    std::fs::write(&file, "").unwrap();
    assert!(world.desk.claim(&asked.call, usage(1)).await.is_err(), "another file in its place");
    std::fs::rename(&away, &file).unwrap();
    assert!(granted(&world.claim(&asked.call, 1).await));
}

#[test]
fn files_that_others_can_open_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (state, key) = (dir.path().join("state.db"), dir.path().join("bob"));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let open_up = |path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(SqliteStore::open(&state).unwrap());
    let made = OperatorKey::create(&key, "bob").unwrap();
    assert_eq!((mode(&state), mode(&key)), (0o600, 0o600));
    assert_eq!(OperatorKey::read(&key).unwrap().public(), made.public());
    open_up(&state);
    open_up(&key);
    assert!(matches!(SqliteStore::open(&state), Err(StateError::OpenToOthers { .. })));
    assert!(OperatorKey::read(&key).is_err());
}

#[test]
fn a_state_of_a_newer_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.db");
    drop(SqliteStore::open(&file).unwrap());
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(SqliteStore::open(&file), Err(StateError::Version { found: 99, .. })));
}
