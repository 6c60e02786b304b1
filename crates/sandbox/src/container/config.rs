//! A jail in the words of the Docker API: everything that can be taken from a container is taken.

use std::{
    collections::HashMap,
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountType, ResourcesUlimits,
};

use super::{LABEL, room::Room};
use crate::{
    inside::{Wall, profile},
    jail::{Jail, NOBODY, SCRATCH},
    supervisor::process_limit,
    wire::Container,
};

/// The longest log.
const LOG: &str = "64m";

/// What a jail has not: settings of the kernel, devices and control groups.
const HIDDEN: [&str; 2] = ["/sys", "/proc/sys"];
/// What engines hide of their own accord, and no longer do once they are told what to hide.
const HIDDEN_ANYWAY: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
];

/// The system call filter, as the daemon takes it.
pub(super) fn filter(
    jail: &Jail,
    room: &Room,
    container: &Container,
    without: Option<Wall>,
) -> io::Result<String> {
    if without == Some(Wall::Filter) {
        return Ok("seccomp=unconfined".into());
    }
    let profile = profile(jail.limits.processes > 1);
    if !container.filter_by_path {
        return Ok(format!("seccomp={profile}"));
    }
    // A plain file: a Podman without root looks from users of its own, and may not look into what our processes hold open.
    let path = room.path().join("filter");
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(profile.as_bytes())?;
    Ok(format!("seccomp={}", path.display()))
}

pub(super) fn body(
    jail: &Jail,
    room: &Room,
    container: &Container,
    filter: &str,
    without: Option<Wall>,
) -> ContainerCreateBody {
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    let dir = jail.dir.as_deref().unwrap_or(Path::new(SCRATCH));
    let mut env: Vec<String> =
        jail.env.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect();
    for (name, value) in [("HOME", Path::new(SCRATCH)), ("TMPDIR", Path::new(SCRATCH)), ("PWD", dir)] {
        if !jail.env.iter().any(|(given, _)| given == name) {
            env.push(format!("{name}={}", value.display()));
        }
    }
    ContainerCreateBody {
        image: Some(container.image.clone()),
        entrypoint: Some(vec![text(jail.program.as_os_str())]),
        cmd: Some(jail.args.iter().map(|argument| text(argument)).collect()),
        env: Some(env),
        user: Some(user(container)),
        working_dir: Some(text(dir.as_os_str())),
        labels: Some(HashMap::from([(LABEL.to_owned(), room.path().display().to_string())])),
        network_disabled: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        tty: Some(false),
        host_config: Some(host(jail, room, container, filter, without)),
        ..ContainerCreateBody::default()
    }
}

/// Nobody, if we may choose. Otherwise ourselves: what the container is shown is ours, and it has no rights either way.
fn user(container: &Container) -> String {
    let own = rustix::process::geteuid();
    if own.is_root() || !container.users.is_empty() {
        format!("{NOBODY}:{NOBODY}")
    } else {
        format!("{}:{}", own.as_raw(), rustix::process::getegid().as_raw())
    }
}

fn host(jail: &Jail, room: &Room, container: &Container, filter: &str, without: Option<Wall>) -> HostConfig {
    let shared = (without == Some(Wall::Namespaces)).then(|| "host".to_owned());
    let limits = &jail.limits;
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let memory = |bytes: i64| (without != Some(Wall::Memory)).then_some(bytes);
    let processes = i64::from(process_limit(limits));
    HostConfig {
        // MUTATE(E2-container-network): the container has a network
        network_mode: shared.clone().or(Some("none".to_owned())),
        pid_mode: shared,
        // Nothing shared, and no `/dev/shm` either.
        ipc_mode: Some("none".to_owned()),
        userns_mode: Some(container.users.clone()).filter(|users| !users.is_empty()),
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(options(container, filter)),
        masked_paths: (!container.filter_by_path)
            .then(|| HIDDEN.iter().chain(&HIDDEN_ANYWAY).map(|path| (*path).to_owned()).collect()),
        memory: memory(number(limits.memory)),
        memory_swap: memory(number(limits.memory)),
        pids_limit: Some(processes),
        nano_cpus: Some(i64::from(limits.cpu_percent).saturating_mul(10_000_000)),
        ulimits: Some(vec![
            limit("core", 0),
            limit("cpu", number(limits.cpu_seconds)),
            limit("fsize", number(limits.file_size)),
            limit("nofile", number(limits.open_files)),
            // Given so that the runtime does not try to raise it, which a daemon without CAP_SYS_RESOURCE cannot.
            limit("nproc", processes),
        ]),
        mounts: Some(mounts(jail, &room.scratch().path)),
        log_config: Some(log()),
        runtime: Some(container.runtime.clone()).filter(|runtime| !runtime.is_empty()),
        ..HostConfig::default()
    }
}

fn options(container: &Container, filter: &str) -> Vec<String> {
    // MUTATE(E2-container-profile): the daemon's own filter, which lets through what it likes
    let mut options = vec!["no-new-privileges".to_owned(), filter.to_owned()];
    // Podman knows no `MaskedPaths` here, and hides these beside its own.
    if container.filter_by_path {
        // MUTATE(E2-container-hidden): a program in a container reads the host's settings
        options.push(format!("mask={}", HIDDEN.join(":")));
    }
    options
}

/// On the daemon's disk until the container is removed, and never more than this.
fn log() -> HostConfigLogConfig {
    let options = HashMap::from([("max-size".to_owned(), LOG.to_owned())]);
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(options) }
}

fn limit(name: &str, value: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(value), hard: Some(value) }
}

fn mounts(jail: &Jail, scratch: &Path) -> Vec<Mount> {
    let read_only = jail.view.read_only.iter().map(|bind| (bind.host.as_path(), bind.jail.as_path(), true));
    let read_write =
        jail.view.read_write.iter().map(|bind| (bind.host.as_path(), bind.jail.as_path(), false));
    let scratch = std::iter::once((scratch, Path::new(SCRATCH), false));
    read_only
        .chain(read_write)
        .chain(scratch)
        .map(|(host, inside, read_only)| bind(host, inside, read_only))
        .collect()
}

fn bind(host: &Path, inside: &Path, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(host.to_string_lossy().into_owned()),
        target: Some(inside.to_string_lossy().into_owned()),
        read_only: Some(read_only),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}
