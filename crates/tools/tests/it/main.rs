//! The tools from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests start interpreters and fail by panicking"
)]

mod catalog;
mod files;
#[cfg(feature = "odbc")]
mod odbc_pool;
mod postgres;
mod python_guard;
mod sqlite_pool;
