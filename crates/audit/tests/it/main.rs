//! The durable log against crashes, tampering, full and read-only disks, and concurrent readers.

mod crash;
mod disk;
mod live;
mod published;
mod support;
mod tamper;
