//! The state: what every store must do, and what the desk believes.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod confirmed;
mod conformance;
mod contention;
mod desk;
mod doubt;
mod fleet;
mod once;
mod postgres;
mod requester;
mod runs;
mod support;
