//! Tools that run programs: only where the sandbox proved that it holds, else absent, with the reason.

#[cfg(test)]
mod tests;

use std::{ffi::OsString, sync::Arc};

use countersign_core::Tool;
use countersign_sandbox::{Grade, Launcher, self_test, self_test_container};
use countersign_tools::{commands::command_tools, python::RunPython};

use crate::{config::Config, worker::JAIL_SUPERVISOR};

/// Commands that run at the same time.
const COMMANDS_AT_ONCE: usize = 8;

/// What this machine can contain, and what became of the tools that need it.
#[derive(Default)]
pub(crate) struct Contained {
    pub(crate) tools: Vec<Arc<dyn Tool>>,
    /// How well programs are contained; none if nothing that is configured needs it.
    pub(crate) grade: Option<Grade>,
    /// What contains them.
    pub(crate) about: String,
    /// Why the grade is not the best.
    pub(crate) findings: Vec<String>,
    /// The interpreter that was found.
    pub(crate) python: Option<String>,
    /// Tools that are configured and not there, with the reason.
    pub(crate) absent: Vec<String>,
}

/// Tests the sandbox and makes the tools of `[python]` and `[commands.NAME]`. Without either, nothing is started.
pub(crate) async fn start(config: &Config) -> Contained {
    if config.python.is_none() && config.commands.is_empty() {
        return Contained::default();
    }
    start_with(
        config,
        Launcher { program: "/proc/self/exe".into(), args: vec![OsString::from(JAIL_SUPERVISOR)] },
    )
    .await
}

async fn start_with(config: &Config, launcher: Launcher) -> Contained {
    let report = match &config.container {
        Some(engine) => self_test_container(launcher, engine).await,
        None => self_test(launcher).await,
    };
    let mut contained = Contained {
        grade: Some(report.grade),
        about: report.about.clone(),
        findings: report.findings.clone(),
        ..Contained::default()
    };
    let Some(sandbox) = report.sandbox() else {
        let why = format!("the sandbox cannot be set up here: {}", report.findings.join("; "));
        // MUTATE(E5-reason): a tool is absent, and nobody is told
        contained.absent.extend(config.python.iter().map(|_| format!("`run_python` is absent: {why}")));
        let absent = |name: &String| format!("the command `{name}` is absent: {why}");
        contained.absent.extend(config.commands.keys().map(absent));
        return contained;
    };
    if let Some(settings) = &config.python {
        match RunPython::start(settings.clone(), sandbox.clone()).await {
            Ok(tool) => {
                contained.python = Some(tool.about());
                contained.tools.push(Arc::new(tool));
            }
            Err(reason) => contained.absent.push(format!("`run_python` is absent: {reason}")),
        }
    }
    match command_tools(config.commands.values().cloned().collect(), &sandbox, COMMANDS_AT_ONCE) {
        Ok(tools) => contained.tools.extend(tools),
        Err(reasons) => contained.absent.extend(reasons),
    }
    contained
}
