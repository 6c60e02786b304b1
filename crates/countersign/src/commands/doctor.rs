//! `doctor`: is this installation sound? Checks what can be checked without serving, and grades honestly what cannot be mended here.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_audit::{VerifyOptions, verify};
use countersign_identity::{KeyStore, Timestamp, process_uid};
use countersign_policy::Policies;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::{configuration, runtime, token::state};
use crate::{
    compose,
    config::{Config, Listen, size_text},
    print::{Exit, Outcome, Printer, Style, line},
};

mod contained;
mod databases;
mod fetch;
mod fleet;
mod issuers;
mod tls;
mod wall;

/// Keys that expire sooner than this are worth a word.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// How a check went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Good,
    Warning,
    Bad,
}

/// One check and what it found.
#[derive(Debug, Serialize)]
struct Check {
    grade: Grade,
    about: &'static str,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

/// Runs every check.
pub(crate) fn run(file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    let runtime = runtime()?;
    let mut checks = vec![Check::good("configuration", format!("{} is valid", config.file.display()))];
    checks.extend(config.warnings.iter().map(|warning| Check::warning("secrets", warning, "")));
    checks.extend(permissions(&config));
    checks.push(listening(&config));
    checks.extend(fleet::checks(&config, &runtime));
    checks.extend(danger(&config));
    checks.push(wall::check(&config));
    checks.extend(keys(&config));
    checks.extend(policies(&config, &runtime));
    checks.extend(contained::checks(&config, &runtime));
    checks.extend(databases::checks(&config, &runtime));
    checks.extend(fetch::checks(&config, &runtime));
    checks.extend(tls::checks(&config));
    checks.extend(issuers::checks(&config, &runtime));
    checks.push(record(&config));
    checks.extend(space(&config));
    checks.push(same_user(&config));
    if printer.json {
        printer.value(&checks);
    } else {
        checks.iter().for_each(|check| check.show(printer));
    }
    let bad = checks.iter().any(|check| check.grade == Grade::Bad);
    Ok(if bad { Exit::No } else { Exit::Ok })
}

impl Check {
    fn good(about: &'static str, found: impl Into<String>) -> Check {
        Check { grade: Grade::Good, about, found: found.into(), help: None }
    }

    fn warning(about: &'static str, found: impl Into<String>, help: impl Into<String>) -> Check {
        Check { grade: Grade::Warning, ..Check::bad(about, found, help) }
    }

    fn bad(about: &'static str, found: impl Into<String>, help: impl Into<String>) -> Check {
        let help = Some(help.into()).filter(|help| !help.is_empty());
        Check { grade: Grade::Bad, about, found: found.into(), help }
    }

