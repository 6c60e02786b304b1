//! PostgreSQL: the guard that judges statements before any connection sees them.

pub mod guard;
