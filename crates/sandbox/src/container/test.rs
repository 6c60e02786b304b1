//! Real escapes from a real container: what decides how far this daemon can be trusted.

use std::{path::PathBuf, time::Duration};

use bollard::Docker;

use super::{connect, failed};
use crate::{
    engine::{ContainerConfig, Engine, Grade, Launcher, Report, Sandbox, sweep},
    jail::{Bind, Finished, Jail, JailError, JailLimits, Status, View},
    probe::{self, Secrets},
    self_test::{describe, escapes, own_program},
    wire::Container,
};

/// What Podman is asked for so that a container has users of its own; Docker decides by its own configuration.
/// As root it gives away numbers that it has; as a user, the user's own.
const OWN_USERS_OF_ROOT: &str = "auto:size=65536";
const OWN_USERS: &str = "keep-id:uid=65534,gid=65534";

/// What an engine does not say of itself.
const UNLIMITED: &str =
    "the engine does not limit memory, as Podman without root under control groups of version 1";

/// How long a probe that refuses to end is given, and how late its end may be noticed by a daemon that is busy.
const STAY: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_secs(10);

/// Asks the daemon what it has, and tries escapes from a container.
pub(crate) async fn run(launcher: Launcher, config: &ContainerConfig) -> Report {
    let found = async {
        let (about, container) = look(config).await?;
        sweep(&launcher, Some(&container)).await?;
        Ok((about, container))
    };
    match found.await {
        Ok((about, container)) => attempt(launcher, about, container).await,
        Err(error) => {
            let socket = config.socket.display();
            Report::refused("no engine", vec![format!("{} (asked at `{socket}`)", describe(&error))])
        }
    }
}

/// The daemon's name, and the image by its id, so that a name that is given to another image later changes nothing.
async fn look(config: &ContainerConfig) -> Result<(String, Container), JailError> {
    let docker = connect(&config.socket).await?;
    let Daemon { name, podman, runtimes } = daemon(&docker).await?;
    let missing = |error: JailError| {
        JailError::Container(format!(
            "it lacks the image `{}`, and images are never pulled: {}",
            config.image,
            describe(&error)
        ))
    };
    let image = docker.inspect_image(&config.image).await.map_err(|error| missing(failed(error)))?;
    let image =
        image.id.ok_or_else(|| JailError::Container(format!("the image `{}` has no id", config.image)))?;
    let mut runtime = config.runtime.clone().unwrap_or_default();
    // INVARIANT: Podman passes over a runtime that it is asked for, so one that is wanted must be the service's own.
    if podman && !runtime.is_empty() {
        // MUTATE(E2-container-runtime): a runtime that Podman does not use is taken for used
        if !runtimes.contains(&runtime) {
            return Err(JailError::Container(format!(
                "Podman takes no runtime from its API, and its own is {}: start its service with `--runtime {runtime}`",
                runtimes.join(", ")
            )));
        }
    }
    let mut about = format!("a container of {name}, image `{}` ({image})", config.image);
    if !runtime.is_empty() {
        about.push_str(&format!(", runtime `{runtime}`"));
    }
    if podman {
        runtime.clear();
    }
    let socket = config.socket.clone();
    Ok((about, Container { socket, image, runtime, users: String::new(), filter_by_path: podman }))
}

/// What a daemon says of itself.
struct Daemon {
    name: String,
    podman: bool,
    /// The runtimes of its service; only Podman's are known.
    runtimes: Vec<String>,
}

async fn daemon(docker: &Docker) -> Result<Daemon, JailError> {
    let version = docker.version().await.map_err(failed)?;
    let components = version.components.unwrap_or_default();
    let runtime = |name: &str| Some(name.strip_prefix("OCI Runtime (")?.strip_suffix(')')?.to_owned());
    let runtimes = components.iter().filter_map(|component| runtime(&component.name)).collect();
    let podman = components.iter().find(|component| component.name.contains("Podman"));
    Ok(match podman {
        Some(podman) => Daemon { name: format!("Podman {}", podman.version), podman: true, runtimes },
        None => {
            let name = format!("Docker {}", version.version.unwrap_or_default());
            Daemon { name, podman: false, runtimes }
        }
    })
}

