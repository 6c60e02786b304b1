//! `run_python {code, files?, stdin?, limits?}`: real Python in the jail, with nothing of the machine to reach.
//!
//! The jail is the boundary. In front of it stands `guard.py`, which runs inside too: CPython's own parser judges the code while the call
//! is planned, so that policy, people and the record learn what it imports before it runs, and hostile source never meets a parser in the
//! process that holds the signing keys; at the start of the run it judges the same bytes again and hands them curated builtins.

mod arguments;
mod interpreter;
mod modules;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use countersign_core::{
    Access, Action, Arguments, CallIo, Effect, Object, Output, Permit, Planned, Principal, Tool, ToolError,
    ToolSpec,
};
use countersign_sandbox::{Collect, Finished, InputFile, Jail, JailLimits, Sandbox, Status};
use serde_json::Value as Json;

use crate::contained::{self, Runner};
use arguments::Request;
use interpreter::Interpreter;

/// The first wall, judged and run by the interpreter itself.
const GUARD: &str = include_str!("guard.py");

/// What judging a text of the greatest length may use up, whatever the run may.
const JUDGING: Duration = Duration::from_secs(10);

/// `[python]`
#[derive(Clone, Debug)]
pub struct PythonConfig {
    /// The interpreter, by an absolute path; the system's if none.
    pub interpreter: Option<PathBuf>,
    /// Modules that may be imported beside those of the standard list.
    pub imports: Vec<String>,
    /// A directory of packages beside those of the interpreter.
    pub packages: Option<PathBuf>,
    /// Bytes of the longest code.
    pub code_bytes: u32,
    /// The limits of a run that asks for none, and the most that a call may ask for.
    pub limits: JailLimits,
    /// Bytes of all input files of a call, and of all files that come back.
    pub files_bytes: u64,
    /// Runs at the same time.
    pub at_once: usize,
}

/// The tool.
pub struct RunPython {
    spec: Arc<ToolSpec>,
    python: Interpreter,
    version: String,
    modules: BTreeSet<String>,
    config: PythonConfig,
    runner: Runner,
    /// Judges in turns of its own, so that no run keeps others from being planned.
    judges: Runner,
}

/// The parsed call: the code that was judged is the code that runs.
struct Ready {
    request: Request,
}

