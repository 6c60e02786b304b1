//! Uses that were cut off, and what people find out about them.

use countersign_core::{
    AuthMethod, Principal, PrincipalKind,
    approval::{Claim, Use},
    once::{Begun, OnceKey, OnceKeys},
};
use countersign_state::Outcome;

use crate::support::*;

#[tokio::test]
async fn a_doubt_ends_by_what_somebody_found_out() {
    let principal = Principal::new("keys", "ann", PrincipalKind::Person, "acme", AuthMethod::ApiKey);
    for (outcome, stage) in [(Outcome::Ran, "ran"), (Outcome::DidNotRun, "did-not-run")] {
        let world = World::new();
        let asked = request("{}", 1);
        let id = world.ask(&asked).await;
        world.approve(&id, &world.person("bob").await).await.unwrap();
        let key = OnceKey::new(&principal, "write_shop", "order-4711", "{}");
        assert_eq!(world.desk.begin(key, usage(1)).await.unwrap(), Begun::Fresh);
        assert!(matches!(world.claim(&asked.call, 1).await, Claim::Granted(_)));
        world.desk.executing(key, call_id(1)).await.unwrap();
        let call = call_id(1).to_string();
        assert!(world.desk.doubtful(&call, NOW).await.is_err(), "it is under way");
        let later = Use { now: usage(1).until, ..usage(2) };
        assert!(matches!(world.desk.begin(key, later).await.unwrap(), Begun::InDoubt { .. }));

        let case = world.desk.doubtful(&call, later.now).await.unwrap();
        assert_eq!(case.id, id);
        world.desk.resolve(&case, outcome).await.unwrap();
        assert!(world.desk.in_doubt(later.now).await.unwrap().is_empty());
        assert!(world.desk.resolve(&case, outcome).await.is_err(), "it is resolved");
        assert_eq!(world.desk.find(&id, NOW).await.unwrap().stage.name(), stage);
        assert_eq!(world.claim(&asked.call, 3).await, Claim::Unasked, "the approval stays used");
        let again = world.desk.begin(key, later).await.unwrap();
        match outcome {
            Outcome::Ran => assert_eq!(again, Begun::Ran { call, answer: String::new() }),
            Outcome::DidNotRun => assert_eq!(again, Begun::Fresh),
        }
    }
}
