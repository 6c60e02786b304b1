//! One call of a command, whichever tool it came through: planned as an argument vector, run as it was judged.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use countersign_core::{Access, Action, Effect, Object, Output, Permit, Planned, ToolError};
use countersign_sandbox::{Bind, Collect, Jail};

use super::{
    Command,
    template::{Filled, Unfit},
};
use crate::{contained, pin::Program};

/// The parsed call: what was authorized is what runs.
struct Ready {
    command: Arc<Command>,
    words: Vec<String>,
}

/// What callers cannot change. `PATH` is for programs that start others by name.
const ENVIRONMENT: [(&str, &str); 3] =
    [("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8")];

/// Where the system's programs are.
const SYSTEM: [&str; 5] = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];

/// Where a command's root appears to it. Without namespaces it appears where it is.
const ROOT: &str = "/files";

/// Plans a call. `prefix` is where in the tool's arguments those of the command are, for messages.
pub(super) fn plan(
    command: &Arc<Command>,
    filled: Result<Filled, Unfit>,
    prefix: &str,
) -> Result<Planned, ToolError> {
    let filled =
        filled.map_err(|unfit| ToolError::invalid(format!("{prefix}{}", unfit.field), unfit.rule))?;
    let mut accesses =
        vec![Access::required(Action::Execute, Object::Command { name: Arc::clone(&command.name) })];
    if let Some(root) = &command.root {
        // A command sees its whole root, whatever paths it is given.
        let whole = || Object::File { root: root.name.as_str().into(), path: String::new() };
        accesses.push(Access::required(Action::Read, whole()));
        if root.write {
            accesses.push(Access::required(Action::Write, whole()));
        }
    }
    Ok(Planned {
        accesses,
        effect: Effect::Execute,
        destinations: Vec::new(),
        facts: BTreeMap::from([
            ("operation", "command".to_owned()),
            ("command", command.name.to_string()),
            ("sandbox", command.runner.grade()),
        ]),
        detail: Box::new(Ready { command: Arc::clone(command), words: command.template.render(&filled) }),
    })
}

/// Runs what was planned.
pub(super) async fn execute(permit: Permit) -> Result<Output, ToolError> {
    let ready = permit.plan().detail::<Ready>();
    let Ready { command, words } =
        ready.ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
    command.program.check().map_err(ToolError::internal)?;
    let finished = command.runner.run(jail(command, words)).await?;
    Ok(contained::output(finished, &command.limits))
}

fn jail(command: &Command, words: &[String]) -> Jail {
    let sandbox = command.runner.sandbox();
    let mut view = sandbox.system_view();
    // What a command starts by itself, it starts inside: scripts and helpers of the system.
    view.execute = SYSTEM.iter().map(PathBuf::from).filter(|path| path.exists()).collect();
    view.read_only.extend(command.read.iter().map(Bind::same));
    view.execute.extend(command.read.iter().cloned());
    let program = command.program.path();
    if matches!(command.program, Program::Pinned(_)) && !SYSTEM.iter().any(|dir| program.starts_with(dir)) {
        view.read_only.push(Bind::same(program));
    }
    let mut jail = Jail::new(program);
    if let Some(root) = &command.root {
        let seen = if sandbox.has_own_view() { Path::new(ROOT) } else { &root.dir };
        let bind = Bind { host: root.dir.clone(), jail: seen.to_owned() };
        jail.dir = Some(seen.to_owned());
        // MUTATE(D2-read-only): the root of a command that reads can be written
        if root.write { view.read_write.push(bind) } else { view.read_only.push(bind) }
    }
    jail.view = view;
    jail.args = words.iter().map(Into::into).collect();
    // INVARIANT: the environment is the operator's alone; nothing of this process's or the caller's is in it.
    jail.env = ENVIRONMENT.iter().map(|(name, value)| (name.into(), value.into())).collect();
    jail.env.extend(command.env.iter().map(|(name, value)| (name.into(), value.into())));
    jail.limits = command.limits.clone();
    jail.collect = Collect::nothing();
    jail
}
