//! The local operator is who the configuration says, and only under the configured user id.

use super::*;

fn operator(uid: u32) -> LocalUser {
    LocalUser {
        uid,
        user: "alice".into(),
        tenant: "acme".into(),
        roles: vec!["operator".into()],
        claims: [("branch".to_owned(), "north".to_owned())].into(),
    }
}

#[test]
fn the_configured_user_is_the_operator() {
    let (real, effective) = process_uid();
    assert_eq!(real, effective, "the test runs as one user");
    let principal = operator(real).authenticate(process_uid()).unwrap();
    assert_eq!((principal.issuer(), principal.subject(), principal.tenant()), ("local", "alice", "acme"));
    assert_eq!(principal.kind(), PrincipalKind::Person);
    assert_eq!(principal.roles(), ["operator"]);
    assert_eq!(principal.claim("branch"), Some("north"));
}

#[test]
fn another_user_is_refused() {
    let refused = operator(1000).authenticate((1001, 1001)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "this process runs as user id 1001, but `identity.local.uid` admits only 1000"
    );
}

#[test]
fn a_process_that_changed_its_user_is_refused() {
    assert!(operator(1000).authenticate((1000, 0)).is_err());
    assert!(operator(1000).authenticate((0, 1000)).is_err());
}
