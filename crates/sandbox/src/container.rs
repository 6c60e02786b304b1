//! The second engine: the same jail as a container, over the API of Docker or Podman.
//!
//! The image brings the programs, so a [`Jail`] for it shows nothing of the host but what it must: no [`View::system`](crate::View::system).
//! The daemon must run on this machine, because the scratch folder is a folder of the host that both see. Beyond the walls of the built-in
//! engine a container may have a kernel of its own: name a runtime such as `runsc` or `kata`.
//!
//! Each container has a supervisor, as each jail of the built-in engine has: a process that removes the container whatever happens to it or
//! to us. If both are killed, the next start removes what they left.

mod config;
mod room;
mod streams;
mod test;

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    time::Duration,
};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    query_parameters::{
        CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    },
};
use tokio::io::AsyncReadExt as _;

use crate::{
    inside::{Wall, collect},
    jail::{Finished, Jail, JailError, ResultFile, Status, Usage},
    wire::{Answer, Container},
};
use room::Room;
use streams::Ended;
pub(crate) use test::run as self_test;

/// How long the daemon may take for one answer, seconds.
const ANSWER: u64 = 60;
/// The label of our containers; its value is the path of its room.
const LABEL: &str = "countersign.jail";

/// Runs one container to its end and removes it. `None` if our starter is gone, who would read the answer. Called in a process of its own.
pub(crate) fn serve(
    jail: &Jail,
    container: &Container,
    starter: &UnixStream,
    without: Option<Wall>,
) -> Option<Answer> {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return Some(Err(setup("its supervisor", source))),
    };
    let answer = runtime.block_on(run(jail, container, starter, without));
    // The answer is written by a caller that waits.
    match starter.set_nonblocking(false) {
        Ok(()) => answer.transpose(),
        Err(source) => Some(Err(setup("its supervisor", source))),
    }
}

/// Runs a program to its end. Whatever happens, no container is left.
async fn run(
    jail: &Jail,
    container: &Container,
    starter: &UnixStream,
    without: Option<Wall>,
) -> Result<Option<Finished>, JailError> {
    let docker = connect(&container.socket).await?;
    let room = Room::make().map_err(|source| setup("its scratch folder", source))?;
    let scratch = room.scratch();
    let inputs =
        collect::lay(&scratch.folder, &jail.inputs).map_err(|source| setup("its input files", source))?;
    let filter = config::filter(jail, &room, container, without)
        .map_err(|source| setup("its system call filter", source))?;
    let body = config::body(jail, &room, container, &filter, without);
    let options = CreateContainerOptionsBuilder::new().name(room.name()).build();
    // INVARIANT: not abandoned half-way: a container that the daemon makes all the same would never be removed.
    let created = docker.create_container(Some(options), body).await.map_err(failed);
    let ended = match created {
        Ok(_) => tokio::select! {
            ended = streams::watch(&docker, room.name(), jail, scratch) => ended.map(Some),
            // MUTATE(E2-container-drop): a container runs on that nobody waits for
            () = gone(starter) => Ok(None),
        },
        Err(error) => Err(error),
    };
    // MUTATE(E2-container-removed): the container stays
    let removed = remove(&docker, room.name()).await.map_err(failed);
    let Some(Ended { status, stdout, stderr, wall }) = ended? else { return Ok(None) };
    removed?;
    let mut files = Vec::new();
    let mut files_left_out = 0;
    if matches!(status, Status::Exit(_) | Status::Signal(_)) {
        files_left_out = collected(&scratch.folder, &inputs, jail, &mut files);
    }
    let usage = Usage { wall, cpu: Duration::ZERO, memory: 0 };
    Ok(Some(Finished { status, stdout, stderr, files, files_left_out, usage }))
}

/// Ends when the starter does.
async fn gone(starter: &UnixStream) {
    let watched = async {
        let stream = starter.try_clone()?;
        stream.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(stream)?.read(&mut [0]).await
    };
    // Nothing is sent after the order: anything but silence means that nobody waits.
    let _ = watched.await;
}

/// A daemon that answers.
async fn connect(socket: &Path) -> Result<Docker, JailError> {
    let socket =
        socket.to_str().ok_or_else(|| JailError::Container("its socket's path is not UTF-8".into()))?;
    let docker = Docker::connect_with_socket(socket, ANSWER, API_DEFAULT_VERSION).map_err(failed)?;
    docker.negotiate_version().await.map_err(failed)
}

/// Removes the containers of supervisors that no longer exist. Called in a process of its own.
pub(crate) fn sweep(container: &Container) -> Result<(), JailError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| setup("its supervisor", source))?;
    runtime.block_on(async { sweep_all(&connect(&container.socket).await?).await })
}

async fn sweep_all(docker: &Docker) -> Result<(), JailError> {
    let filters = std::collections::HashMap::from([("label".to_owned(), vec![LABEL.to_owned()])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    for container in docker.list_containers(Some(options)).await.map_err(failed)? {
        let room = container.labels.as_ref().and_then(|labels| labels.get(LABEL));
        // MUTATE(E2-container-sweep): what a killed supervisor left runs on
        if let (Some(id), Some(true)) = (container.id, room.map(|room| room::is_deserted(Path::new(room)))) {
            remove(docker, &id).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Kills and removes. One that is gone is no failure.
async fn remove(docker: &Docker, name: &str) -> Result<(), bollard::errors::Error> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match docker.remove_container(name, Some(options)).await {
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        removed => removed,
    }
}

fn collected(scratch: &OwnedFd, inputs: &[collect::Known], jail: &Jail, files: &mut Vec<ResultFile>) -> u64 {
    let kept = collect::collect(scratch, inputs, &jail.collect, |file| {
        files.push(file);
        Ok::<(), std::convert::Infallible>(())
    });
    match kept {
        Ok(left_out) => left_out,
        Err(never) => match never {},
    }
}

fn setup(step: &str, source: io::Error) -> JailError {
    JailError::Setup { step: step.into(), source }
}

fn failed(error: bollard::errors::Error) -> JailError {
    JailError::Container(match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message,
        other => other.to_string(),
    })
}
