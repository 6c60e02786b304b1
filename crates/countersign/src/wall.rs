//! The server's own wall: once the configuration is read, its threads open what the configuration names, and what the system keeps for
//! all programs, and nothing else. Whatever a bug of ours or of a library can be talked into, it opens no other file.
//!
//! Workers, jails and database drivers are processes with walls of their own; this one does not hold them.

use std::path::{Path, PathBuf};

use countersign_sandbox::Confinement;

use crate::config::{Config, Source};

/// What every process reads: libraries, names and authorities of the network, time zones, and what the kernel says of itself. Homes, data of
/// other programs and whatever is mounted elsewhere are not among it.
const SYSTEM: [&str; 19] = [
    "/etc",
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/nix/store",
    "/gnu/store",
    "/proc",
    "/sys/fs/cgroup",
    "/sys/devices/system",
    "/dev/urandom",
    "/dev/random",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/var/run/nscd",
    "/var/lib/sss",
];
/// What every process may write to.
const SINKS: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/tty"];

/// Puts up the wall; the process has one thread. Yields what to say of it.
///
/// # Errors
/// If the kernel has such a wall and refuses it.
pub(crate) fn enter(config: &Config) -> anyhow::Result<&'static str> {
    if !config.server.confine {
        return Ok("off");
    }
    // MUTATE(C1-wall): the server goes without its wall
    match reach(config).enter()? {
        true => Ok("landlock"),
        false => Ok("none"),
    }
}

/// The files that a server with this configuration needs.
fn reach(config: &Config) -> Confinement {
    let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    let mut write: Vec<PathBuf> = SINKS.iter().map(PathBuf::from).collect();
    write.extend([config.state.dir.clone(), config.audit.dir.clone()]);
    let databases = config.databases.values().filter_map(|database| match &database.source {
        Source::Sqlite { file, .. } => Some(file.as_path()),
        Source::Postgres(_) | Source::Odbc(_) => None,
    });
    let named = config.paths.iter().map(PathBuf::as_path);
    for path in named.chain([config.file.as_path()]).chain(databases) {
        read.extend(around(path));
    }
    for folder in config.folders.values() {
        let list = if folder.settings().write { &mut write } else { &mut read };
        list.extend(folder.root().location());
    }
    read.extend(authorities());
    Confinement { read, write, network: true }
}

/// A directory, or the directory of a file: files are replaced, by a new one of the same name. Links are followed.
fn around(path: &Path) -> Vec<PathBuf> {
    let real = path.canonicalize().ok();
    let around = |path: &Path| match path.is_dir() {
        true => Some(path.to_owned()),
        false => path.parent().map(Path::to_owned),
    };
    [Some(path), real.as_deref()].into_iter().flatten().filter_map(around).collect()
}

/// Where the environment says that the certificate authorities are.
fn authorities() -> impl Iterator<Item = PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the binary reads the environment")]
    let set = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(std::env::var_os);
    set.into_iter().flatten().map(PathBuf::from).flat_map(|path| around(&path))
}
