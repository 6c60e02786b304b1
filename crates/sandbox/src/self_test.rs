//! Real escapes from real jails: what decides how far this machine can be trusted.

use std::{fs, path::Path, time::Duration};

use crate::{
    engine::{Grade, Launcher, Report, Sandbox},
    jail::{Bind, Collect, Finished, Jail, JailError, JailLimits, Status, View},
    probe::{self, Secrets},
    supervisor::{Hierarchies, sweep_scratch},
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
    let hierarchies = Hierarchies::find();
    hierarchies.sweep();
    sweep_scratch();
    let mut findings = Vec::new();
    for (walls, grade, name) in STRENGTHS {
        let sandbox = Sandbox { launcher: launcher.clone(), grade, walls };
        let wrong = holds(&sandbox).await;
        // MUTATE(E5-self-test): every machine is good enough
        if wrong.is_empty() {
            if walls.namespaces {
                findings.extend(hierarchies.findings());
            } else {
                findings.extend(
                    hierarchies.findings().into_iter().filter(|finding| !finding.starts_with("processes")),
                );
            }
            return Report { grade, findings, sandbox: Some(sandbox) };
        }
        findings.extend(wrong.into_iter().map(|finding| format!("{name}: {finding}")));
    }
    Report { grade: Grade::Refused, findings, sandbox: None }
}

/// What is wrong with jails of this strength; nothing if they hold.
async fn holds(sandbox: &Sandbox) -> Vec<String> {
    let jail = match probe_jail(sandbox) {
        Ok(jail) => jail,
        Err(error) => return vec![describe(&error)],
    };
    let mut stay = jail.clone();
    stay.stdin = probe::STAY.into();
    stay.limits.wall = STAY;
    let mut wrong = match sandbox.run(jail).await {
        Err(error) => return vec![describe(&error)],
        Ok(finished) => escapes(&finished, sandbox.walls.landlock),
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

fn escapes(finished: &Finished, landlock: bool) -> Vec<String> {
    let said = String::from_utf8_lossy(&finished.stdout.head);
    let mut found: Vec<String> = said.lines().filter(|line| *line != probe::HELD).map(through).collect();
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
fn probe_jail(sandbox: &Sandbox) -> Result<Jail, JailError> {
    let launcher = &sandbox.launcher;
    let host = fs::read_link(&launcher.program).unwrap_or_else(|_| launcher.program.clone());
    // It keeps its path, so that it is found even if a wall that should move it is missing.
    let host = host.canonicalize().map_err(|source| JailError::Program { program: host.clone(), source })?;
    let namespaces = sandbox.walls.namespaces;
    let mut view = View::system();
    view.read_only.push(Bind::same(&host));
    if !namespaces {
        view.files.clear();
    }
    let shown = |path: &Path| host.starts_with(path) || view.files.iter().any(|(file, _)| file == path);
    let hidden = HIDDEN.iter().filter(|path| Path::new(path).exists() && !shown(Path::new(path)));
    let secrets = Secrets {
        process: namespaces.then(std::process::id),
        paths: hidden.map(|path| (*path).to_owned()).collect(),
    };
    let mut args = launcher.args.clone();
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

fn describe(error: &JailError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
