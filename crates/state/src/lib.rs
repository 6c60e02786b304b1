//! Durable state: requests for approval with people's votes, the keys of those people, idempotency keys, what operators froze
//! or revoked, and the runs with what they have read.
//!
//! A [`Store`] keeps rows and offers a few atomic steps; it judges nothing. [`Desk`] is what the pipeline and the commands see: it verifies every
//! signature when an approval is used, against the keys that are enrolled at that moment.
//!
//! INVARIANT: a row counts for nothing by itself. Without a signature by an enrolled key over exactly this request, it approves nothing; a
//! row that does not match is an error, and an error refuses.
#![forbid(unsafe_code)]

mod confirmed;
mod desk;
mod error;
mod instance;
mod operator;
mod postgres;
mod rates;
mod runs;
mod seal;
mod sqlite;
mod stops;
mod store;
mod time;

pub use confirmed::Confirmed;
pub use desk::{Case, Desk, Outcome, Signature, Stage};
pub use error::StateError;
pub use operator::{KeyFileError, OperatorKey};
pub use postgres::{Dial, Duplex, PostgresSettings, PostgresStore};
pub use rates::SharedRates;
pub use runs::StoredRuns;
pub use seal::Seal;
pub use sqlite::SqliteStore;
pub use stops::{StopKind, StopRow, StopWatch, token};
pub use store::{Judged, KeyRow, NewRequest, OnceRow, RequestRow, Store, UseRow, VoteRow};
