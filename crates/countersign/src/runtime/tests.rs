//! Rates outlive the process that counted them.

use std::sync::Arc;

use countersign_core::{
    AuthMethod, Principal, PrincipalKind, RunId,
    limits::{LimitConfig, Limits, Rate},
};

use super::FileRates;

fn limits(path: &std::path::Path) -> Limits {
    let rate = Rate { per_minute: 60, burst: 3 };
    let config = LimitConfig {
        principal: rate,
        tool: rate,
        server: Rate { per_minute: 60_000, burst: 1000 },
        ..LimitConfig::wide()
    };
    Limits::new(config, Some(Arc::new(FileRates::open(path).unwrap())))
}

fn who(name: &str) -> Principal {
    Principal::new("keys", name, PrincipalKind::Person, "acme", AuthMethod::ApiKey)
}

fn now() -> u64 {
    super::rates_now()
}

#[tokio::test]
async fn a_respawned_process_does_not_start_with_fresh_limits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rates");
    let now = now();
    let first = limits(&path);
    for _ in 0..3 {
        first.admit(&who("ann"), now).await.unwrap();
    }
    drop(first);
    let second = limits(&path);
    assert_eq!(second.admit(&who("ann"), now).await.unwrap_err().code(), "limited");
    second.admit(&who("bob"), now).await.unwrap();
    second.admit(&who("ann"), now + 1_000_000).await.unwrap();
}

#[tokio::test]
async fn a_respawned_process_does_not_start_with_a_fresh_hour() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rates");
    let now = now();
    let config = LimitConfig { rows_per_hour: 1000, ..LimitConfig::wide() };
    let limits = || Limits::new(config, Some(Arc::new(FileRates::open(&path).unwrap())));
    let call = async |limits: &Limits, name: &str| {
        limits.admit_call(&who(name), &RunId::new("r"), "t", "{}", now).await
    };
    let first = limits();
    call(&first, "ann").await.unwrap();
    first.given(&who("ann"), 1001, 1, now).await.unwrap();
    assert_eq!(call(&first, "ann").await.unwrap_err().code(), "limited");
    drop(first);
    assert_eq!(call(&limits(), "ann").await.unwrap_err().code(), "limited");
    call(&limits(), "bob").await.unwrap();
}

#[tokio::test]
async fn a_damaged_file_refuses_instead_of_forgetting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rates");
    for text in ["garbage", "countersign rates v1\nx", "countersign rates v1\nabc notanumber\n"] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(
            limits(&path).admit(&who("ann"), now()).await.unwrap_err().code(),
            "unavailable",
            "{text}"
        );
    }
}
