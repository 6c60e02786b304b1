//! The audit log: a Merkle tree per epoch in C2SP tlog-tiles layout, durable before anything is acknowledged, signed,
//! and verifiable offline by anyone who holds the public key.
//!
//! Read [`tlog`] for the mathematics, `layout.rs` for the files, [`Log`] for writing, [`verify`] for checking, [`read`],
//! [`search`] and [`prove`] for using what was written.
#![forbid(unsafe_code)]

mod error;
mod files;
mod follow;
mod heads;
mod keys;
mod layout;
mod log;
mod port;
mod prove;
mod publish;
mod queue;
mod read;
mod records;
mod recover;
mod search;
mod space;
pub mod tlog;
mod verify;
mod wal;
mod writer;

pub use error::{AppendError, FileError, OpenError};
pub use layout::MAX_SLOTS;
pub use log::{Log, Options, Status};
pub use prove::{CheckError, Proof, ProveError, Proven, check_proof, prove, prove_call};
pub use read::{Entries, Entry, ReadError, read};
pub use search::{Query, search};
pub use verify::{Finding, Report, SlotReport, VerifyOptions, verify};
pub use wal::MAX_ENTRY;
pub use writer::Rotation;
