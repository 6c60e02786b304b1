//! The data plane as clients and attackers meet it: over real sockets and pipes. Names that start with `item_` follow the numbered
//! demands of the specification that the project keeps in its protocol notes.
#![allow(
    clippy::disallowed_methods,
    reason = "these tests are the client: they connect to the server under test"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "all of this is test code: what breaks, fails the test"
)]

mod cancel;
mod challenges;
mod envelope;
mod gate;
mod headers;
mod listeners;
mod lists;
mod mutated;
mod rounds;
mod runs;
mod sdk;
mod sessions;
mod site;
mod stdio;
mod streams;
mod tools;
mod world;
