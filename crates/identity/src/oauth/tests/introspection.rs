//! Tokens that only their issuer can read.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use countersign_core::PrincipalKind;
use serde_json::{Value, json};

use super::{
    super::{FetchFailed, IntrospectionEndpoint, Timing, TokenRefused},
    authority::{ISSUER, NOW, Pair, World, claims},
};

const TOKEN: &str = "2YotnFZFEjr1zCsicMWpAA";

/// An endpoint that says of every token what it was told to say.
struct Oracle {
    answer: Mutex<Result<String, FetchFailed>>,
    asked: AtomicUsize,
}

impl Oracle {
    fn says(&self, change: impl FnOnce(&mut Value)) {
        let mut answer = claims();
        (answer["active"], answer["token_type"]) = (true.into(), "Bearer".into());
        change(&mut answer);
        self.raw(Ok(answer.to_string()));
    }

    fn raw(&self, answer: Result<String, FetchFailed>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl IntrospectionEndpoint for Oracle {
    async fn ask(&self, _token: &str) -> Result<Vec<u8>, FetchFailed> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.answer.lock().unwrap().clone().map(String::into_bytes)
    }
}

const FRESH: Duration = Duration::from_millis(200);

/// An authority that says yes to every token.
fn world() -> (World, Arc<Oracle>) {
    let oracle = Arc::new(Oracle { answer: Mutex::new(Ok(String::new())), asked: AtomicUsize::new(0) });
    oracle.says(|_| {});
    let endpoint = Arc::clone(&oracle) as Arc<dyn IntrospectionEndpoint>;
    (World::asking(Pair::p256(), Timing::default(), |_| {}, Some((endpoint, FRESH))), oracle)
}

#[tokio::test]
async fn an_issuer_says_who_shows_a_token_that_cannot_be_read() {
    let (world, oracle) = world();
    let ada = world.ask(TOKEN).await.unwrap();
    assert_eq!((ada.issuer(), ada.subject(), ada.tenant()), (ISSUER, "ada", "north"));
    assert_eq!((ada.roles(), ada.scopes().unwrap().len()), (&["reader".to_owned()][..], 2));
    for _ in 0..5 {
        world.ask(TOKEN).await.unwrap();
    }
    assert_eq!(oracle.asked(), 1, "a fresh answer is not asked for again");
    assert_eq!(world.asked(), 0, "no key is needed");
    // One that can be read is read: nobody is asked, and its own signature decides.
    world.ask(&world.token(|_, _| {})).await.unwrap();
    let forged = Pair::p256().sign(&world.header(), &claims().to_string());
    assert_eq!(world.ask(&forged).await.unwrap_err(), TokenRefused::Signature);
    let header = BASE64URL.encode(json!({"alg": "none", "typ": "at+jwt"}).to_string());
    let unsigned = format!("{header}.{}.", BASE64URL.encode(claims().to_string()));
    assert_eq!(world.ask(&unsigned).await.unwrap_err(), TokenRefused::Algorithm);
    assert_eq!(oracle.asked(), 1);
}

#[tokio::test]
async fn an_answer_is_judged_like_a_token() {
    type Case = (&'static str, fn(&mut Value), TokenRefused);
    let cases: [Case; 13] = [
        ("not active", |a| a["active"] = false.into(), TokenRefused::Inactive),
        ("active in text", |a| a["active"] = "true".into(), TokenRefused::Unavailable),
        ("nothing said", |a| drop(a.as_object_mut().unwrap().remove("active")), TokenRefused::Unavailable),
        ("another issuer's", |a| a["iss"] = "https://evil.example".into(), TokenRefused::Issuer),
        ("a refresh token", |a| a["token_type"] = "refresh_token".into(), TokenRefused::Kind),
        ("no type", |a| drop(a.as_object_mut().unwrap().remove("token_type")), TokenRefused::Kind),
        ("another audience", |a| a["aud"] = "https://mcp.other.example".into(), TokenRefused::Audience),
        ("no audience", |a| drop(a.as_object_mut().unwrap().remove("aud")), TokenRefused::Claim("aud")),
        ("expired", |a| a["exp"] = json!(NOW - 30), TokenRefused::Expired),
        ("no end", |a| drop(a.as_object_mut().unwrap().remove("exp")), TokenRefused::Claim("exp")),
        ("another tenant", |a| a["tenant"] = "head-office".into(), TokenRefused::Tenant),
        ("bound, without a key", |a| a["token_type"] = "DPoP".into(), TokenRefused::Unbound),
        (
            "bound to a certificate",
            |a| a["cnf"] = json!({"x5t#S256": BASE64URL.encode([7; 32])}),
            TokenRefused::Unbound,
        ),
    ];
    for (name, change, expected) in cases {
        let (world, oracle) = world();
        world.ask(TOKEN).await.expect("the unchanged answer is good");
        oracle.says(change);
        assert_eq!(world.ask("another-token-of-ada").await.unwrap_err(), expected, "{name}");
    }
}

#[tokio::test]
async fn an_answer_without_a_subject_is_about_a_declared_service() {
    let (world, oracle) = world();
    for (client, kind) in [("nightly", Ok(PrincipalKind::Service)), ("desk", Err(TokenRefused::Claim("sub")))]
    {
        oracle.says(|answer| {
            answer.as_object_mut().unwrap().remove("sub");
            answer["client_id"] = client.into();
        });
        let token = format!("a-token-of-the-client-{client}");
        assert_eq!(world.ask(&token).await.map(|found| found.kind()), kind, "{client}");
    }
    let silent = world.token(|_, c| {
        c.as_object_mut().unwrap().remove("sub");
        c["client_id"] = "nightly".into();
    });
    assert_eq!(world.ask(&silent).await.unwrap_err(), TokenRefused::Claim("sub"), "a token says it itself");
}

#[tokio::test]
async fn a_token_that_its_issuer_revokes_ends_with_the_answer() {
    let (world, oracle) = world();
    world.ask(TOKEN).await.unwrap();
    oracle.says(|answer| answer["active"] = false.into());
    world.ask(TOKEN).await.expect("the answer holds a while");
    tokio::time::sleep(FRESH * 2).await;
    assert_eq!(world.ask(TOKEN).await.unwrap_err(), TokenRefused::Inactive);
    assert!(!world.server.still_holds(TOKEN));
}

#[tokio::test]
async fn made_up_tokens_cost_little_and_keep_nobody_waiting() {
    let (world, oracle) = world();
    world.ask(TOKEN).await.unwrap();
    oracle.says(|answer| answer["active"] = false.into());
    for _ in 0..50 {
        assert_eq!(world.ask("made-up-by-somebody").await.unwrap_err(), TokenRefused::Inactive);
    }
    assert_eq!(oracle.asked(), 2, "a no holds as long as a yes");
    for odd in ["short", &"x".repeat(5000)] {
        assert_eq!(world.ask(odd).await.unwrap_err(), TokenRefused::Malformed);
    }
    assert_eq!(oracle.asked(), 2, "some are not worth a question");

    // The same token by many at once is asked about once.
    oracle.says(|_| {});
    let many: Vec<_> = (0..20).map(|_| world.ask("a-token-of-many-callers")).collect();
    let answers = super::rotation::join_all(many.into_iter().map(Box::pin).collect()).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(oracle.asked(), 3);
}

#[tokio::test]
async fn an_issuer_that_cannot_be_asked_closes() {
    let (world, oracle) = world();
    world.ask(TOKEN).await.unwrap();
    oracle.raw(Err(FetchFailed("away".into())));
    world.ask(TOKEN).await.expect("the answer holds a while");
    tokio::time::sleep(FRESH * 2).await;
    assert_eq!(world.ask(TOKEN).await.unwrap_err(), TokenRefused::Unavailable);
    assert_eq!(world.heard(), ["corp: not asked: away"]);
    assert!(world.server.still_holds(TOKEN), "an open stream waits a little longer");
    for broken in ["", "no", "[]", r#"{"active":true,"active":false}"#] {
        oracle.raw(Ok(broken.into()));
        assert_eq!(world.ask(TOKEN).await.unwrap_err(), TokenRefused::Unavailable, "{broken}");
    }
    oracle.says(|_| {});
    world.ask(TOKEN).await.expect("and it recovers by itself");
}

#[tokio::test]
async fn without_an_endpoint_what_cannot_be_read_is_no_token() {
    let world = World::new();
    assert_eq!(world.ask(TOKEN).await.unwrap_err(), TokenRefused::Malformed);
}
