//! The Countersign binary: reads the command line and the configuration, and dispatches.
#![forbid(unsafe_code)]

mod config;

fn main() {}
