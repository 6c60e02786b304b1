//! Limits refuse with a time to retry, recover, and keep those apart who are apart; slots come back.

use std::task::{Context, Poll, Waker};

use super::*;
use crate::{
    denied::{Failure, Subsystem},
    principal::{AuthMethod, PrincipalKind},
    tool::ToolError,
};

const NOW: u64 = 1_000_000_000;
const HOUR: u64 = 3_600_000_000;

fn limits(change: impl FnOnce(&mut LimitConfig)) -> Limits {
    let mut config = LimitConfig::wide();
    change(&mut config);
    Limits::new(config, None)
}

fn who(name: &str, tenant: &str) -> Principal {
    Principal::new("keys", name, PrincipalKind::Person, tenant, AuthMethod::ApiKey)
}

fn few(per_minute: u32, burst: u32) -> Rate {
    Rate { per_minute, burst }
}

/// One call of tool `t` by `ann`.
fn call(limits: &Limits, run: &str, tool: &str, arguments: &str, now: u64) -> Result<(), Denied> {
    at_once(limits.admit_call(&who("ann", "acme"), &RunId::new(run), tool, arguments, now))
}

fn admit(limits: &Limits, principal: &Principal, now: u64) -> Result<(), Denied> {
    at_once(limits.admit(principal, now))
}

/// INVARIANT: limits that live in memory wait for nothing.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    match std::pin::pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it waits"),
    }
}

