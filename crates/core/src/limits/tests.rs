//! Rates refuse with a time to retry, recover, and keep principals apart; slots come back.

use super::*;

fn limits(principal: Rate, tool: Rate) -> Limits {
    let wide = Rate { per_minute: 60_000_000, burst: 1000 };
    Limits::new(
        LimitConfig { principal, tool, server: wide, concurrent_principal: 2, concurrent_server: 3 },
        None,
    )
}

const WIDE: Rate = Rate { per_minute: 60_000_000, burst: 1000 };

#[test]
fn principal_rate_refuses_after_the_burst_and_says_when_to_retry() {
    let limits = limits(Rate { per_minute: 60, burst: 3 }, WIDE);
    for _ in 0..3 {
        limits.admit("a", 1_000_000_000).unwrap();
    }
    let refused = limits.admit("a", 1_000_000_000).unwrap_err();
    let wait = refused.retry_after().unwrap();
    assert_eq!(wait, Duration::from_secs(1));
    limits.admit("b", 1_000_000_000).unwrap();
    limits.admit("a", 1_000_000_000 + wait.as_micros() as u64).unwrap();
}

#[test]
fn tool_rate_is_per_principal_and_tool() {
    let limits = limits(WIDE, Rate { per_minute: 60, burst: 1 });
    limits.admit_tool("a", "t", 5_000_000).unwrap();
    assert!(limits.admit_tool("a", "t", 5_000_000).is_err());
    limits.admit_tool("a", "u", 5_000_000).unwrap();
    limits.admit_tool("b", "t", 5_000_000).unwrap();
}

#[test]
fn concurrency_is_limited_and_slots_come_back() {
    let limits = limits(WIDE, WIDE);
    let first = limits.slot("a").unwrap();
    let _second = limits.slot("a").unwrap();
    assert_eq!(limits.slot("a").err().map(|d| d.code()), Some("limited"));
    let _other = limits.slot("b").unwrap();
    assert!(limits.slot("c").is_err(), "the server's slots are used up");
    drop(first);
    limits.slot("a").unwrap();
}
