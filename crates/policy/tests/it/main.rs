//! The decision point from outside: default policies, authorization matrix, errors, reload, explanations, cost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod cost;
mod decisions;
mod default_policies;
mod errors;
mod examples;
mod explain;
mod matrix;
mod reload;
mod support;
