//! The guard protects itself: a database must not be, by any name, a file that Countersign itself lives on, and no root of files may hold
//! one.
//!
//! Otherwise a caller who may read a database could read keys or the audit log through it. Files are compared as the kernel knows
//! them (device and inode), so that symbolic and hard links, `..` and mounts change nothing.

mod roots;

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Config, PostgresTarget, Source, error::Problem, raw::Raw};

/// How many directory entries are compared before a directory counts as unreadable.
const MAX_ENTRIES: usize = 1_000_000;

/// Databases that do not exist, or overlap with something of ours.
pub(super) fn problems(config: &Config, raw: &Raw) -> Vec<Problem> {
    let ours = ours(config);
    let mut problems = Vec::new();
    for (name, database) in &config.databases {
        let Source::Sqlite { file, .. } = &database.source else { continue };
        let key = format!("databases.{name}.url");
        let place = raw.values.get(&key).and_then(|read| read.place);
        let mut problem = |message: String, help: &str| {
            problems.push(Problem { place, message, help: Some(help.to_owned()) });
        };
        let meta = match fs::metadata(file) {
            Ok(meta) if meta.is_file() => meta,
            Ok(_) => {
                problem(
                    format!("`{key}` names something that is no file"),
                    "an SQLite database is one regular file",
                );
                continue;
            }
            Err(e) => {
                problem(
                    format!("`{key}` names a database that cannot be opened: {e}"),
                    "paths are relative to the directory of the configuration; Countersign creates no databases",
                );
                continue;
            }
        };
        for (what, path) in &ours {
            // MUTATE(P3-overlap): a database may be a file of Countersign itself
            if overlaps(file, &meta, path) {
                problem(
                    format!("`{key}` is or lies in Countersign's own {what}"),
                    "callers could read it through the database; keep databases elsewhere",
                );
            }
        }
    }
    problems.extend(shared(config, raw));
    problems.extend(roots::problems(config, raw, &ours));
    problems
}

/// Databases that are the one in which a fleet keeps its state, by the same name.
fn shared(config: &Config, raw: &Raw) -> Vec<Problem> {
    let Some(state) = &config.state.shared else { return Vec::new() };
    let same = |target: &PostgresTarget| {
        (&target.host, target.port, &target.database)
            == (&state.target.host, state.target.port, &state.target.database)
    };
    let overlapping = config.databases.iter().filter(
        // MUTATE(P4-overlap): the database of the state is offered to callers
        |(_, database)| matches!(&database.source, Source::Postgres(settings) if same(&settings.target)),
    );
    let problem = |(name, _): (&String, _)| {
        let key = format!("databases.{name}.url");
        Problem {
            place: raw.values.get(&key).and_then(|read| read.place),
            message: format!("`{key}` is the database in which Countersign keeps its state"),
            help: Some("give the state a database of its own, as in docs/fleet.md".into()),
        }
    };
    overlapping.map(problem).collect()
}

/// What Countersign lives on, with names for people.
fn ours(config: &Config) -> Vec<(&'static str, PathBuf)> {
    let mut ours = vec![
        ("configuration", config.file.clone()),
        ("policies", config.policy.dir.clone()),
        ("audit log", config.audit.dir.clone()),
        ("state", config.state.dir.clone()),
        ("key file", config.identity.keys.clone()),
        ("catalog", config.catalog.dir.clone()),
    ];
    ours.extend(config.policy.observe.clone().map(|dir| ("observed policies", dir)));
    ours.extend(config.identity.credentials.as_ref().map(|own| ("file of credentials", own.file.clone())));
    let lock = config.file.with_file_name("countersign.lock");
    ours.push(("lock file", lock));
    ours.extend(config.server.tls.as_ref().map(|tls| ("TLS key", tls.key.clone())));
    ours.extend(config.container.as_ref().map(|engine| ("container engine's socket", engine.socket.clone())));
    ours.extend(std::env::current_exe().ok().map(|binary| ("binary", binary)));
    let secrets = config.secrets.iter().filter_map(|secret| match &secret.reference {
        super::secret::Reference::File(path) => Some(("secret file", config.file.parent()?.join(path))),
        super::secret::Reference::Env(_) => None,
    });
    ours.extend(secrets);
    ours
}

/// What decides whom Countersign believes: to be read by anybody, and changed by nobody who calls.
fn anchors(config: &Config) -> Vec<(&'static str, PathBuf)> {
    let tls = config.server.tls.as_ref();
    let of_server = [
        ("TLS certificate", tls.map(|tls| tls.certificate.clone())),
        ("authority of clients", tls.and_then(|tls| tls.client_ca.clone())),
        ("list of revoked certificates", tls.and_then(|tls| tls.client_crl.clone())),
        ("authority of web servers", config.fetch.ca.clone()),
    ];
    let of_issuers =
        config.identity.issuers.iter().map(|issuer| ("authority of an issuer", issuer.ca.clone()));
    let of_databases = config.databases.values().filter_map(|database| match &database.source {
        Source::Postgres(postgres) => match &postgres.tls {
            super::Tls::Verify { ca } => Some(("authority of a database", ca.clone())),
            super::Tls::UnlessLocal | super::Tls::Plaintext => None,
        },
        Source::Sqlite { .. } | Source::Odbc(_) => None,
    });
    let all = of_server.into_iter().chain(of_issuers).chain(of_databases);
    all.filter_map(|(what, path)| Some((what, path?))).collect()
}

/// Whether a file is `path`, lies below it, or is linked from below it. Fails closed: what cannot be read overlaps.
fn overlaps(file: &Path, meta: &fs::Metadata, path: &Path) -> bool {
    let Ok(real) = file.canonicalize() else { return true };
    let base = match path.canonicalize() {
        Ok(base) => base,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return real.starts_with(path),
        Err(_) => return true,
    };
    // A file with one link has one path, which decides; only hard links need the search.
    real.starts_with(&base) || same(meta, &base) || (meta.nlink() > 1 && linked_below(meta, &base))
}

fn same(meta: &fs::Metadata, path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|other| (other.dev(), other.ino()) == (meta.dev(), meta.ino()))
}

fn linked_below(meta: &fs::Metadata, base: &Path) -> bool {
    let (mut pending, mut seen) = (vec![base.to_owned()], 0_usize);
    while let Some(dir) = pending.pop() {
        if !dir.is_dir() {
            continue;
        }
        let Ok(entries) = fs::read_dir(&dir) else { return true };
        for entry in entries {
            seen += 1;
            let Ok(entry) = entry else { return true };
            let Ok(kind) = entry.file_type() else { return true };
            if seen > MAX_ENTRIES || (!kind.is_dir() && same(meta, &entry.path())) {
                return true;
            }
            if kind.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    false
}
