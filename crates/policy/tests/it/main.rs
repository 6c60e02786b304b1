//! The decision point from outside: default policies, authorization matrix, errors, reload, explanations, cost.

mod cost;
mod decisions;
mod default_policies;
mod errors;
mod explain;
mod matrix;
mod reload;
mod support;
