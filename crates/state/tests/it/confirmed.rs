//! The operator's word on policies that loosen.

use countersign_core::approval::Operator;
use countersign_state::{Confirmed, OperatorKey};

use crate::support::*;

#[tokio::test]
async fn where_operators_are_enrolled_only_their_signature_counts() {
    let world = World::new();
    let digest = "5f0c";
    let nobody = world.desk.confirm(digest, None).await.unwrap();
    assert!(world.desk.counts(&nobody).await.unwrap(), "nobody is enrolled, so nobody need sign");

    let dir = tempfile::tempdir().unwrap();
    let key = |name: &str| OperatorKey::create(&dir.path().join(name), name).unwrap();
    let operator = |name: &str, tenant: Option<&str>| Operator {
        name: name.into(),
        subjects: Vec::new(),
        tenant: tenant.map(str::to_owned),
    };
    let (ann, eve, mallory) = (key("ann"), key("eve"), key("mallory"));
    let row = world.desk.enroll(operator("ann", None), ann.public(), NOW).await.unwrap();
    world.desk.enroll(operator("eve", Some("acme")), eve.public(), NOW).await.unwrap();

    assert!(!world.desk.counts(&nobody).await.unwrap(), "an unsigned word counts");
    assert!(world.desk.confirm(digest, None).await.is_err());
    for key in [&eve, &mallory] {
        assert!(world.desk.confirm(digest, Some(key)).await.is_err(), "{} may not confirm", key.name());
    }
    let signed = world.desk.confirm(digest, Some(&ann)).await.unwrap();
    assert!(world.desk.counts(&signed).await.unwrap());
    for forged in [
        Confirmed { digest: "other".into(), ..signed.clone() },
        Confirmed { operator: Some("eve".into()), ..signed.clone() },
        Confirmed { signature: Some(String::new()), ..signed.clone() },
        Confirmed { signature: None, ..signed.clone() },
    ] {
        assert!(!world.desk.counts(&forged).await.unwrap(), "{forged:?}");
    }
    world.desk.revoke(&row.id, NOW).await.unwrap();
    let other = key("bob");
    world.desk.enroll(operator("bob", None), other.public(), NOW).await.unwrap();
    assert!(!world.desk.counts(&signed).await.unwrap(), "the signature of a revoked key counts");
}
