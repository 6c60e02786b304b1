//! The state: what every store must do, and what the desk believes.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail by panicking"
)]

mod confirmed;
mod conformance;
mod desk;
mod doubt;
mod once;
mod requester;
mod support;
