//! The client against real servers: on loopback, and in a network in which every address answers.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and their naive client dials by itself"
)]

mod corpus;
mod hops;
mod inside;
mod limits;
mod naive;
mod proxy;
mod site;
mod tls;
