//! The second engine: the same jail as a container, over the API of Docker or Podman.
//!
//! The image brings the programs, so a [`Jail`] for it shows nothing of the host but what it must: no [`View::system`](crate::View::system).
//! The daemon must run on this machine, because the scratch folder is a folder of the host that both see. Beyond the walls of the built-in
//! engine a container may have a kernel of its own: name a runtime such as `runsc` or `kata`.

mod config;
mod streams;

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder},
};

use crate::{
    inside::collect,
    jail::{Finished, Jail, JailError, Status, Usage},
    supervisor::{PREFIX, Scratch, is_stale, sweep_scratch},
};
use streams::Ended;

/// How long the daemon may take for one answer, seconds.
const ANSWER: u64 = 60;
/// The label of our containers; its value names the process that started it.
const LABEL: &str = "countersign.jail";

/// Which daemon, which image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContainerConfig {
    /// The daemon's Unix socket.
    pub socket: PathBuf,
    /// The image: a name that the daemon has, or its id. Never pulled.
    pub image: String,
    /// The runtime; the daemon's own if none.
    pub runtime: Option<String>,
}

/// A daemon that answers and has the image. INVARIANT: made by [`ContainerEngine::connect`] alone; the image is held by its id, so that
/// a name that is given to another image later changes nothing.
#[derive(Clone, Debug)]
pub struct ContainerEngine {
    docker: Docker,
    image: String,
    runtime: Option<String>,
}

impl ContainerEngine {
    /// Asks the daemon for its image, and removes what earlier processes left behind when they were killed.
    ///
    /// # Errors
    /// [`JailError::Container`] if the daemon does not answer or lacks the image.
    pub async fn connect(config: &ContainerConfig) -> Result<ContainerEngine, JailError> {
        let socket = config
            .socket
            .to_str()
            .ok_or_else(|| JailError::Container("its socket's path is not UTF-8".into()))?;
        let docker = Docker::connect_with_socket(socket, ANSWER, API_DEFAULT_VERSION).map_err(failed)?;
        let docker = docker.negotiate_version().await.map_err(failed)?;
        let image = docker.inspect_image(&config.image).await.map_err(failed)?;
        let image = image
            .id
            .ok_or_else(|| JailError::Container(format!("the image `{}` has no id", config.image)))?;
        let engine = ContainerEngine { docker, image, runtime: config.runtime.clone() };
        engine.sweep().await?;
        Ok(engine)
    }

    /// Runs a program to its end. Dropping the future kills and removes the container.
    ///
    /// # Errors
    /// [`JailError`] if nothing ran; a program that ran and failed is a [`Finished`].
    pub async fn run(&self, jail: Jail) -> Result<Finished, JailError> {
        jail.check()?;
        let privileged = rustix::process::geteuid().is_root();
        let scratch = Scratch::make(privileged).map_err(|source| setup("its scratch folder", source))?;
        let inputs =
            collect::lay(&scratch.folder, &jail.inputs).map_err(|source| setup("its input files", source))?;
        let name = container_name(&scratch.path);
        let body = config::body(&jail, &scratch.path, &self.image, self.runtime.as_deref());
        let options = bollard::query_parameters::CreateContainerOptionsBuilder::new().name(&name).build();
        let running = Running { docker: Some(self.docker.clone()), name };
        self.docker.create_container(Some(options), body).await.map_err(failed)?;
        let started = Instant::now();
        let ended = streams::watch(&self.docker, &running.name, &jail, &scratch).await?;
        let Ended { status, stdout, stderr } = ended;
        let usage = Usage { wall: started.elapsed(), cpu: Duration::ZERO, memory: 0 };
        running.remove().await?;
        let mut files = Vec::new();
        let mut files_left_out = 0;
        if matches!(status, Status::Exit(_) | Status::Signal(_)) {
            files_left_out = collected(&scratch.folder, &inputs, &jail, &mut files);
        }
        Ok(Finished { status, stdout, stderr, files, files_left_out, usage })
    }

    /// Removes the containers and scratch folders of processes that no longer exist.
    async fn sweep(&self) -> Result<(), JailError> {
        let filters = std::collections::HashMap::from([("label".to_owned(), vec![LABEL.to_owned()])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        for container in self.docker.list_containers(Some(options)).await.map_err(failed)? {
            let starter = container.labels.as_ref().and_then(|labels| labels.get(LABEL));
            if let (Some(id), Some(true)) = (container.id, starter.map(|name| is_stale(name))) {
                remove(&self.docker, &id).await.map_err(failed)?;
            }
        }
        sweep_scratch();
        Ok(())
    }
}

/// A container that exists. Dropping removes it, whatever it is doing.
struct Running {
    docker: Option<Docker>,
    name: String,
}

impl Running {
    async fn remove(mut self) -> Result<(), JailError> {
        match self.docker.take() {
            Some(docker) => remove(&docker, &self.name).await.map_err(failed),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (Some(docker), Ok(runtime)) = (self.docker.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let name = std::mem::take(&mut self.name);
        // MUTATE(E2-container-drop): a dropped container runs on
        runtime.spawn(async move { remove(&docker, &name).await });
    }
}

/// Kills and removes.
async fn remove(docker: &Docker, name: &str) -> Result<(), bollard::errors::Error> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    docker.remove_container(name, Some(options)).await
}

/// The container's name is its scratch folder's.
fn container_name(scratch: &Path) -> String {
    scratch.file_name().map_or_else(|| PREFIX.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn collected(
    scratch: &OwnedFd,
    inputs: &[collect::Known],
    jail: &Jail,
    files: &mut Vec<crate::jail::ResultFile>,
) -> u64 {
    let kept = collect::collect(scratch, inputs, &jail.collect, |file| {
        files.push(file);
        Ok::<(), std::convert::Infallible>(())
    });
    match kept {
        Ok(left_out) => left_out,
        Err(never) => match never {},
    }
}

fn setup(step: &str, source: std::io::Error) -> JailError {
    JailError::Setup { step: step.into(), source }
}

fn failed(error: bollard::errors::Error) -> JailError {
    JailError::Container(error.to_string())
}
