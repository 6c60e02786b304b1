//! Commands: programs that the operator listed, with fixed words and typed slots, always contained and never on the network.
//!
//! `run_command {command, arguments}` runs any command that only reads. A command that may write its root, and one that the operator
//! asked a tool for, is `run_NAME` with its slots as named arguments, in a power class of its own. No shell is involved anywhere; a caller
//! chooses neither environment nor directory. Even a command that only reads runs what it finds: `git status` starts programs that the
//! repository's own configuration names. That is why the jail, and not the list of arguments, is the boundary.

mod call;
mod own;
mod path;
mod run;
mod slot;
mod template;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use countersign_core::{Permission, PowerClass, Tool};
use countersign_sandbox::{JailLimits, Sandbox};

use crate::{contained::Runner, pin::Program};

pub use slot::{Kind, Slot};
use template::Template;

/// A command as the operator declared it.
#[derive(Clone, Debug)]
pub struct CommandConfig {
    /// The name that callers use and policies decide on.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// The program, by an absolute path: of this machine, or of the image where containers run it.
    pub program: PathBuf,
    /// Its arguments: fixed words, and `{slot}` for what callers fill.
    pub argv: Vec<String>,
    /// The slots, in the order in which they are shown.
    pub slots: Vec<Slot>,
    /// The directory that it sees and starts in.
    pub root: Option<Root>,
    /// Further parts of the machine that it may read.
    pub read: Vec<PathBuf>,
    /// The whole environment, beside a fixed `PATH`, `LANG` and `HOME`.
    pub env: Vec<(String, String)>,
    /// What it may use up.
    pub limits: JailLimits,
    /// Whether it is a tool of its own even if it only reads.
    pub expose: bool,
}

/// A directory that a command works in.
#[derive(Clone, Debug)]
pub struct Root {
    /// Its name in policies.
    pub name: String,
    /// The directory.
    pub dir: PathBuf,
    /// Whether the command may change what lies in it.
    pub write: bool,
}

/// A command that was checked, and its program pinned.
struct Command {
    name: Arc<str>,
    description: String,
    program: Program,
    template: Template,
    root: Option<Root>,
    read: Vec<PathBuf>,
    env: Vec<(String, String)>,
    limits: JailLimits,
    expose: bool,
    runner: Arc<Runner>,
}

impl Command {
    fn power(&self) -> PowerClass {
        // MUTATE(H6-command-class): a command that writes is declared to read
        if self.root.as_ref().is_some_and(|root| root.write) {
            PowerClass::WriteHigh
        } else {
            PowerClass::ReadHigh
        }
    }

    fn usage(&self) -> String {
        format!("{} {}", self.name, self.template.usage()).trim_end().to_owned()
    }

    fn deadline(&self) -> Duration {
        self.limits.wall.saturating_add(crate::contained::SLACK)
    }
}

/// All tools for these commands, of which at most `at_once` run together.
///
/// # Errors
/// The command and the rule that its declaration breaks, one for each.
pub fn command_tools(
    commands: Vec<CommandConfig>,
    sandbox: &Sandbox,
    at_once: usize,
) -> Result<Vec<Arc<dyn Tool>>, Vec<String>> {
    let runner = Arc::new(Runner::new(sandbox.clone(), at_once));
    let (mut ready, mut problems) = (Vec::new(), Vec::new());
    for config in commands {
        let name = config.name.clone();
        match prepare(config, Arc::clone(&runner)) {
            Ok(command) => ready.push(Arc::new(command)),
            Err(problem) => problems.push(format!("the command `{name}` cannot be used: {problem}")),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut tools: Vec<Arc<dyn Tool>> = Vec::new();
    // MUTATE(D1-class): the tool that only reads runs commands that write
    let reading: Vec<_> =
        ready.iter().filter(|command| command.power() == PowerClass::ReadHigh).cloned().collect();
    if !reading.is_empty() {
        tools.push(Arc::new(run::RunCommand::new(reading)));
    }
    for command in ready {
        if command.expose || command.power() != PowerClass::ReadHigh {
            tools.push(Arc::new(own::OwnTool::new(command)));
        }
    }
    Ok(tools)
}

/// Checks a declaration without a sandbox, for `doctor` and for messages about the configuration. `of_image`: whether its program is in an
/// image, where it cannot be looked at.
///
/// # Errors
/// The rule that it breaks.
pub fn check_command(config: &CommandConfig, of_image: bool) -> Result<(), String> {
    Template::new(&config.argv, config.slots.clone())?;
    Program::of(&config.program, of_image)?;
    check_read(&config.read)?;
    check_shell(&config.program, &config.slots)?;
    check_root(config.root.as_ref(), &config.slots)
}

fn prepare(config: CommandConfig, runner: Arc<Runner>) -> Result<Command, String> {
    let of_image = runner.sandbox().is_container();
    check_command(&config, of_image)?;
    let program = Program::of(&config.program, of_image)?;
    Ok(Command {
        name: config.name.into(),
        description: config.description,
        program,
        template: Template::new(&config.argv, config.slots)?,
        root: config.root,
        read: config.read,
        env: config.env,
        limits: config.limits,
        expose: config.expose,
        runner,
    })
}

fn check_read(read: &[PathBuf]) -> Result<(), String> {
    match read.iter().find(|path| !path.is_absolute() || !path.exists()) {
        Some(path) => Err(format!(
            "`read` lists `{}`, which is no absolute path of something that exists",
            path.display()
        )),
        None => Ok(()),
    }
}

/// Programs that read their arguments as commands.
const SHELLS: [&str; 12] =
    ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "busybox", "toybox"];

/// INVARIANT: no shell reads text of a caller, whatever the operator declares.
fn check_shell(program: &Path, slots: &[Slot]) -> Result<(), String> {
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let names = [program, real.as_path()].map(|path| path.file_name().unwrap_or_default());
    let is_shell = names.iter().any(|name| SHELLS.iter().any(|shell| *name == OsStr::new(shell)));
    let text = slots.iter().find(|slot| matches!(slot.kind, Kind::Path | Kind::Pattern { .. }));
    match text {
        // MUTATE(D1-shell): text of callers reaches a shell
        Some(slot) if is_shell => Err(format!(
            "the slot `{}` takes text of callers, which a shell would read as commands; name the script itself as `program`",
            slot.name
        )),
        _ => Ok(()),
    }
}

fn check_root(root: Option<&Root>, slots: &[Slot]) -> Result<(), String> {
    if root.is_none() && slots.iter().any(|slot| matches!(slot.kind, Kind::Path)) {
        return Err("a slot takes a path, and there is no `root` that it could lie in".into());
    }
    Ok(())
}

/// What a tool for these commands needs.
fn permissions<'c>(commands: impl IntoIterator<Item = &'c Command>) -> Vec<Permission> {
    let mut needed = vec![Permission::ExecuteCode];
    for root in commands.into_iter().filter_map(|command| command.root.as_ref()) {
        needed.push(Permission::ReadFiles);
        needed.extend(root.write.then_some(Permission::WriteFiles));
    }
    needed
}
