//! The labels of runs, in memory: they live as long as the process. Durable labels come with durable state.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use countersign_core::{Label, RunId, ports::RunLabels};

/// Runs that are told apart.
const MAX_RUNS: usize = 65_536;
/// INVARIANT: longer than any session or idle run lives, so that a run that comes back has not been forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(2 * 60 * 60);

/// Labels by run.
#[derive(Default)]
pub(crate) struct MemoryLabels {
    runs: Mutex<HashMap<RunId, (Label, Instant)>>,
}

impl RunLabels for MemoryLabels {
    fn join(&self, run: &RunId, label: Label) -> Result<(), String> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((known, used)) = runs.get_mut(run) {
            *known = known.join(label);
            *used = now;
            return Ok(());
        }
        if runs.len() >= MAX_RUNS {
            runs.retain(|_, (_, used)| now.duration_since(*used) < FORGET_AFTER);
        }
        if runs.len() >= MAX_RUNS {
            return Err(format!("more than {MAX_RUNS} runs"));
        }
        runs.insert(run.clone(), (label, now));
        Ok(())
    }

    fn current(&self, run: &RunId) -> Result<Label, String> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(runs.get(run).map(|(label, _)| *label).unwrap_or_default())
    }
}
