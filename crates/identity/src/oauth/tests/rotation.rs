//! How keys come, change and go.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::json;

use super::{
    super::{Timing, TokenRefused},
    authority::{ISSUER, Pair, TIMING, World},
};

#[tokio::test]
async fn many_callers_wait_for_one_fetch() {
    let world = World::new();
    let tokens: Vec<String> =
        (0..50).map(|n| world.token(|_, c| c["jti"] = format!("t{n}").into())).collect();
    let outcomes = tokens.iter().map(|token| Box::pin(world.ask(token))).collect();
    let done = join_all(outcomes).await;
    assert!(done.iter().all(Result::is_ok));
    // The first two places of the metadata have nothing, the third leads to the keys.
    assert!(world.asked() <= 4, "{}", world.asked());
}

/// Polls all of them at once.
pub(super) async fn join_all<F: Future>(futures: Vec<std::pin::Pin<Box<F>>>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.into_iter().map(Some).collect();
    let mut done: Vec<Option<F::Output>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (slot, out) in pending.iter_mut().zip(&mut done) {
            if let Some(future) = slot
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                (*out, *slot) = (Some(value), None);
            }
        }
        if pending.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_flood_of_unknown_keys_costs_the_issuer_one_request() {
    let world = World::new();
    world.ask(&world.token(|_, _| {})).await.unwrap();
    let before = world.asked();
    for n in 0..200 {
        let forged = world.token(|h, _| h["kid"] = format!("made-up-{n}").into());
        assert_eq!(world.ask(&forged).await.unwrap_err(), TokenRefused::UnknownKey);
    }
    assert_eq!(world.asked(), before, "the keys are younger than the pause");
    assert!(world.ask(&world.token(|_, c| c["jti"] = "t2".into())).await.is_ok(), "others are not kept out");
}

#[tokio::test]
async fn a_new_key_is_found_and_a_withdrawn_key_ends_its_tokens() {
    let world = World::with(Pair::p256(), TIMING, |_| {});
    let token = world.token(|_, _| {});
    world.ask(&token).await.unwrap();
    let second = Pair::p256();
    world.publish_keys(&[("two", &second)]);
    let mut header = world.header();
    header["kid"] = "two".into();
    let new = second.sign(&header, &super::authority::claims().to_string());
    tokio::time::sleep(TIMING.unknown).await;
    world.ask(&new).await.expect("its key is fetched");
    assert_eq!(world.heard(), ["corp: 1 -> 1 keys"]);
    assert_eq!(world.ask(&token).await.unwrap_err(), TokenRefused::UnknownKey);
    assert!(!world.server.still_holds(&token));
}

#[tokio::test]
async fn keys_that_get_old_are_fetched_in_the_background() {
    let world = World::with(Pair::p256(), TIMING, |_| {});
    let token = world.token(|_, _| {});
    world.ask(&token).await.unwrap();
    let before = world.asked();
    tokio::time::sleep(TIMING.fresh * 2).await;
    world.ask(&token).await.expect("at once, with the keys at hand");
    assert_eq!(world.asked(), before);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(world.asked() > before, "and then they are fetched");
}

#[tokio::test]
async fn an_issuer_that_is_away_is_missed_for_a_while_and_then_closes() {
    let world = World::with(Pair::p256(), TIMING, |_| {});
    let token = world.token(|_, _| {});
    world.ask(&token).await.unwrap();
    world.site.away.store(true, Ordering::SeqCst);
    tokio::time::sleep(TIMING.fresh * 3).await;
    world.ask(&token).await.expect("the last good keys serve");
    tokio::time::sleep(TIMING.stale).await;
    assert_eq!(world.ask(&token).await.unwrap_err(), TokenRefused::Unavailable);
    assert!(world.heard().contains(&"corp: away".to_owned()));
    world.site.away.store(false, Ordering::SeqCst);
    tokio::time::sleep(TIMING.failed * 2).await;
    world.ask(&token).await.expect("and it recovers by itself");
}

#[tokio::test]
async fn metadata_of_another_issuer_is_refused() {
    let world = World::new();
    world.publish(
        "/.well-known/openid-configuration",
        &json!({"issuer": "https://evil.example", "jwks_uri": format!("{ISSUER}/jwks")}),
    );
    assert_eq!(world.ask(&world.token(|_, _| {})).await.unwrap_err(), TokenRefused::Unavailable);
    assert_eq!(world.heard(), ["corp: the metadata is that of another issuer"]);
}

#[tokio::test]
async fn documents_that_are_no_keys_change_nothing() {
    let world = World::with(Pair::p256(), Timing { stale: Duration::from_secs(60), ..TIMING }, |_| {});
    let token = world.token(|_, _| {});
    world.ask(&token).await.unwrap();
    for document in
        [json!({}), json!({"keys": []}), json!({"keys": vec![Pair::ed25519().jwk(); 101]}), json!([])]
    {
        world.publish("/jwks", &document);
        tokio::time::sleep(TIMING.fresh * 2).await;
        world.ask(&token).await.expect("the last good keys serve");
    }
}

#[tokio::test]
async fn a_repeated_token_costs_little() {
    let world = World::with(Pair::rsa(), Timing::default(), |_| {});
    let token = world.token(|_, c| c["padding"] = "x".repeat(600).into());
    let fresh: Vec<String> =
        (0..50).map(|n| world.token(|_, c| c["padding"] = format!("{n:0600}").into())).collect();
    world.ask(&token).await.unwrap();
    let median = async |tokens: &mut dyn Iterator<Item = &String>| {
        let mut times: Vec<u128> = Vec::new();
        for token in tokens {
            let start = std::time::Instant::now();
            world.ask(token).await.unwrap();
            times.push(start.elapsed().as_nanos());
        }
        times.sort_unstable();
        times[times.len() / 2]
    };
    let first = median(&mut fresh.iter()).await;
    let repeated = median(&mut std::iter::repeat_n(&token, 2_000)).await;
    println!("a token of {} bytes: {first} ns, repeated {repeated} ns at the median", token.len());
    assert!(repeated * 2 < first, "{repeated} ns of {first} ns");
}