    fn show(&self, printer: Printer) {
        let (mark, style) = match self.grade {
            Grade::Good => ("ok     ", Style::Good),
            Grade::Warning => ("warning", Style::Warn),
            Grade::Bad => ("BAD    ", Style::Bad),
        };
        let mut lines = self.found.lines();
        let first = line(lines.next().unwrap_or_default());
        printer.say(&format!("{}  {:<14} {first}", printer.styled(style, mark), self.about));
        lines.for_each(|text| printer.say(&format!("{:24} {}", "", line(text))));
        if let Some(help) = &self.help {
            printer.say(&format!("{:24} {} {}", "", printer.styled(Style::Dim, "help:"), line(help)));
        }
    }
}

/// Files that others can read or change. Whoever writes them decides what is allowed; whoever reads the state can sign records.
fn permissions(config: &Config) -> Vec<Check> {
    let audit_keys = config.audit.dir.join("keys");
    let mut ours: Vec<(&'static str, &Path, u32)> = vec![
        ("configuration", &config.file, 0o022),
        ("policies", &config.policy.dir, 0o022),
        ("state", &config.state.dir, 0o077),
        ("keys", &config.identity.keys, 0o077),
        ("audit log", &config.audit.dir, 0o022),
        ("audit keys", &audit_keys, 0o077),
    ];
    ours.extend(config.identity.credentials.iter().map(|own| ("credentials", own.file.as_path(), 0o077)));
    let mut checks = Vec::new();
    for (about, path, forbidden) in ours {
        match fs::metadata(path) {
            Ok(meta) if meta.mode() & forbidden != 0 => {
                let whom = if meta.mode() & forbidden & 0o022 != 0 { "changed" } else { "read" };
                let found = format!(
                    "`{}` can be {whom} by others (mode {:03o})",
                    path.display(),
                    meta.mode() & 0o777
                );
                checks.push(Check::bad(
                    about,
                    found,
                    format!("chmod {} {}", if meta.is_dir() { "700" } else { "600" }, path.display()),
                ));
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => {
                checks.push(Check::bad(about, format!("`{}` cannot be examined: {e}", path.display()), ""))
            }
        }
    }
    if checks.is_empty() {
        checks.push(Check::good(
            "permissions",
            "nothing of Countersign's own can be changed by others, nor its keys read",
        ));
    }
    checks
}

fn listening(config: &Config) -> Check {
    let listen = &config.server.listen;
    let address = match listen {
        Listen::Tcp(address) => address,
        Listen::Unix(path) => {
            return Check::good(
                "listen",
                format!("the socket {}; only users of this machine reach it", path.display()),
            );
        }
    };
    let reach = if address.ip().is_loopback() {
        "only this machine reaches it"
    } else {
        "the network reaches it, over TLS"
    };
    match std::net::TcpListener::bind(address) {
        Ok(_) => Check::good("listen", format!("{listen} is free; {reach}")),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Check::good(
            "listen",
            format!("{listen} is in use: a server is running, or another program has the port"),
        ),
        Err(e) => Check::bad("listen", format!("cannot listen on {listen}: {e}"), "change `server.listen`"),
    }
}

fn danger(config: &Config) -> Vec<Check> {
    let switches = config.danger.switches();
    if switches.is_empty() {
        return vec![Check::good("danger", "no switch is on")];
    }
    let each = switches.into_iter().map(|switch| {
        Check::bad(
            "danger",
            format!("`{switch}` is on: a default is loosened"),
            "right for tests and measurements only",
        )
    });
    each.collect()
}

fn keys(config: &Config) -> Vec<Check> {
    let now = Timestamp::now();
    let keys = match KeyStore::at(&config.identity.keys).list() {
        Ok(keys) => keys,
        Err(e) => {
            return vec![Check::bad(
                "keys",
                e.to_string(),
                "until it can be read, nobody can log in over HTTP",
            )];
        }
    };
    let active: Vec<_> = keys.iter().filter(|key| state(key, now) == "active").collect();
    let mut checks = vec![match active.len() {
        0 => Check::warning(
            "keys",
            "no key is active: nobody can log in over HTTP",
            "countersign token key create",
        ),
        count => Check::good("keys", format!("{count} active, {} expired or revoked", keys.len() - count)),
    }];
    for key in active.iter().filter(|key| key.expires.since(now) < SOON) {
        let found = format!("{} of {} expires on {}", key.id, key.subject, key.expires.date());
        checks.push(Check::warning("keys", found, format!("countersign token key renew {}", key.id)));
    }
    match &config.identity.local {
        None => {
            checks.push(Check::warning("stdio", "`[identity.local]` is not set: stdio serves nobody", ""))
        }
        Some(local) if local.authenticate(process_uid()).is_err() => {
            let found = format!("stdio serves user id {} only; you are {}", local.uid, process_uid().0);
            checks.push(Check::warning("stdio", found, ""));
        }
        Some(local) => checks.push(Check::good(
            "stdio",
            format!("serves user id {} as {}@{}", local.uid, local.user, local.tenant),
        )),
    }
    checks
}

/// Starts the database workers, as a server would, and validates the policies against the tools they yield.
fn policies(config: &Config, runtime: &Runtime) -> Vec<Check> {
    let toolset = match runtime.block_on(compose::toolset(config)) {
        Ok(toolset) => toolset,
        Err(e) => {
            return vec![Check::bad(
                "workers",
                format!("{e:#}"),
                "no tool, and no policy check, without them",
            )];
        }
    };
    match Policies::load(&config.policy.dir, &toolset.facts) {
        Ok(policies) => {
            let report = policies.report();
            let found = format!("{} are valid; digest {}", report.policies.len(), report.digest);
            let warnings = report.warnings.iter().map(|w| Check::warning("policies", w.to_string(), ""));
            [Check::good("policies", found)].into_iter().chain(warnings).collect()
        }
        Err(errors) => vec![Check::bad("policies", errors.to_string(), "countersign policy check")],
    }
}

fn record(config: &Config) -> Check {
    if !config.audit.dir.exists() {
        return Check::good("audit log", "none yet; it is made at the first start");
    }
    match verify(&config.audit.dir, &VerifyOptions::default()) {
        Ok(report) if report.ok() => Check::good(
            "audit log",
            format!("{} entries in {} slots verify", report.entries, report.slots.len()),
        ),
        Ok(report) => {
            let found = format!("{} problems: the record is damaged", report.problems.len());
            Check::bad("audit log", found, format!("countersign audit verify {}", config.audit.dir.display()))
        }
        Err(e) => Check::bad("audit log", e.to_string(), ""),
    }
}

/// Room on the log's disk.
fn space(config: &Config) -> Option<Check> {
    let existing =
        |path: &Path| -> Option<PathBuf> { path.ancestors().find(|dir| dir.exists()).map(Path::to_owned) };
    let stat = rustix::fs::statvfs(existing(&config.audit.dir)?).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let text = format!("{} free, reserve {}", size_text(free >> 20 << 20), size_text(config.audit.reserve));
    if free < config.audit.reserve {
        return Some(Check::bad(
            "disk",
            format!("{text}: calls are refused"),
            "make room, or lower `audit.reserve`",
        ));
    }
    let low = free < config.audit.reserve.saturating_mul(4);
    Some(if low {
        Check::warning("disk", text, "calls are refused when the reserve is reached")
    } else {
        Check::good("disk", text)
    })
}

/// What no file mode can mend: programs that run as the same user as the guard.
fn same_user(config: &Config) -> Check {
    let own = process_uid().0;
    match fs::metadata(&config.file).map(|meta| meta.uid()) {
        Ok(owner) if owner == own => Check::warning(
            "threat model",
            format!(
                "the files belong to you (user id {own}): any program that runs as you, an agent with a shell included, can change policies, read keys and sign records. Countersign then guards against mistakes and against remote callers, not against such a program"
            ),
            "for more, run `serve` as a user of its own, and give agents only its address and a key",
        ),
        Ok(owner) => {
            Check::good("threat model", format!("the files belong to user id {owner}, not to you ({own})"))
        }
        Err(e) => Check::warning("threat model", format!("the owner of the files is unknown: {e}"), ""),
    }
}
