//! Our side of one jail: the supervisor is started, gets its order, and answers.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{Engine, Launcher, Sandbox};
use crate::{
    Child, Limits, Spawn,
    jail::{Finished, Jail, JailError},
    wire::{Container, Order, Task, decode_answer},
};

/// How long a supervisor may take beyond the program's time: for its own work, on a machine that is very busy.
const SUPERVISION: Duration = Duration::from_secs(10);
const SUPERVISION_CONTAINER: Duration = Duration::from_secs(60);
/// How long a supervisor without a starter may take to clean up before it is killed: the built-in engine's, and one that asks a daemon.
const CLEANING: Duration = Duration::from_secs(3);
const CLEANING_CONTAINER: Duration = Duration::from_secs(60);

pub(super) async fn run(sandbox: &Sandbox, jail: Jail) -> Result<Finished, JailError> {
    let wall = jail.limits.wall;
    match &sandbox.engine {
        Engine::Jail(walls) => {
            let task = Task::Jail(Order { jail, walls: *walls });
            supervise(&sandbox.launcher, &task, wall.saturating_add(SUPERVISION), CLEANING).await
        }
        Engine::Container(container) => {
            let task = Task::Container(jail, container.clone());
            let time = wall.saturating_add(SUPERVISION_CONTAINER);
            supervise(&sandbox.launcher, &task, time, CLEANING_CONTAINER).await
        }
    }
}

/// Has a process of its own remove what earlier supervisors left.
pub(crate) async fn sweep(launcher: &Launcher, container: Option<&Container>) -> Result<(), JailError> {
    let task = Task::Sweep(container.cloned());
    supervise(launcher, &task, SUPERVISION_CONTAINER, CLEANING).await.map(drop)
}

async fn supervise(
    launcher: &Launcher,
    task: &Task,
    time: Duration,
    cleaning: Duration,
) -> Result<Finished, JailError> {
    let mut spawn = Spawn::new(&launcher.program);
    spawn.args.clone_from(&launcher.args);
    spawn.limits = Limits { address_space: None, cpu_seconds: None, file_size: None, open_files: None };
    let mut running = Running::start(spawn, cleaning).await?;
    tokio::time::timeout(time, running.serve(&task.encode()))
        .await
        .map_err(|_| JailError::Supervisor("it gave no answer in time".into()))?
}

/// A supervisor at work. Dropping it tells it to kill the jail and clean up.
struct Running {
    /// INVARIANT: its end is what tells the supervisor that nobody waits; so it is closed before the child is left to itself.
    stream: Option<UnixStream>,
    child: Option<Child>,
    cleaning: Duration,
}

impl Running {
    async fn start(spawn: Spawn, cleaning: Duration) -> Result<Running, JailError> {
        let child = tokio::task::spawn_blocking(|| spawn.start()).await.map_err(|error| failed(&error))?;
        let mut child = child.map_err(|error| failed(&error))?;
        let stream = child.take_stream();
        let mut running = Running { stream: None, child: Some(child), cleaning };
        let stream = stream.ok_or_else(|| JailError::Supervisor("it has no stream".into()))?;
        stream.set_nonblocking(true).map_err(|error| failed(&error))?;
        running.stream = Some(UnixStream::from_std(stream).map_err(|error| failed(&error))?);
        Ok(running)
    }

    async fn serve(&mut self, order: &[u8]) -> Result<Finished, JailError> {
        let Some(stream) = &mut self.stream else {
            return Err(failed(&io::Error::from(io::ErrorKind::NotConnected)));
        };
        stream.write_u64_le(order.len() as u64).await.map_err(|error| failed(&error))?;
        stream.write_all(order).await.map_err(|error| failed(&error))?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map_err(|error| failed(&error))?;
        decode_answer(&answer).map_err(|_| JailError::Supervisor("it ended without an answer".into()))?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stream.take());
        if let Some(child) = self.child.take() {
            child.leave(self.cleaning);
        }
    }
}

fn failed(error: &dyn std::error::Error) -> JailError {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    JailError::Supervisor(format!("{error}{cause}"))
}
