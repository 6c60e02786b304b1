//! PostgreSQL's client side of the wire: the extended protocol alone, over a stream that the caller dialled and protected.
//!
//! It is written on `postgres-protocol`, the codec beneath `tokio-postgres`, for three things that a general client does not give:
//!
//! - **One write, one safe group.** `BEGIN READ ONLY`, the limits of this call and the caller's statement are one group of messages up to
//!   one `Sync`: if any of them fails the server skips the rest, so that the statement cannot run outside its transaction. The group that
//!   rolls back and settles the session follows in the same write. A warm call costs one round trip.
//! - **Values as the server writes them.** Results are asked for as text, which the server has for every type that exists; numbers stay exact.
//! - **A bound on everything.** A message longer than the result may be is not awaited.
//!
//! There is no `simple_query` here: no text of a caller can hold a second statement.
//!
//! What keeps one call's session state from the next: a statement that has no result (`SET`, `PREPARE`, `LISTEN`, `DISCARD`…) is refused
//! when it is described, before it runs; settings made inside the transaction end with its rollback; nothing can be created in a read-only
//! one; advisory locks, which outlive it, are released. Prepared statements are thereby kept, which `DISCARD ALL` would not allow.
//! [`Connection::discard`] is for sessions that wrote.

mod connect;
mod connection;
mod errors;
mod params;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod values;
mod write;

use tokio::io::{AsyncRead, AsyncWrite};

pub use connect::{CancelKey, SessionSettings, Startup, cancel, request_tls};
pub use connection::{Connection, Prepared, ResultColumn};
pub use errors::ClientError;
pub use read::{ReadLimits, ReadOutcome};
pub use schema::{Origin, RawRelation, Schema};
pub use write::Written;

/// A stream of bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}
