//! Real escapes from real jails: what decides how far this machine can be trusted.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    engine::{Engine, Grade, Launcher, Report, Sandbox, sweep},
    jail::{Bind, Collect, Finished, Jail, JailError, JailLimits, Status, View},
    probe::{self, Secrets},
    supervisor::Hierarchies,
    wire::Walls,
};

/// The strengths, best first.
const STRENGTHS: [(Walls, Grade, &str); 3] = [
    (
        Walls { namespaces: true, landlock: true },
        Grade::Full,
        "namespaces, Landlock and the system call filter",
    ),
    (Walls { namespaces: false, landlock: true }, Grade::Reduced, "Landlock and the system call filter"),
    (Walls { namespaces: true, landlock: false }, Grade::Reduced, "namespaces and the system call filter"),
];

/// Parts of a host that no probe is shown; those that exist are looked for.
const HIDDEN: [&str; 8] = ["/boot", "/etc/passwd", "/etc/shadow", "/home", "/root", "/srv", "/sys", "/var"];

/// How long a probe that refuses to end is given, and how late its end may be noticed.
const STAY: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_millis(200);
const TRIES: usize = 3;

pub(crate) async fn run(launcher: Launcher) -> Report {
    let mut findings = Vec::new();
    // A launcher that starts no supervisor shows below.
    let _ = sweep(&launcher, None).await;
    for (walls, grade, name) in STRENGTHS {
        let sandbox = Sandbox { launcher: launcher.clone(), grade, engine: Engine::Jail(walls) };
        let wrong = holds(&sandbox, walls).await;
        // MUTATE(E5-self-test): every machine is good enough
        if wrong.is_empty() {
            // The supervisors have made of them what can be made.
            let hierarchies = Hierarchies::find();
            if walls.namespaces {
                findings.extend(hierarchies.findings());
            } else {
                findings.extend(
                    hierarchies.findings().into_iter().filter(|finding| !finding.starts_with("processes")),
                );
            }
            return Report { grade, about: name.to_owned(), findings, sandbox: Some(sandbox) };
        }
        findings.extend(wrong.into_iter().map(|finding| format!("{name}: {finding}")));
    }
    Report::refused("no engine", findings)
}

/// What is wrong with jails of this strength; nothing if they hold.
async fn holds(sandbox: &Sandbox, walls: Walls) -> Vec<String> {
    let jail = match probe_jail(sandbox, walls) {
        Ok(jail) => jail,
        Err(error) => return vec![describe(&error)],
    };
    let mut stay = jail.clone();
    stay.stdin = probe::STAY.into();
    stay.limits.wall = STAY;
    let mut wrong = match sandbox.run(jail).await {
        Err(error) => return vec![describe(&error)],
        Ok(finished) => escapes(&finished, walls.landlock),
    };
    wrong.extend(outlives(sandbox, &stay).await);
    wrong
}

/// Whether a program that refuses to end is killed on time. A machine that is very busy may be late once or twice.
async fn outlives(sandbox: &Sandbox, stay: &Jail) -> Option<String> {
    let mut last = None;
    for _ in 0..TRIES {
        match sandbox.run(stay.clone()).await {
            Ok(Finished { status: Status::TimedOut, usage, .. })
                if usage.wall <= STAY.saturating_add(LATE) =>
            {
                return None;
            }
            Ok(Finished { status, usage, .. }) => {
                let (had, took) = (STAY.as_millis(), usage.wall.as_millis());
                last = Some(format!("a program that had {had} ms ended after {took} ms: {status:?}"));
            }
            Err(error) => return Some(describe(&error)),
        }
    }
    last
}

pub(crate) fn escapes(finished: &Finished, landlock: bool) -> Vec<String> {
    let said = String::from_utf8_lossy(&finished.stdout.head);
    let mut found: Vec<String> = said
        .lines()
        .filter(|line| *line != probe::HELD && !line.starts_with(probe::NOTE))
        .map(through)
        .collect();
    match finished.status {
        Status::Exit(code) if code == i32::from(probe::ENDED) => {}
        // INVARIANT: only a probe that could not become another program says so.
        Status::Exit(0) if !landlock => {}
        Status::Exit(0) => found.push(through("a program that may not be executed")),
        status => found.push(format!("the probe did not finish: {status:?}")),
    }
    if said.is_empty() {
        found.push("the probe said nothing".into());
    }
    found
}

fn through(escape: &str) -> String {
    format!("a jailed program got through to {escape}")
}

/// This program as a probe, and its libraries.
fn probe_jail(sandbox: &Sandbox, walls: Walls) -> Result<Jail, JailError> {
    let host = own_program(&sandbox.launcher)?;
    let namespaces = walls.namespaces;
    let mut view = View::system();
    view.read_only.push(Bind::same(&host));
    if !namespaces {
        view.files.clear();
    }
    let shown = |path: &Path| host.starts_with(path) || view.files.iter().any(|(file, _)| file == path);
    let hidden = HIDDEN.iter().filter(|path| Path::new(path).exists() && !shown(Path::new(path)));
    let secrets = Secrets {
        own_view: namespaces,
        process: std::process::id(),
        kernel: probe::kernel(),
        paths: hidden.map(|path| (*path).to_owned()).collect(),
    };
    let mut args = sandbox.launcher.args.clone();
    args.push(probe::PROBE.into());
    Ok(Jail {
        args,
        stdin: secrets.encode(),
        view,
        limits: JailLimits { wall: Duration::from_secs(10), cpu_percent: 100, ..JailLimits::default() },
        collect: Collect::nothing(),
        ..Jail::new(host)
    })
}

/// The launcher's program, all links followed: it keeps its path, so that it is found even if a wall that should move it is missing.
pub(crate) fn own_program(launcher: &Launcher) -> Result<PathBuf, JailError> {
    let host = fs::read_link(&launcher.program).unwrap_or_else(|_| launcher.program.clone());
    host.canonicalize().map_err(|source| JailError::Program { program: host.clone(), source })
}

pub(crate) fn describe(error: &JailError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
