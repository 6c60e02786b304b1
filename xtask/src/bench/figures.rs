//! From single latencies to the figures of a row.

use super::client::Outcome;

/// The figures of one measurement; times in microseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// Answers a second.
    pub(super) rate: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    /// CPU seconds of the server's processes per 10,000 answers.
    pub(super) cpu: f64,
    pub(super) calls: u64,
    pub(super) errors: u64,
}

impl Sample {
    pub(super) fn of(mut outcome: Outcome, cpu_seconds: f64) -> Self {
        outcome.nanoseconds.sort_unstable();
        let calls = outcome.nanoseconds.len();
        let at = |share: f64| percentile(&outcome.nanoseconds, share) / 1000.0;
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let count = calls.max(1) as f64;
        Self {
            rate: count / outcome.elapsed.as_secs_f64(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            cpu: cpu_seconds / count * 10_000.0,
            calls: calls as u64,
            errors: outcome.errors,
        }
    }

    /// The median of every figure by itself; calls and errors are added up.
    pub(super) fn median(samples: &[&Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            median(&mut samples.iter().map(|sample| figure(sample)).collect::<Vec<_>>())
        };
        Self {
            rate: of(|s| s.rate),
            p50: of(|s| s.p50),
            p90: of(|s| s.p90),
            p99: of(|s| s.p99),
            p999: of(|s| s.p999),
            cpu: of(|s| s.cpu),
            calls: samples.iter().map(|s| s.calls).sum(),
            errors: samples.iter().map(|s| s.errors).sum(),
        }
    }
}

/// The value that `share` of the sorted values do not exceed.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into a list in memory"
)]
fn percentile(sorted: &[u64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(index).or(sorted.last()).copied().unwrap_or_default() as f64
}

/// The middle value; 0 of none.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
