//! What the pipeline needs from the operating system: clock, entropy, rates that outlive a process, proofs that a fleet has seen.

mod environment;
mod no_log;
mod proofs;
mod rates;

pub(crate) use environment::{Host, unix_micros};
pub(crate) use no_log::NoLog;
pub(crate) use proofs::FleetProofs;
pub(crate) use rates::FileRates;

#[cfg(test)]
use rates::now as rates_now;
#[cfg(test)]
mod tests;
