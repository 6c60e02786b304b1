//! What may leave the process: known secrets are taken out, invisible characters are made visible, and text from
//! outside is delimited. Standalone, so that every crate (and every error and log line) can use it.
//!
//! - [`Redactor`] does both on one string and is what callers hold.
//! - [`SecretSet`] finds known secrets in any of their usual encodings.
//! - [`neutral`] makes control, zero-width, bidi and tag characters visible.
//! - [`delimit`] wraps untrusted text in markers which the text cannot forge.
//! - [`keys`] tells which names of structured values hold credentials.
#![forbid(unsafe_code)]

pub mod delimit;
pub mod keys;
pub mod neutral;
mod redactor;
mod secrets;

pub use redactor::Redactor;
pub use secrets::{MIN_SECRET_BYTES, Refusal, RefusedSecret, RefusedSecrets, SecretSet};
