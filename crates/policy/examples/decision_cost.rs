//! What a decision costs with 10 to 10,000 policies of which 10 concern the call. Every question is asked by somebody new, so that the cache of
//! decisions answers none. One thread, no server. Prints a table; fails if the median of any row is over the bound.
//!
//! `cargo run --release -p countersign-policy --example decision_cost`
#![allow(clippy::print_stdout, reason = "a measuring program prints its figures")]

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_core::{
    Access, Action, AuthMethod, CallQuestion, Digest, Object, Permission, Phase, PowerClass, Principal,
    PrincipalKind, Sensitivity, ToolSpec, Verdict, decision::PolicySet as _,
};
use countersign_policy::{DatabaseFact, Policies, PolicyFile, RegistryFacts, ToolFact};
use serde_json::json;

/// The most that the median of a decision may take, in microseconds.
const BOUND: f64 = 30.0;
/// Policies that concern each call, besides the built-in floor.
const CONCERNED: usize = 10;
/// Policies of one file stay within the limit of its size.
const PER_FILE: usize = 500;
const QUESTIONS: usize = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "| policies | load, ms | call, median µs | p99 µs | table, median µs | p99 µs |\n|---|---|---|---|---|---|"
    );
    let mut worst: f64 = 0.0;
    for total in [10, 100, 1_000, 10_000] {
        let facts = facts();
        let files = files(total);
        let began = Instant::now();
        let policies = Policies::from_files(&files, &facts)?;
        let load = began.elapsed();
        let people: Vec<Principal> = (0..QUESTIONS).map(person).collect();
        let spec = facts.tools.first().map(|fact| Arc::clone(&fact.spec)).ok_or("a tool")?;
        let arguments = json!({ "query": "SELECT 1" });
        let table = Object::Table { database: "shop".into(), table: "customers".into() };
        let access = Access::required(Action::Read, table);
        let (mut calls, mut tables) = (Vec::new(), Vec::new());
        for principal in &people {
            let question = CallQuestion::new(
                principal,
                &spec,
                Phase::Calling { arguments: &arguments },
                1_800_000_000_000_000,
            );
            let began = Instant::now();
            let decision = policies.decide_call(&question);
            calls.push(began.elapsed());
            let began = Instant::now();
            let about_table = policies.decide_access(&question, &access);
            tables.push(began.elapsed());
            for decision in [decision, about_table] {
                if decision.verdict != Verdict::Allow || decision.error.is_some() {
                    return Err(format!("not allowed: {decision:?}").into());
                }
            }
        }
        let ((call, call_p99), (table, table_p99)) = (figures(&mut calls), figures(&mut tables));
        worst = worst.max(call).max(table);
        println!(
            "| {total} | {} | {call:.1} | {call_p99:.1} | {table:.1} | {table_p99:.1} |",
            load.as_millis()
        );
    }
    println!("\nbound: {BOUND} µs; worst median: {worst:.1} µs");
    if worst > BOUND { Err("a decision takes longer than it may".into()) } else { Ok(()) }
}

/// Ten policies for the caller's role and tenant, half about calls and half about tables, and the others for other roles, tenants and tables.
fn files(total: usize) -> Vec<PolicyFile> {
    let mut texts = vec![String::new()];
    for n in 0..total {
        let mine = n < CONCERNED;
        let role = if mine { "analyst".to_owned() } else { format!("role-{n}") };
        let tenant = if mine { "acme".to_owned() } else { format!("tenant-{n}") };
        let table = if mine { "customers".to_owned() } else { format!("table_{n}") };
        if n > 0 && n.is_multiple_of(PER_FILE) {
            texts.push(String::new());
        }
        let Some(text) = texts.last_mut() else { continue };
        // All ten concern the call and the table alike: the scope leaves the action open.
        let _ = match n % 4 {
            0 => writeln!(text, "@id(\"p{n}\") permit (principal in Role::\"{role}\", action, resource);"),
            1 => writeln!(
                text,
                "@id(\"p{n}\") permit (principal in Role::\"{role}\", action in [Action::\"call\", Action::\"read\"], resource) when {{ principal.tenant == \"{tenant}\" }};"
            ),
            2 => writeln!(
                text,
                "@id(\"p{n}\") forbid (principal in Tenant::\"{tenant}\", action, resource) when {{ principal.kind == \"shared\" }};"
            ),
            _ => writeln!(
                text,
                "@id(\"p{n}\") forbid (principal in Role::\"{role}\", action, resource) when {{ resource has name && resource.name == \"{table}_old\" }};"
            ),
        };
    }
    let named = texts.into_iter().enumerate();
    named.map(|(n, text)| PolicyFile { name: format!("{n:03}.cedar"), text }).collect()
}

/// A server with twenty tools.
fn facts() -> RegistryFacts {
    let tool = |n: usize| {
        let spec = ToolSpec {
            name: format!("query_{n}").into(),
            server: "countersign".into(),
            title: "query".into(),
            description: "answers a query".into(),
            purpose: "measurements",
            input_schema: json!({ "type": "object", "properties": { "query": { "type": "string" } } }),
            output_schema: None,
            power: PowerClass::ReadHigh,
            permissions: vec![Permission::ReadDatabase],
            sensitivity: Sensitivity::Private,
            deadline: Duration::from_secs(1),
            digest: Digest::of(b""),
        };
        ToolFact { spec: Arc::new(spec.pinned()), tenant: None }
    };
    RegistryFacts {
        tools: (0..20).map(tool).collect(),
        databases: vec![DatabaseFact { name: "shop".into(), tenant: None }],
        ..RegistryFacts::default()
    }
}

fn person(n: usize) -> Principal {
    Principal::new("keys", format!("person-{n}"), PrincipalKind::Person, "acme", AuthMethod::ApiKey)
        .with_roles(["analyst".to_owned()])
}

/// Median and 99th percentile in microseconds.
fn figures(times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let at = |part: usize| {
        let place = times.len().saturating_mul(part) / 100;
        times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    (at(50), at(99))
}