/// The best that holds: with users of its own, or without.
async fn attempt(launcher: Launcher, about: String, container: Container) -> Report {
    let wanted = if rustix::process::geteuid().is_root() { OWN_USERS_OF_ROOT } else { OWN_USERS };
    let choices: &[&str] = if container.filter_by_path { &[wanted, ""] } else { &[""] };
    let mut findings = Vec::new();
    for users in choices {
        let container = Container { users: (*users).to_owned(), ..container.clone() };
        let mut sandbox = Sandbox {
            launcher: launcher.clone(),
            grade: Grade::Reduced,
            engine: Engine::Container(container),
        };
        match holds(&sandbox).await {
            Ok(Held { own_kernel, own_users, unlimited }) => {
                if own_kernel || own_users {
                    sandbox.grade = Grade::Full;
                    findings.clear();
                } else {
                    findings.push("the container shares the users of the host".to_owned());
                }
                // MUTATE(E2-container-memory): an engine that limits no memory, and says nothing, is as good as one that does
                if unlimited {
                    sandbox.grade = Grade::Reduced;
                    findings.push(UNLIMITED.to_owned());
                }
                let kernel = if own_kernel { ", with a kernel of its own" } else { "" };
                let about = format!("{about}{kernel}");
                return Report { grade: sandbox.grade, about, findings, sandbox: Some(sandbox) };
            }
            Err(wrong) => {
                let name = if users.is_empty() { "a container" } else { "a container with users of its own" };
                findings.extend(wrong.into_iter().map(|finding| format!("{name}: {finding}")));
            }
        }
    }
    Report::refused(about, findings)
}

/// What a container that holds has beyond the least.
struct Held {
    own_kernel: bool,
    own_users: bool,
    /// A program takes more memory than it may have.
    unlimited: bool,
}

/// # Errors
/// What is wrong with such a container.
async fn holds(sandbox: &Sandbox) -> Result<Held, Vec<String>> {
    let one = |error: JailError| vec![describe(&error)];
    let host = own_program(&sandbox.launcher).map_err(one)?;
    let jail = probe_jail(sandbox, host);
    let (mut stay, mut take) = (jail.clone(), jail.clone());
    stay.stdin = probe::STAY.into();
    stay.limits.wall = STAY;
    take.stdin = probe::TAKE.into();
    take.limits.memory = probe::GREED as u64 / 2;
    let finished = sandbox.run(jail).await.map_err(one)?;
    let mut wrong = escapes(&finished, false);
    if !finished.files.iter().any(|file| file.name == probe::LEFT) && wrong.is_empty() {
        wrong.push("what a program leaves in its scratch folder does not come back".into());
    }
    match sandbox.run(stay).await.map_err(one)? {
        Finished { status: Status::TimedOut, usage, .. } if usage.wall <= STAY.saturating_add(LATE) => {}
        Finished { status, usage, .. } => {
            let (had, took) = (STAY.as_millis(), usage.wall.as_millis());
            wrong.push(format!("a program that had {had} ms ended after {took} ms: {status:?}"));
        }
    }
    let taken = sandbox.run(take).await.map_err(one)?;
    let unlimited = taken.status == Status::Exit(i32::from(probe::ENDED));
    let said = String::from_utf8_lossy(&finished.stdout.head);
    let noted = |note: &str| said.lines().any(|line| line == note);
    if wrong.is_empty() {
        Ok(Held { own_kernel: noted(probe::OWN_KERNEL), own_users: !noted(probe::HOST_USERS), unlimited })
    } else {
        Err(wrong)
    }
}

/// This program as a probe. The host's libraries stand over the image's: it is the container that is tested, whatever the image holds.
fn probe_jail(sandbox: &Sandbox, host: PathBuf) -> Jail {
    let mut view = View::system();
    view.files.clear();
    view.read_only.push(Bind::same(&host));
    let Engine::Container(container) = &sandbox.engine else { return Jail::new(host) };
    let secrets = Secrets {
        own_view: true,
        process: std::process::id(),
        kernel: probe::kernel(),
        paths: vec![container.socket.display().to_string()],
    };
    let mut args = sandbox.launcher.args.clone();
    args.push(probe::IN_CONTAINER.into());
    Jail {
        args,
        stdin: secrets.encode(),
        view,
        limits: JailLimits { wall: Duration::from_secs(30), cpu_percent: 100, ..JailLimits::default() },
        ..Jail::new(host)
    }
}
