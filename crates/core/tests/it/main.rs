//! The pipeline, step by step: what runs in which order, what closes, what is recorded.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod observed;
mod pipeline;
mod ports;
mod support;
