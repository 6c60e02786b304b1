//! The SQL crate from outside: corpora, attacks by class, the worker in a contained process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod corpus;
mod fixture;
mod hidden_reads;
mod masks;
mod mutated;
mod postgres_guard;
mod process;
mod sqlite_writes;
mod statements;
mod worker;
