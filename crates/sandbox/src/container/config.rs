//! A jail in the words of the Docker API: everything that can be taken from a container is taken.

use std::{collections::HashMap, path::Path};

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountType, ResourcesUlimits,
};

use super::LABEL;
use crate::{
    jail::{Jail, NOBODY, SCRATCH},
    supervisor::process_limit,
};

pub(super) fn body(jail: &Jail, scratch: &Path, image: &str, runtime: Option<&str>) -> ContainerCreateBody {
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    let mut env: Vec<String> =
        jail.env.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect();
    for name in ["HOME", "TMPDIR", "PWD"] {
        if !jail.env.iter().any(|(given, _)| given == name) {
            env.push(format!("{name}={SCRATCH}"));
        }
    }
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec![text(jail.program.as_os_str())]),
        cmd: Some(jail.args.iter().map(|argument| text(argument)).collect()),
        env: Some(env),
        user: Some(user()),
        working_dir: Some(SCRATCH.to_owned()),
        labels: Some(HashMap::from([(LABEL.to_owned(), super::container_name(scratch))])),
        network_disabled: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        tty: Some(false),
        host_config: Some(host(jail, scratch, runtime)),
        ..ContainerCreateBody::default()
    }
}

/// Nobody, if we may choose. Otherwise ourselves: the scratch folder is ours, and the container has no rights either way.
fn user() -> String {
    let own = rustix::process::geteuid();
    if own.is_root() {
        format!("{NOBODY}:{NOBODY}")
    } else {
        format!("{}:{}", own.as_raw(), rustix::process::getegid().as_raw())
    }
}

fn host(jail: &Jail, scratch: &Path, runtime: Option<&str>) -> HostConfig {
    let limits = &jail.limits;
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let processes = i64::from(process_limit(limits));
    HostConfig {
        // MUTATE(E2-container-network): the container has a network
        network_mode: Some("none".to_owned()),
        ipc_mode: Some("private".to_owned()),
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        // The daemon's own system call filter applies besides.
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        memory: Some(number(limits.memory)),
        memory_swap: Some(number(limits.memory)),
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
        mounts: Some(mounts(jail, scratch)),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        runtime: runtime.map(str::to_owned),
        ..HostConfig::default()
    }
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
