//! The tools from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod catalog;
#[cfg(feature = "odbc")]
mod connx;
#[cfg(feature = "odbc")]
mod odbc_pool;
mod postgres;
mod sqlite_pool;
