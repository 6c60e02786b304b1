//! The real binary, driven from outside: over HTTP and stdio, with real files, real crashes and a real clock.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests start processes, open sockets and fail loudly"
)]

mod absent;
mod approvals;
mod attacks;
mod cancel;
mod catalog;
mod catalog_postgres;
mod catalog_resources;
mod claims;
mod client;
mod commands;
#[cfg(feature = "odbc")]
mod connx;
mod container;
mod corpus;
mod corpus_postgres;
mod crash;
mod credentials;
mod disk;
mod elicitation;
mod fetch;
mod files;
mod fleet;
mod fleet_runs;
mod flood;
mod init;
mod isolation;
mod issuer;
mod many;
mod naive;
mod paging;
mod passwords;
mod planning;
mod policy;
mod postgres;
mod postgres_writes;
mod python;
mod send;
mod socket;
mod stop;
mod stubborn;
mod tls;
mod tokens;
mod wall;
mod walls;
mod web;
mod within;
mod world;
