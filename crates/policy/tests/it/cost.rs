//! What a decision costs. Prints the figures; the bounds are wide, since tests run unoptimised on busy machines.

use std::time::Instant;

use countersign_core::{Access, Action, CallQuestion, Phase, decision::PolicySet};
use serde_json::json;

use crate::support::*;

/// Median microseconds of one run of `work`.
fn median_micros(mut work: impl FnMut(usize)) -> f64 {
    let mut rounds: Vec<f64> = (0..9)
        .map(|round| {
            let started = Instant::now();
            (0..500).for_each(|n| work(round * 500 + n));
            started.elapsed().as_secs_f64() * 1e6 / 500.0
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[4]
}

#[test]
fn cost_of_a_decision() {
    let policies = defaults();
    let (principal, tool, arguments) = (&operator(), &spec("query_shop"), &json!({ "query": "SELECT 1" }));
    let question = CallQuestion::new(principal, tool, Phase::Calling { arguments }, AT);
    let read = |n: usize| Access::required(Action::Read, column("customers", &format!("c{n}")));
    let same = read(0);

    let cached_call = median_micros(|_| drop(policies.decide_call(&question)));
    let cached_access = median_micros(|_| drop(policies.decide_access(&question, &same)));
    let uncached_access = median_micros(|n| drop(policies.decide_access(&question, &read(n))));
    let strangers: Vec<_> = (0..4500).map(|n| person(&format!("t{n}"), &["operator"])).collect();
    let uncached_call = median_micros(|n| {
        drop(policies.decide_call(&CallQuestion { principal: &strangers[n], ..question }));
    });
    println!("call   cached {cached_call:.2} µs, uncached {uncached_call:.2} µs");
    println!("access cached {cached_access:.2} µs, uncached {uncached_access:.2} µs");
    assert!(cached_call < uncached_call && cached_access < uncached_access, "the cache saves nothing");
}
