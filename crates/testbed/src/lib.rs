//! Real databases and drivers for tests, started on demand and gone afterwards: nothing that can be real is imitated.
//!
//! [`Postgres`] is a PostgreSQL cluster of its own, [`Odbc`] the drivers of Debian with a configuration of their own, [`Podman`] a container
//! engine with an image, [`internet`] a network
//! in which the test answers for every address. Both use what is
//! installed, or what `cargo xtask setup` has unpacked under `target/`; if neither is there they fail and say how to get it.
//! Development only: `cargo xtask tidy` refuses a product crate that depends on this one outside its tests.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test equipment: it starts processes, reads the environment and fails loudly"
)]

mod account;
pub mod internet;
mod odbc;
mod podman;
mod postgres;
mod programs;
mod sample;
mod server;
mod tls;

pub use odbc::{Driver, Odbc};
pub use podman::Podman;
pub use postgres::{Login, Options, Postgres};
pub use programs::{library_path, missing_packages};
pub use tls::certificate;