impl RunPython {
    /// Finds the interpreter and proves, in the jail, that it runs there.
    ///
    /// # Errors
    /// Why there is no tool, for the operator.
    pub async fn start(config: PythonConfig, sandbox: Sandbox) -> Result<RunPython, String> {
        let modules = modules::allowed(&config.imports)?;
        let mut reasons = Vec::new();
        for python in interpreter::candidates(config.interpreter.as_deref(), &sandbox)? {
            match RunPython::start_with(python, &config, &modules, &sandbox).await {
                Ok(tool) => return Ok(tool),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(reasons.join("; "))
    }

    async fn start_with(
        python: Interpreter,
        config: &PythonConfig,
        modules: &BTreeSet<String>,
        sandbox: &Sandbox,
    ) -> Result<RunPython, String> {
        let runner = Runner::new(sandbox.clone(), config.at_once);
        let mut tool = RunPython {
            spec: Arc::new(arguments::spec(config, &runner.grade(), "3", modules)),
            python,
            version: String::new(),
            modules: modules.clone(),
            config: config.clone(),
            runner,
            judges: Runner::new(sandbox.clone(), config.at_once),
        };
        let shown = tool.python.program.path().display().to_string();
        match tool.judge("pass").await {
            Ok(Judged::Fine { python, .. }) => {
                tool.spec =
                    Arc::new(arguments::spec(&tool.config, &tool.runner.grade(), &python, &tool.modules));
                tool.version = python;
                Ok(tool)
            }
            Ok(Judged::Refused { rule, .. }) => {
                Err(format!("`{shown}` does not understand its guard: {rule}"))
            }
            Err(e) => {
                let cause = e.cause.unwrap_or_else(|| e.denied.public());
                Err(format!("`{shown}` does not run in the sandbox: {cause}"))
            }
        }
    }

    /// The interpreter and its version, for `doctor`.
    pub fn about(&self) -> String {
        let place = if self.runner.sandbox().is_container() { "in the image, at" } else { "at" };
        format!("Python {} {place} {}", self.version, self.python.program.path().display())
    }

    /// Has the interpreter's own parser judge the code. Nothing of the code runs.
    async fn judge(&self, code: &str) -> Result<Judged, ToolError> {
        let mut limits = self.config.limits.clone();
        limits.wall = limits.wall.min(JUDGING);
        limits.cpu_percent = limits.cpu_percent.max(100);
        let mut jail = self.jail("check", code, limits);
        jail.collect = Collect::nothing();
        let finished = self.judges.run(jail).await?;
        judged(&finished)
    }

    fn jail(&self, mode: &str, code: &str, limits: JailLimits) -> Jail {
        let mut jail = Jail::new(self.python.program.path());
        jail.view = self.python.view(self.runner.sandbox(), self.config.packages.as_deref());
        let imports = self.modules.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        let packages = self.config.packages.as_deref().map(Path::to_string_lossy).unwrap_or_default();
        // `-I`: neither environment nor user's site nor scratch folder; `-B`: no byte code is written.
        let words = ["-I", "-B", "-c", GUARD, mode, arguments::CODE, &imports, &*packages];
        jail.args = words.map(Into::into).to_vec();
        jail.env = vec![("LANG".into(), "C.UTF-8".into())];
        jail.inputs = vec![InputFile { name: arguments::CODE.into(), bytes: code.as_bytes().to_vec() }];
        jail.limits = limits;
        jail
    }
}

/// Checks the modules that a configuration adds.
///
/// # Errors
/// The rule that they break.
pub fn check_imports(added: &[String]) -> Result<(), String> {
    modules::allowed(added).map(drop)
}

/// What the guard says of a text.
#[derive(PartialEq, Eq, Debug)]
enum Judged {
    Fine { imports: Vec<String>, python: String },
    Refused { line: u64, rule: String },
}

/// Reads the guard's answer. It is trusted no further than to be shown: code was parsed in that process, but none of it ran.
fn judged(finished: &Finished) -> Result<Judged, ToolError> {
    let failed = |what: String| ToolError {
        cause: Some(what),
        ..ToolError::failed("the code cannot be judged: it is too large or nested too deeply")
    };
    if finished.status != Status::Exit(0) || finished.stdout.truncated() {
        let said = String::from_utf8_lossy(&finished.stderr.head).chars().take(500).collect::<String>();
        return Err(failed(format!("the guard ended with {:?}: {said}", finished.status)));
    }
    let answer: Json = serde_json::from_slice(&finished.stdout.head).map_err(|e| failed(e.to_string()))?;
    if let Some(refused) = answer.get("refused") {
        let rule = refused.get("rule").and_then(Json::as_str).unwrap_or("breaks a rule").to_owned();
        return Ok(Judged::Refused { line: refused.get("line").and_then(Json::as_u64).unwrap_or(1), rule });
    }
    let imports =
        answer.get("imports").and_then(Json::as_array).ok_or_else(|| failed("no list of imports".into()))?;
    let imports = imports.iter().filter_map(Json::as_str).map(str::to_owned).collect();
    let python = answer.get("python").and_then(Json::as_str).unwrap_or("3").to_owned();
    Ok(Judged::Fine { imports, python })
}

#[async_trait]
impl Tool for RunPython {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, _principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let request = arguments::read(arguments.value(), &self.config)?;
        let imports = match self.judge(&request.code).await? {
            Judged::Fine { imports, .. } => imports,
            // MUTATE(E3-judged): code that breaks a rule is planned like any other
            Judged::Refused { line, rule } => {
                return Err(ToolError::invalid("/code", format!("line {line} {rule}")));
            }
        };
        Ok(Planned {
            accesses: vec![Access::required(Action::Execute, Object::Interpreter { name: "python".into() })],
            effect: Effect::Execute,
            destinations: Vec::new(),
            facts: BTreeMap::from([
                ("operation", "python".to_owned()),
                ("imports", imports.join(",")),
                ("sandbox", self.runner.grade()),
            ]),
            detail: Box::new(Ready { request }),
        })
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let ready = permit.plan().detail::<Ready>();
        let Ready { request } = ready.ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
        self.python.program.check().map_err(ToolError::internal)?;
        let mut jail = self.jail("run", &request.code, request.limits.clone());
        jail.stdin = request.stdin.clone();
        jail.inputs.extend(request.files.iter().cloned());
        jail.collect = Collect { total: self.config.files_bytes, ..Collect::default() };
        let finished = self.runner.run(jail).await?;
        Ok(contained::output(finished, &request.limits))
    }
}
