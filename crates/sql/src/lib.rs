//! SQL guards and engines, standalone: statement text in, facts or a refusal out, then rows under exactly the accesses that were granted.
//!
//! The crate opens no connection for its callers and starts no process. A process meant to be killed calls [`worker::serve`] on a stream;
//! its master speaks [`wire`] over the other end. The master decides, between the two phases, on what the statement touches:
//!
//! 1. [`Request::Prepare`] answers [`Facts`]: the operation, every table, column and function that the statement reads (also in `WHERE`,
//!    `ORDER BY`, through views, in subqueries), the result's columns and the number of parameters. No row is read.
//! 2. [`Request::Run`] carries the granted accesses. The worker prepares the statement again, refuses it if it touches anything
//!    outside, and streams rows up to the limits.
//!
//! INVARIANT: a worker's answers are untrusted: it has parsed hostile SQL. [`wire`] bounds every length and never panics.
#![forbid(unsafe_code)]

mod digest;
pub mod engines;
mod facts;
mod protocol;
mod refusal;
mod source;
mod value;
pub mod wire;
pub mod worker;

pub use digest::RowsDigest;
pub use facts::{Access, Action, ColumnInfo, Facts, Object, Operation};
pub use protocol::{
    ColumnDetail, Done, ForeignKey, Rehearsal, Request, Response, Rows, Run, RunLimits, TableDetail,
    TableEstimate, TableInfo, TableKind, Truncated,
};
pub use refusal::{Refusal, Rule};
pub use source::{ConnectionString, Dialect, OdbcSource, Open};
pub use value::Value;
