//! The engine on psqlodbc.
