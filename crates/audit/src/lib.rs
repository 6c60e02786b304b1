//! The audit log: a Merkle tree per epoch in C2SP tlog-tiles layout, durable before anything is acknowledged, signed,
//! and verifiable offline by anyone who holds the public key.
//!
//! Read [`tlog`] for the mathematics, `layout.rs` for the files, [`Log`] for writing.
#![forbid(unsafe_code)]

mod error;
mod files;
mod heads;
mod keys;
mod layout;
mod log;
mod port;
mod publish;
mod queue;
mod records;
mod recover;
mod space;
pub mod tlog;
mod wal;
mod writer;

pub use error::{AppendError, FileError, OpenError};
pub use layout::MAX_SLOTS;
pub use log::{Log, Options, Status};
pub use wal::MAX_ENTRY;
pub use writer::Rotation;
