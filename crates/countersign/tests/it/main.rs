//! The commands as people meet them: exact texts, exit codes, files on disk. What serving does is tested in `tests/system`.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "tests start processes and fail loudly"
)]

mod config;
mod doctor;
mod help;
mod matrix;
mod overlap;
#[cfg(feature = "prove")]
mod prove;
mod quickstart;
mod shop;
mod token;
