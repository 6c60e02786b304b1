//! The bed itself: what it starts works, keeps tenants apart, and leaves nothing behind.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests start processes and fail loudly"
)]

mod odbc;
mod postgres;
