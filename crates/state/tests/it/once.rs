//! Idempotency keys: once means once.

use countersign_core::{
    AuthMethod, Principal, PrincipalKind,
    approval::{End, Use},
    once::{Begun, OnceKey, OnceKeys},
};

use crate::support::*;

fn principal(issuer: &str, subject: &str, tenant: &str) -> Principal {
    Principal::new(issuer, subject, PrincipalKind::Person, tenant, AuthMethod::ApiKey)
}

fn key(arguments: &str) -> OnceKey {
    OnceKey::new(&principal("keys", "ann", "acme"), "write_shop", "order-4711", arguments)
}

#[tokio::test]
async fn a_retry_gets_the_recorded_answer() {
    let world = World::new();
    let desk = &world.desk;
    assert_eq!(desk.begin(key("{}"), usage(1)).await.unwrap(), Begun::Fresh);
    assert_eq!(desk.begin(key("{}"), usage(2)).await.unwrap(), Begun::Running);
    desk.executing(key("{}"), call_id(1)).await.unwrap();
    assert_eq!(desk.begin(key("{}"), usage(2)).await.unwrap(), Begun::Running);
    desk.end(key("{}"), call_id(1), End::Done, "{\"affected\":3}").await.unwrap();
    let ran = Begun::Ran { call: call_id(1).to_string(), answer: "{\"affected\":3}".into() };
    assert_eq!(desk.begin(key("{}"), usage(2)).await.unwrap(), ran);
    assert_eq!(desk.begin(key("{\"other\":1}"), usage(2)).await.unwrap(), Begun::Differs);
}

#[tokio::test]
async fn what_did_not_happen_may_be_tried_again() {
    let world = World::new();
    assert_eq!(world.desk.begin(key("{}"), usage(1)).await.unwrap(), Begun::Fresh);
    world.desk.end(key("{}"), call_id(1), End::Undone, "").await.unwrap();
    assert_eq!(world.desk.begin(key("{}"), usage(2)).await.unwrap(), Begun::Fresh);
}

#[tokio::test]
async fn a_call_that_died_before_it_began_is_taken_over_and_one_that_had_begun_is_in_doubt() {
    let world = World::new();
    let late = Use { now: usage(1).until, until: usage(1).until + 1_000_000, ..usage(2) };
    assert_eq!(world.desk.begin(key("{}"), usage(1)).await.unwrap(), Begun::Fresh);
    assert_eq!(world.desk.begin(key("{}"), late).await.unwrap(), Begun::Fresh, "taken over");
    assert!(world.desk.executing(key("{}"), call_id(1)).await.is_err(), "the first one lost it");
    world.desk.executing(key("{}"), call_id(2)).await.unwrap();
    let later = Use { call: call_id(3), now: late.until, until: late.until + 1 };
    let doubt = Begun::InDoubt { call: call_id(2).to_string() };
    assert_eq!(world.desk.begin(key("{}"), later).await.unwrap(), doubt);
    assert_eq!(world.desk.begin(key("{}"), later).await.unwrap(), doubt, "for good");
}

#[test]
fn a_key_belongs_to_its_principal_tenant_and_tool() {
    let base = OnceKey::new(&principal("keys", "ann", "acme"), "write_shop", "k", "{}");
    for other in [
        OnceKey::new(&principal("keys", "bob", "acme"), "write_shop", "k", "{}"),
        OnceKey::new(&principal("local", "ann", "acme"), "write_shop", "k", "{}"),
        OnceKey::new(&principal("keys", "ann", "globex"), "write_shop", "k", "{}"),
        OnceKey::new(&principal("keys", "ann", "acme"), "write_bank", "k", "{}"),
        OnceKey::new(&principal("keys", "ann", "acme"), "write_shop", "l", "{}"),
    ] {
        assert_ne!(other.key, base.key);
    }
    let same = OnceKey::new(&principal("keys", "ann", "acme"), "write_shop", "k", "{\"a\":1}");
    assert!(same.key == base.key && same.arguments != base.arguments);
}
