//! The durable log against crashes, tampering, full and read-only disks, and concurrent readers.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that meets the unexpected fails, and tells its parent process how far it came"
)]

mod crash;
mod disk;
mod hostile;
mod live;
mod published;
mod support;
mod tamper;
