//! Another configuration, while the server runs.

use std::sync::atomic::Ordering;

use super::{
    super::{Timing, TokenRefused},
    authority::{Pair, World},
};

#[tokio::test]
async fn what_the_new_configuration_forbids_ends_at_once() {
    let world = World::new();
    let token = world.token(|_, _| {});
    world.ask(&token).await.unwrap();
    world.replace(|config| config.tenants = vec!["south".into()]);
    assert_eq!(world.ask(&token).await.unwrap_err(), TokenRefused::Tenant);
    assert!(!world.server.still_holds(&token));
    world.replace(|_| {});
    world.ask(&token).await.expect("as before");
    world.server.replace(super::authority::RESOURCE, Vec::new());
    assert_eq!(world.ask(&token).await.unwrap_err(), TokenRefused::Issuer);
}

#[tokio::test]
async fn an_issuer_that_is_away_is_not_missed_for_a_reload() {
    let world = World::new();
    let token = world.token(|_, _| {});
    world.ask(&token).await.unwrap();
    world.site.away.store(true, Ordering::SeqCst);
    world.replace(|config| config.roles = vec!["analyst".into()]);
    let ada = world.ask(&token).await.expect("the keys serve on");
    assert!(ada.roles().is_empty(), "by the new rules");
    world.replace(|config| config.jwks = Some("https://login.bank.example/other".into()));
    assert_eq!(
        world.ask(&token).await.unwrap_err(),
        TokenRefused::Unavailable,
        "keys from elsewhere are others"
    );
}

#[tokio::test]
async fn keys_that_were_taken_over_are_fetched_anew() {
    let world = World::new();
    world.ask(&world.token(|_, _| {})).await.unwrap();
    let before = world.asked();
    world.replace(|_| {});
    world.ask(&world.token(|_, claims| claims["jti"] = "t2".into())).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(world.asked() > before);
}

#[tokio::test]
async fn a_broad_scope_includes_the_narrow_ones() {
    let world =
        World::with(Pair::p256(), Timing::default(), |config| config.scopes = vec!["tools:read".into()]);
    let admin = world.token(|_, claims| claims["scope"] = "tools:admin".into());
    let found = world.ask(&admin).await.expect("by way of `tools:write`");
    assert_eq!(found.scopes().unwrap(), ["tools:admin", "tools:read", "tools:write"]);
    let other = world.token(|_, claims| claims["scope"] = "tools:list".into());
    assert_eq!(world.ask(&other).await.unwrap_err(), TokenRefused::Scope);
}
