//! PostgreSQL: the guard that judges statements before any connection sees them, and the connections that run them.

pub mod client;
pub mod guard;
