//! Where programs and drivers are: installed, or unpacked by `cargo xtask setup`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The Debian packages whose files this machine lacks: what [`Postgres`](crate::Postgres), [`Odbc`](crate::Odbc) and the build of the
/// ODBC engine need. Empty when all are installed or unpacked.
pub fn missing_packages() -> Vec<&'static str> {
    // A package, and a file of it: directly below a folder, or below one of that folder's own.
    const NEEDED: &[(&str, &str, &str)] = &[
        ("postgresql", "usr/lib/postgresql", "bin/postgres"),
        ("odbc-postgresql", "usr/lib", "odbc/psqlodbcw.so"),
        ("libsqliteodbc", "usr/lib", "odbc/libsqlite3odbc.so"),
        ("unixodbc", "usr", "bin/isql"),
        ("unixodbc-dev", "usr/lib", "libodbc.so"),
        ("openssl", "usr", "bin/openssl"),
        ("iproute2", "", "bin/ip"),
        ("git", "usr", "bin/git"),
        ("python3", "usr", "bin/python3"),
        ("python3-pytest", "usr/lib/python3/dist-packages", "pytest/__init__.py"),
    ];
    let has = |parent: &str, file: &str| {
        [PathBuf::from("/"), unpacked()].iter().any(|root| root.join(parent).join(file).exists())
            || !find(parent, file).is_empty()
    };
    NEEDED.iter().filter(|(_, parent, file)| !has(parent, file)).map(|(package, _, _)| *package).collect()
}

/// Debian packages unpacked without being installed: a folder that stands for `/`.
pub(crate) fn unpacked() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debs/root")
}

/// The folder of the newest PostgreSQL server's programs.
pub(crate) fn postgres() -> PathBuf {
    let mut found = find("usr/lib/postgresql", "bin/postgres");
    // Names are major versions.
    found.sort_by_key(|dir| {
        let version =
            dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok());
        version.unwrap_or_default()
    });
    let newest = found.pop().unwrap_or_else(|| panic!("no PostgreSQL server: run `cargo xtask setup`"));
    newest.join("bin")
}

/// The file of an ODBC driver.
pub(crate) fn odbc_driver(file: &str) -> PathBuf {
    let found = find("usr/lib", &format!("odbc/{file}"));
    let dir =
        found.into_iter().next().unwrap_or_else(|| panic!("no ODBC driver {file}: run `cargo xtask setup`"));
    dir.join("odbc").join(file)
}

/// A program outside PostgreSQL's folder.
pub(crate) fn program(name: &str) -> PathBuf {
    let unpacked = unpacked().join("usr/bin").join(name);
    if unpacked.exists() { unpacked } else { name.into() }
}

/// Folders directly in `parent`, of the machine first, that hold `file`.
fn find(parent: &str, file: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for root in [PathBuf::from("/"), unpacked()] {
        let Ok(entries) = std::fs::read_dir(root.join(parent)) else { continue };
        found.extend(
            entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|dir| dir.join(file).exists()),
        );
        if !found.is_empty() {
            break;
        }
    }
    found
}

/// The value of `LD_LIBRARY_PATH` under which programs find unpacked libraries; `None` when nothing is unpacked.
pub fn library_path() -> Option<std::ffi::OsString> {
    let lib = unpacked().join("usr/lib");
    let multiarch = std::fs::read_dir(&lib).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let folders: Vec<PathBuf> =
        multiarch.filter(|dir| dir.to_string_lossy().ends_with("-linux-gnu")).chain([lib]).collect();
    let rest = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&rest))).ok()
}

/// Lets a command use unpacked libraries.
pub(crate) fn with_libraries(command: &mut Command) -> &mut Command {
    if let Some(path) = library_path() {
        command.env("LD_LIBRARY_PATH", path);
    }
    command
}
