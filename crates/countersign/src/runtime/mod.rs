//! What the pipeline needs from the operating system: clock, entropy, labels in memory, rates that outlive a process.

mod environment;
mod labels;
mod rates;

pub(crate) use environment::{Host, unix_micros};
pub(crate) use labels::MemoryLabels;
pub(crate) use rates::FileRates;

#[cfg(test)]
use rates::now as rates_now;
#[cfg(test)]
mod tests;
