//! Starts the solver, asks it, and says why when nothing is proved.

use std::{fs, path::Path, time::Duration};

use countersign_policy::{
    Difference, PolicyFile, Proof, Properties, ProveError, Prover, TESTED, solver_arguments,
};
use countersign_sandbox::{Child, Limits, Spawn};
use tokio::net::UnixStream;

use super::{
    super::{Place, args::Prove},
    shown,
};
use crate::print::{Failure, Outcome, Printer, Style, line};

/// What the solver may use of the memory, in bytes, so that a hard question cannot take the machine with it.
const SOLVER_MEMORY: u64 = 4 << 30;
/// The largest file of properties, in bytes.
const MAX_FILE: u64 = 256 * 1024;
/// Where a solver comes from.
const INSTALL: &str =
    "install cvc5 (Debian and Ubuntu: apt-get install cvc5), or name its program with `--solver`";

/// What was asked for.
enum Answer {
    Proofs(Vec<Proof>),
    Difference(Difference),
}

pub(in super::super) fn run(
    place: &dyn Fn() -> Result<Place, Failure>,
    asked: &Prove,
    printer: Printer,
) -> Outcome {
    let place = place()?;
    let policies = place.policies(asked.policies.as_deref())?;
    let facts = &place.toolset.facts;
    let files: Result<Vec<PolicyFile>, Failure> = asked.never.iter().map(|path| read(path)).collect();
    let properties = Properties::new(&files?, facts).map_err(Failure::config)?;
    let other = asked.against.as_deref().map(|dir| place.policies(Some(dir))).transpose()?;
    let limit = Duration::from_secs(asked.seconds.into());
    let _entered = place.runtime.enter();
    let (_solver, stream) = start(&asked.solver, limit)?;
    let answer = place.runtime.block_on(async {
        let mut prover = Prover::new(facts, stream, limit).await?;
        let version = prover.solver_version().to_owned();
        let answer = match &other {
            None => Answer::Proofs(prover.prove(&policies, &properties).await?),
            Some(other) => Answer::Difference(prover.difference(&policies, other).await?),
        };
        Ok((answer, version))
    });
    let (answer, version) = answer.map_err(|error| failed(error, &asked.solver))?;
    if !TESTED.contains(&version.as_str()) {
        let (warning, version) = (printer.on_err(Style::Warn, "warning:"), line(&version));
        let tested = TESTED.join(", ");
        printer
            .note(&format!("{warning} cvc5 {version} is not a version that this was tested with ({tested})"));
    }
    Ok(match answer {
        Answer::Proofs(proofs) => shown::proofs(&proofs, &version, printer),
        Answer::Difference(difference) => shown::difference(&difference, &version, printer),
    })
}

fn read(path: &Path) -> Result<PolicyFile, Failure> {
    let shown = line(&path.display().to_string());
    let unreadable = |e: std::io::Error| Failure::unavailable(anyhow::anyhow!("cannot read `{shown}`: {e}"));
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
        return Err(Failure::usage(format!("`{shown}` is larger than {MAX_FILE} bytes")));
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(PolicyFile { name, text: fs::read_to_string(path).map_err(unreadable)? })
}

/// Starts the solver; it lives as long as the child is held.
fn start(program: &Path, limit: Duration) -> Result<(Child, UnixStream), Failure> {
    let program = program.canonicalize().map_err(|e| {
        let shown = line(&program.display().to_string());
        Failure::unavailable(anyhow::anyhow!("nothing is proved: there is no solver `{shown}`: {e}"))
            .help(INSTALL)
    })?;
    let mut spawn = Spawn::new("/bin/sh");
    // A contained process has one stream, descriptor 0, for both ways; solvers answer on descriptor 1.
    spawn.args = ["-c".into(), r#"exec "$0" "$@" >&0"#.into(), program.into_os_string()].into();
    spawn.args.extend(solver_arguments(limit).map(Into::into));
    spawn.limits = Limits { address_space: Some(SOLVER_MEMORY), ..Limits::default() };
    let mut child = spawn.start().map_err(Failure::unavailable)?;
    let stream = child.take_stream().ok_or_else(|| Failure::unavailable(anyhow::anyhow!("no stream")))?;
    stream.set_nonblocking(true).map_err(Failure::unavailable)?;
    Ok((child, UnixStream::from_std(stream).map_err(Failure::unavailable)?))
}

fn failed(error: ProveError, solver: &Path) -> Failure {
    let message = anyhow::anyhow!("nothing is proved: {}", line(&error.to_string()));
    match error {
        ProveError::Properties(errors) => Failure::config(errors),
        ProveError::Unsupported(_) => Failure::config(message),
        ProveError::Solver(_) => {
            let solver = line(&solver.display().to_string());
            Failure::unavailable(message).help(format!("`{solver}` must be cvc5; {INSTALL}"))
        }
        ProveError::Undecided { .. } => Failure::unavailable(message).help(
            "give it more time with `--seconds`; patterns (`like`) are what takes solvers longest. No property counts as proved",
        ),
        ProveError::Internal(_) => Failure::unavailable(message),
    }
}