fn limit(refused: Result<(), Denied>) -> &'static str {
    match refused {
        Err(Denied::Limited { limit, .. }) => limit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn principal_rate_refuses_after_the_burst_and_says_when_to_retry() {
    let limits = limits(|config| config.principal = few(60, 3));
    for _ in 0..3 {
        admit(&limits, &who("ann", "acme"), NOW).unwrap();
    }
    let refused = admit(&limits, &who("ann", "acme"), NOW).unwrap_err();
    let wait = refused.retry_after().unwrap();
    assert_eq!(wait, Duration::from_secs(1));
    admit(&limits, &who("bob", "acme"), NOW).unwrap();
    admit(&limits, &who("ann", "acme"), NOW + wait.as_micros() as u64).unwrap();
}

#[test]
fn a_tenant_has_a_rate_over_all_its_principals() {
    let limits = limits(|config| config.tenant = few(60, 2));
    admit(&limits, &who("ann", "acme"), NOW).unwrap();
    admit(&limits, &who("bob", "acme"), NOW).unwrap();
    assert_eq!(limit(admit(&limits, &who("cid", "acme"), NOW)), "tenant");
    admit(&limits, &who("dan", "globex"), NOW).unwrap();
}

#[test]
fn tool_rate_is_per_principal_and_tool() {
    let limits = limits(|config| config.tool = few(60, 1));
    call(&limits, "r", "t", "{}", NOW).unwrap();
    assert_eq!(limit(call(&limits, "r", "t", "{}", NOW)), "tool");
    call(&limits, "r", "u", "{}", NOW).unwrap();
    at_once(limits.admit_call(&who("bob", "acme"), &RunId::new("r"), "t", "{}", NOW)).unwrap();
}

#[test]
fn a_run_has_a_rate_of_its_own() {
    let limits = limits(|config| config.run = few(60, 2));
    call(&limits, "r", "t", "{}", NOW).unwrap();
    call(&limits, "r", "u", "{}", NOW).unwrap();
    assert_eq!(limit(call(&limits, "r", "v", "{}", NOW)), "run");
    call(&limits, "other", "v", "{}", NOW).unwrap();
}

/// The same call again and again is a loop; another argument, tool or run is another call.
#[test]
fn a_loop_is_stopped() {
    let limits = limits(|config| config.repeat = few(60, 3));
    for _ in 0..3 {
        call(&limits, "r", "t", r#"{"a":1}"#, NOW).unwrap();
    }
    assert_eq!(limit(call(&limits, "r", "t", r#"{"a":1}"#, NOW)), "repeat");
    call(&limits, "r", "t", r#"{"a":2}"#, NOW).unwrap();
    call(&limits, "r", "u", r#"{"a":1}"#, NOW).unwrap();
    call(&limits, "other", "t", r#"{"a":1}"#, NOW).unwrap();
    call(&limits, "r", "t", r#"{"a":1}"#, NOW + 1_000_000).unwrap();
}

#[test]
fn a_run_has_a_budget_of_calls() {
    let limits = limits(|config| config.run_calls = 2);
    call(&limits, "r", "t", "{}", NOW).unwrap();
    call(&limits, "r", "u", "{}", NOW).unwrap();
    assert_eq!(limit(call(&limits, "r", "v", "{}", NOW + HOUR)), "run budget");
    call(&limits, "other", "v", "{}", NOW + HOUR).unwrap();
}

/// The answer that crosses the limit is given; the next call waits until an hour's share is free again.
#[test]
fn rows_and_bytes_of_an_hour_are_limited() {
    let limits = limits(|config| (config.rows_per_hour, config.bytes_per_hour) = (1000, 1_000_000));
    let ann = who("ann", "acme");
    call(&limits, "r", "t", "{}", NOW).unwrap();
    at_once(limits.given(&ann, 999, 10, NOW)).unwrap();
    call(&limits, "r", "t", "{}", NOW).unwrap();
    at_once(limits.given(&ann, 501, 10, NOW)).unwrap();
    let refused = call(&limits, "r", "t", "{}", NOW).unwrap_err();
    assert_eq!(limit(Err(refused.clone())), "rows per hour");
    let wait = u64::try_from(refused.retry_after().unwrap().as_micros()).unwrap();
    assert!(wait > HOUR / 2 && wait < HOUR / 2 + HOUR / 500, "{wait}");
    assert!(call(&limits, "r", "t", "{}", NOW + wait - HOUR / 500).is_err());
    call(&limits, "r", "t", "{}", NOW + wait).unwrap();
    at_once(limits.given(&ann, 0, 1_000_000, NOW + wait)).unwrap();
    assert_eq!(limit(call(&limits, "r", "t", "{}", NOW + wait)), "bytes per hour");
    at_once(limits.admit_call(&who("bob", "acme"), &RunId::new("r"), "t", "{}", NOW + wait)).unwrap();
}

fn broken() -> Result<(), ToolError> {
    Err(ToolError::internal("broken"))
}

/// A tool that fails in a row rests, for that tenant; then one call at a time tries it out.
#[test]
fn a_tool_that_fails_rests_and_is_tried_out() {
    let limits = limits(|config| config.breaker = Breaker { failures: 2, rest: Duration::from_secs(10) });
    let later = NOW + 10_000_000;
    for _ in 0..2 {
        limits.watch("acme", "t", NOW).unwrap().ended(&broken(), NOW);
    }
    let refused = limits.watch("acme", "t", NOW + 1).err().unwrap();
    assert_eq!(limit(Err(refused.clone())), "breaker");
    assert!(refused.retry_after().unwrap() < Duration::from_secs(10));
    assert!(limits.watch("globex", "t", NOW).is_ok() && limits.watch("acme", "u", NOW).is_ok());

    let trying = limits.watch("acme", "t", later).unwrap();
    assert!(limits.watch("acme", "t", later).is_err(), "one call tries it out");
    trying.ended(&broken(), later);
    assert!(limits.watch("acme", "t", later + 1).is_err(), "it rests again at once");

    let again = later + 10_000_000;
    drop(limits.watch("acme", "t", again).unwrap());
    limits.watch("acme", "t", again).unwrap().ended(&Ok::<(), ToolError>(()), again);
    assert!(limits.watch("acme", "t", again).is_ok() && limits.watch("acme", "t", again).is_ok());
}

/// What the caller or a policy is to blame for opens no breaker; what lies in between does not break the row.
#[test]
fn only_failures_of_the_tool_count() {
    let limits = limits(|config| config.breaker = Breaker { failures: 2, rest: Duration::from_secs(10) });
    let innocent = [
        Denied::UnknownTool,
        Denied::Forbidden { object: String::new(), policies: Vec::new() },
        Denied::Invalid { field: "a".into(), rule: "b".into() },
        Denied::Unavailable(Subsystem::Policy),
        Denied::Failed { failure: Failure::Tool, public: "no such table".into() },
        Denied::Failed { failure: Failure::Cancelled, public: "cancelled".into() },
        Denied::Failed { failure: Failure::Deadline, public: "late".into() },
    ];
    for denied in innocent.iter().cycle().take(30) {
        limits.watch("acme", "t", NOW).unwrap().ended(&Err::<(), ToolError>(denied.clone().into()), NOW);
    }
    for (position, denied) in [
        Denied::Unavailable(Subsystem::Database),
        Denied::Failed { failure: Failure::Tool, public: "no such table".into() },
        Denied::internal(),
    ]
    .into_iter()
    .enumerate()
    {
        let watch = limits.watch("acme", "t", NOW).unwrap_or_else(|_| panic!("open at {position}"));
        watch.ended(&Err::<(), ToolError>(denied.into()), NOW);
    }
    assert!(limits.watch("acme", "t", NOW).is_err());
}

#[test]
fn concurrency_is_limited_and_slots_come_back() {
    let limits = limits(|config| (config.concurrent_principal, config.concurrent_server) = (2, 3));
    let first = limits.slot("a").unwrap();
    let _second = limits.slot("a").unwrap();
    assert_eq!(limits.slot("a").err().map(|d| d.code()), Some("limited"));
    let _other = limits.slot("b").unwrap();
    assert!(limits.slot("c").is_err(), "the server's slots are used up");
    drop(first);
    limits.slot("a").unwrap();
}
