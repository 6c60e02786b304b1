//! The list of engines: one module each.

pub mod sqlite;
