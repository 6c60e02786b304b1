//! The word of a caller's own person: it releases what they were shown, once, and is nobody's signature.

use countersign_core::approval::{Approvals, Claim, Request, Use, Vote};

use crate::support::*;

#[tokio::test]
async fn the_requesters_word_releases_exactly_what_they_were_shown_and_once() {
    let world = World::new();
    let asked = request("{}", 1);
    let id = world.ask(&asked).await;
    let confirm =
        async |request: &Request, said, by| world.desk.answer(&id, request, said, usage(by)).await.unwrap();
    // Shown something else, of another id, or too late.
    let mut other = asked.clone();
    other.preview.affected = Some(1);
    assert_eq!(confirm(&other, Vote::Approve, 1).await, Claim::Unasked);
    let unknown = world.desk.answer("ap-none", &asked, Vote::Approve, usage(1)).await.unwrap();
    assert_eq!(unknown, Claim::Unasked);
    let late = Use { now: asked.expires, ..usage(1) };
    let expired = world.desk.answer(&id, &asked, Vote::Approve, late).await.unwrap();
    assert_eq!(expired, Claim::Unasked);

    let Claim::Granted(approved) = confirm(&asked, Vote::Approve, 1).await else { panic!() };
    assert!(approved.confirmed && approved.approvers.is_empty());
    let case = world.desk.find(&id, NOW).await.unwrap();
    assert_eq!((case.confirmed.as_deref(), case.void), (Some("ann"), 0));
    assert_eq!(confirm(&asked, Vote::Approve, 2).await, Claim::Unasked, "it is used");
    assert_eq!(world.claim(&asked.call, 2).await, Claim::Unasked);
}

#[tokio::test]
async fn the_requesters_no_ends_the_request_and_their_yes_overrules_nobody() {
    let world = World::new();
    let asked = request("{}", 1);
    let id = world.ask(&asked).await;
    let said = world.desk.answer(&id, &asked, Vote::Deny, usage(1)).await.unwrap();
    assert_eq!(said, Claim::Declined { id: id.clone() });
    assert_eq!(world.desk.find(&id, NOW).await.unwrap().stage.name(), "declined");
    assert_eq!(world.desk.answer(&id, &asked, Vote::Approve, usage(2)).await.unwrap(), Claim::Unasked);

    let asked = request("{\"n\":2}", 1);
    let id = world.ask(&asked).await;
    let signed = world.desk.sign(&id, &world.person("bob").await, Vote::Deny, "no", NOW).await.unwrap();
    world.desk.cast(signed).await.unwrap();
    assert_eq!(world.desk.answer(&id, &asked, Vote::Approve, usage(3)).await.unwrap(), Claim::Unasked);
    assert!(matches!(world.claim(&asked.call, 4).await, Claim::Denied { .. }));
}

#[tokio::test]
async fn a_forged_confirmation_is_no_vote() {
    let world = World::new();
    let asked = request("{}", 1);
    let id = world.ask(&asked).await;
    let forge = "INSERT INTO votes (approval, key, operator, vote, reason, signature, at) VALUES (?1, 'elicitation', 'bob', 'approve', '', x'', 1)";
    world.raw().execute(forge, [&id]).unwrap();
    assert!(matches!(world.claim(&asked.call, 1).await, Claim::Waiting { have: 0, .. }));
}
