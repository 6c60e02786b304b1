//! One container from its start to its end: input, output, clock, status.
//!
//! Output is watched as it comes, and read again from the daemon's log at the end: a daemon that is busy may connect us only after the
//! program has begun to write, and what was written before then does not come.

use std::time::{Duration, Instant};

use bollard::{
    Docker,
    container::{AttachContainerResults, LogOutput},
    query_parameters::{AttachContainerOptionsBuilder, KillContainerOptionsBuilder, LogsOptionsBuilder},
};
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::failed;
use crate::{
    capture::Capture,
    jail::{Captured, Jail, JailError, Status},
    supervisor::Scratch,
};

/// How often the scratch folder is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long a daemon may take to tell how a container ended that has closed its output.
const ENDING: Duration = Duration::from_secs(10);

/// How a container ended and what it said.
pub(super) struct Ended {
    pub(super) status: Status,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
    /// From the program's start.
    pub(super) wall: Duration,
}

/// Starts the container and watches until it has ended or is killed.
pub(super) async fn watch(
    docker: &Docker,
    name: &str,
    jail: &Jail,
    scratch: &Scratch,
) -> Result<Ended, JailError> {
    let options =
        AttachContainerOptionsBuilder::new().stdin(true).stdout(true).stderr(true).stream(true).build();
    let AttachContainerResults { mut output, mut input } =
        docker.attach_container(name, Some(options)).await.map_err(failed)?;
    docker.start_container(name, None).await.map_err(failed)?;
    let started = Instant::now();
    let feed = async {
        // A program that ends without reading all of it has done nothing wrong.
        let _ = input.write_all(&jail.stdin).await;
        let _ = input.shutdown().await;
        std::future::pending::<std::convert::Infallible>().await
    };
    let mut said = Output::new(jail.limits.output);
    let read = async {
        while let Some(piece) = output.next().await {
            said.take(piece.map_err(failed)?);
            if said.is_flood() {
                return Ok(Some(Status::TooMuchOutput));
            }
        }
        Ok(None)
    };
    let full = async {
        loop {
            tokio::time::sleep(LOOK).await;
            if scratch.is_full(jail.limits.scratch) {
                return Status::ScratchFull;
            }
        }
    };
    let clock = tokio::time::sleep(jail.limits.wall.saturating_sub(started.elapsed()));
    let verdict = tokio::select! {
        // MUTATE(E2-container-time): the time never ends
        () = clock => Some(Status::TimedOut),
        status = full => Some(status),
        never = feed => match never {},
        read = read => read?,
    };
    let status = match verdict {
        Some(status) => {
            let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
            // It may have ended this very moment.
            let _ = docker.kill_container(name, Some(options)).await;
            status
        }
        None => ending(docker, name).await?,
    };
    let wall = started.elapsed();
    if status != Status::TooMuchOutput {
        let logged = logged(docker, name, jail.limits.output).await?;
        if logged.total() > said.total() {
            said = logged;
        }
    }
    Ok(Ended { status, stdout: said.stdout.finish(), stderr: said.stderr.finish(), wall })
}

/// Both streams.
struct Output {
    stdout: Capture,
    stderr: Capture,
}

impl Output {
    fn new(limit: usize) -> Output {
        Output { stdout: Capture::new(limit), stderr: Capture::new(limit) }
    }

    fn take(&mut self, piece: LogOutput) {
        match piece {
            LogOutput::StdErr { message } => self.stderr.take(&message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => self.stdout.take(&message),
            LogOutput::StdIn { .. } => {}
        }
    }

    fn is_flood(&self) -> bool {
        self.stdout.is_flood() || self.stderr.is_flood()
    }

    fn total(&self) -> u64 {
        self.stdout.total().saturating_add(self.stderr.total())
    }
}

/// What the daemon wrote down of the output of a program that has ended.
async fn logged(docker: &Docker, name: &str, limit: usize) -> Result<Output, JailError> {
    let mut output = Output::new(limit);
    let mut pieces = docker.logs(name, Some(LogsOptionsBuilder::new().stdout(true).stderr(true).build()));
    while let Some(piece) = pieces.next().await {
        output.take(piece.map_err(failed)?);
    }
    Ok(output)
}

/// How a container ended whose output has ended.
async fn ending(docker: &Docker, name: &str) -> Result<Status, JailError> {
    let waited = async {
        // An exit code other than 0 comes as an error; the inspection below tells.
        let _ = docker.wait_container(name, None).next().await;
        docker.inspect_container(name, None).await
    };
    let told = tokio::time::timeout(ENDING, waited)
        .await
        .map_err(|_| JailError::Container("it does not tell how the program ended".into()))?
        .map_err(failed)?;
    let state = told.state.unwrap_or_default();
    if state.oom_killed == Some(true) {
        return Ok(Status::OutOfMemory);
    }
    let code = state.exit_code.and_then(|code| i32::try_from(code).ok());
    Ok(match code {
        // Death by a signal is told as 128 and its number.
        Some(code @ 129..=192) => Status::Signal(code.saturating_sub(128)),
        Some(code) => Status::Exit(code),
        None => return Err(JailError::Container("it does not tell how the program ended".into())),
    })
}
