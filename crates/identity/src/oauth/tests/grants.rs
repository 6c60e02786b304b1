//! What a good token makes of its caller, and what its issuer may not grant.

use countersign_core::PrincipalKind;
use serde_json::json;

use super::{
    super::{ClaimPath, Metadata, TenantRule, Timing, TokenRefused, is_identifier},
    authority::{ISSUER, Pair, RESOURCE, World},
};

#[tokio::test]
async fn claims_become_tenant_roles_scopes_and_claims() {
    let world = World::new();
    let token = world.token(|_, c| c["realm"] = json!({"roles": ["Bank Analysts", "reader"]}));
    let ada = world.ask(&token).await.unwrap();
    assert_eq!((ada.issuer(), ada.subject(), ada.tenant()), (ISSUER, "ada", "north"));
    assert_eq!(ada.roles(), ["analyst", "reader"]);
    assert_eq!(ada.scopes().unwrap(), ["tools:list", "tools:read"]);
    assert_eq!((ada.claim("region"), ada.claim("jti"), ada.claims().len()), (Some("emea"), Some("t1"), 2));
    assert_eq!((ada.kind(), ada.credential()), (PrincipalKind::Person, "corp:desk"));
    assert!(world.heard().is_empty());
}

#[tokio::test]
async fn what_an_issuer_may_not_grant_is_left_out_and_reported() {
    let world = World::new();
    let token = world.token(|_, c| {
        c["realm"] = json!({"roles": ["admin", "reader", "operator"]});
        c["tenant"] = json!(["south", "head-office"]);
    });
    let ada = world.ask(&token).await.unwrap();
    assert_eq!((ada.tenant(), ada.roles()), ("south", &["reader".to_owned()][..]));
    assert_eq!(world.heard(), ["ada: 3 dropped"]);
    world.ask(&token).await.unwrap();
    assert_eq!(world.heard().len(), 1, "once for each token");
}

#[tokio::test]
async fn a_tenant_is_granted_by_its_issuer_or_there_is_none() {
    let world = World::new();
    for tenant in
        [json!("head-office"), json!([]), json!(["north", "south"]), json!({"a": "north"}), json!(null)]
    {
        let token = world.token(|_, c| c["tenant"] = tenant.clone());
        assert_eq!(world.ask(&token).await.unwrap_err(), TokenRefused::Tenant, "{tenant}");
    }
    let fixed =
        World::with(Pair::p256(), Timing::default(), |c| c.tenant = TenantRule::Fixed("north".into()));
    let token = fixed.token(|_, c| c["tenant"] = "head-office".into());
    assert_eq!(fixed.ask(&token).await.unwrap().tenant(), "north", "the operator's word alone");
}

#[tokio::test]
async fn a_program_is_no_person() {
    let world = World::new();
    let nightly = world.token(|_, c| (c["sub"], c["client_id"]) = ("nightly".into(), "nightly".into()));
    assert_eq!(world.ask(&nightly).await.unwrap().kind(), PrincipalKind::Service);
    let other = world.token(|_, c| (c["sub"], c["client_id"]) = ("desk".into(), "desk".into()));
    assert_eq!(world.ask(&other).await.unwrap_err(), TokenRefused::Service);
}

#[tokio::test]
async fn a_scope_that_everything_needs_is_demanded() {
    let world = World::with(Pair::p256(), Timing::default(), |c| c.scopes = vec!["tools:read".into()]);
    assert!(world.ask(&world.token(|_, _| {})).await.is_ok());
    for scope in [json!("tools:readonly tools"), json!(""), json!(["tools"])] {
        let token = world.token(|_, c| c["scope"] = scope.clone());
        assert_eq!(world.ask(&token).await.unwrap_err(), TokenRefused::Scope, "{scope}");
    }
    let scp = world.token(|_, c| {
        c.as_object_mut().unwrap().remove("scope");
        c["scp"] = json!(["tools:read"]);
    });
    assert!(world.ask(&scp).await.is_ok(), "as other servers write it");
}

#[tokio::test]
async fn odd_subjects_are_refused() {
    let world = World::new();
    for subject in ["", "a b", "a\nb", "é", "\u{202e}ada", &"a".repeat(256)] {
        let token = world.token(|_, c| c["sub"] = subject.into());
        assert_eq!(world.ask(&token).await.unwrap_err(), TokenRefused::Claim("sub"), "{subject:?}");
    }
    assert!(world.ask(&world.token(|_, c| c["sub"] = "auth0|5f7c8ec7c33c6c004bbafe82".into())).await.is_ok());
}

#[test]
fn claims_are_named_by_themselves_or_by_a_pointer() {
    for good in ["roles", "https://bank.example/roles", "/realm_access/roles", "/a~1b"] {
        assert!(ClaimPath::parse(good).is_ok(), "{good}");
    }
    for bad in ["", "/", "a b", "a\n", &"x".repeat(129)] {
        assert!(ClaimPath::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_metadata_is_what_clients_look_for() {
    let metadata = Metadata {
        resource: RESOURCE.into(),
        issuers: vec![ISSUER.into()],
        scopes: vec!["tools:read".into()],
        bound: true,
        certificates: false,
    };
    assert_eq!(metadata.url(), "https://mcp.bank.example/.well-known/oauth-protected-resource/mcp");
    let document: serde_json::Value = serde_json::from_str(&metadata.document()).unwrap();
    assert_eq!(document["resource"], RESOURCE);
    assert_eq!(document["authorization_servers"], json!([ISSUER]));
    assert_eq!(document["scopes_supported"], json!(["tools:read"]));
    assert_eq!(document["bearer_methods_supported"], json!(["header"]));
    assert_eq!(document["dpop_bound_access_tokens_required"], true);
}

#[test]
fn identifiers_are_https_or_on_this_machine() {
    for good in
        ["https://login.bank.example", "https://h:8443/realms/a", "http://127.0.0.1:9000", "http://localhost"]
    {
        assert!(is_identifier(good), "{good}");
    }
    for bad in [
        "http://login.bank.example",
        "https://",
        "https://a@b",
        "https://a/?q",
        "https://a/#f",
        "ftp://a",
        "a",
        "",
    ] {
        assert!(!is_identifier(bad), "{bad}");
    }
}
