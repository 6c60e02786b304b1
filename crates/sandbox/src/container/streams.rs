//! One container from its start to its end: input, output, clock, status.

use std::time::{Duration, Instant};

use bollard::{
    Docker,
    container::{AttachContainerResults, LogOutput},
    query_parameters::{AttachContainerOptionsBuilder, KillContainerOptionsBuilder},
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
    let deadline = Instant::now().checked_add(jail.limits.wall);
    let feed = async {
        // A program that ends without reading all of it has done nothing wrong.
        let _ = input.write_all(&jail.stdin).await;
        let _ = input.shutdown().await;
        std::future::pending::<std::convert::Infallible>().await
    };
    let (mut stdout, mut stderr) = (Capture::new(jail.limits.output), Capture::new(jail.limits.output));
    let read = async {
        while let Some(piece) = output.next().await {
            match piece.map_err(failed)? {
                LogOutput::StdErr { message } => stderr.take(&message),
                LogOutput::StdOut { message } | LogOutput::Console { message } => stdout.take(&message),
                LogOutput::StdIn { .. } => {}
            }
            if stdout.is_flood() || stderr.is_flood() {
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
    let clock = tokio::time::sleep(
        deadline.map_or(jail.limits.wall, |end| end.saturating_duration_since(Instant::now())),
    );
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
    Ok(Ended { status, stdout: stdout.finish(), stderr: stderr.finish() })
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
