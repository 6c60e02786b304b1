//! `policy …`: what policies say, before and after they are in force.

mod accept;
mod args;
mod check;
mod explain;
mod matrix;
mod observed;
mod prove;
mod replay;
mod test;

use std::path::Path;

use countersign_core::{Arguments, Planned, Principal, Tool, Verdict};
use countersign_policy::Policies;
use tokio::runtime::Runtime;

pub(crate) use args::PolicyCommand;

use super::{configuration, runtime};
use crate::{
    compose::{self, Toolset},
    config::Config,
    print::{Failure, Outcome, Printer, line},
};

/// Runs the command.
pub(crate) fn run(command: &PolicyCommand, file: &Path, printer: Printer) -> Outcome {
    let place = || Place::new(file);
    match command {
        PolicyCommand::Check { schema, policies } => {
            check::run(&place()?, *schema, policies.as_deref(), printer)
        }
        PolicyCommand::Explain { call, principal } => explain::run(&place()?, call, &principal.name, printer),
        PolicyCommand::Test { cases, policies } => test::run(&place()?, cases, policies.as_deref(), printer),
        PolicyCommand::Replay { log, policies, since, until } => {
            let dir = super::audit::directory(log, file)?;
            replay::run(&place()?, &dir, policies, *since, *until, printer)
        }
        PolicyCommand::Matrix(asked) => matrix::run(&place()?, asked, printer),
        PolicyCommand::Diff { old, new, matrix } => matrix::diff(&place()?, old, new, matrix, printer),
        PolicyCommand::Prove(asked) => prove::run(&place, asked, printer),
        PolicyCommand::Accept { digest, key } => accept::run(&place()?, digest, key.as_deref(), printer),
        PolicyCommand::Observed { log, since } => {
            observed::run(&super::audit::directory(log, file)?, *since, printer)
        }
    }
}

/// The configuration with its tools. INVARIANT: workers are asked on the runtime that started them.
struct Place {
    config: Config,
    toolset: Toolset,
    runtime: Runtime,
}

impl Place {
    fn new(file: &Path) -> Result<Place, Failure> {
        let config = configuration(file)?;
        let runtime = runtime()?;
        let toolset = runtime.block_on(compose::toolset(&config)).map_err(Failure::unavailable)?;
        Ok(Place { config, toolset, runtime })
    }

    /// The policies of a directory, or of the configured one.
    fn policies(&self, dir: Option<&Path>) -> Result<Policies, Failure> {
        let dir = dir.unwrap_or(&self.config.policy.dir);
        Policies::load(dir, &self.toolset.facts).map_err(Failure::config)
    }

    fn tool(&self, name: &str) -> Option<&dyn Tool> {
        self.toolset.tools.iter().find(|tool| *tool.spec().name == *name).map(AsRef::as_ref)
    }

    /// What to say to somebody who named a tool that there is not; `at` is where.
    fn no_tool(&self, at: &str, name: &str) -> Failure {
        let known = self.toolset.tools.iter().map(|tool| &*tool.spec().name);
        let near = known.clone().find(|known| near(known, name));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the tools are: {}", known.collect::<Vec<_>>().join(", ")),
        };
        Failure::usage(format!("{}: no tool is named `{}`", line(at), line(name))).help(help)
    }

    /// Plans a call: nothing is run. The inner error is what a caller would be told.
    fn plan(
        &self,
        tool: &dyn Tool,
        principal: &Principal,
        arguments: &Arguments,
    ) -> Result<Result<Planned, String>, Failure> {
        let checked = countersign_core::schema::Validator::compile(&tool.spec().input_schema)
            .map_err(|e| Failure::unavailable(anyhow::anyhow!(e)))?
            .check(arguments.value());
        if let Err(denied) = checked {
            return Ok(Err(denied.public()));
        }
        match self.runtime.block_on(tool.plan(principal, arguments)) {
            Ok(planned) => Ok(Ok(planned)),
            Err(error) => match error.cause {
                Some(cause) => {
                    Err(Failure::unavailable(anyhow::anyhow!("the call cannot be planned: {}", line(&cause))))
                }
                None => Ok(Err(error.denied.public())),
            },
        }
    }
}

/// Whether one name is the other with a letter too many, too few, or wrong.
fn near(known: &str, name: &str) -> bool {
    let (known, name): (Vec<char>, Vec<char>) = (known.chars().collect(), name.chars().collect());
    let start = known.iter().zip(&name).take_while(|(a, b)| a == b).count();
    let end = known.iter().rev().zip(name.iter().rev()).take_while(|(a, b)| a == b).count();
    let longer = known.len().max(name.len());
    longer - known.len().min(name.len()) <= 1 && start + end + 1 >= longer
}

fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow => "allow".into(),
        Verdict::Deny => "deny".into(),
        Verdict::Hold { approvals } => format!("hold {approvals}"),
    }
}
