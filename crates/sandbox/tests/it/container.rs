//! The second engine, with a Podman service and an image of this machine's own Python.

use std::{
    fs,
    io::Read as _,
    path::Path,
    sync::{Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use countersign_sandbox::{
    Bind, Collect, ContainerConfig, Finished, Grade, InputFile, Jail, Report, Sandbox, Status,
    self_test_container,
};
use countersign_testbed::Podman;

use crate::jail::{PYTHON, attacks::fail_in, block_on, deaths::until_running, launcher, stderr, stdout};

/// What is left behind is one test's own.
fn podman() -> (MutexGuard<'static, ()>, Podman) {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    (guard, Podman::start("sandbox"))
}

fn config(podman: &Podman) -> ContainerConfig {
    ContainerConfig { socket: podman.socket(), image: podman.image().into(), runtime: None }
}

fn tested(podman: &Podman, args: &[&str]) -> Report {
    block_on(self_test_container(launcher(args), &config(podman)))
}

fn sandbox(podman: &Podman) -> Sandbox {
    let report = tested(podman, &[]);
    report.sandbox().unwrap_or_else(|| panic!("no container here: {:#?}", report.findings))
}

fn python(script: &str) -> Jail {
    let mut jail = Jail::new(PYTHON);
    jail.args = ["-I", "-B", "-c", script].map(Into::into).to_vec();
    jail.limits.wall = Duration::from_secs(30);
    jail.limits.cpu_percent = 100;
    jail
}

/// Neither containers nor rooms of supervisors that are gone.
fn nothing_is_left(podman: &Podman) {
    let started = Instant::now();
    loop {
        let containers = podman.containers();
        let rooms = rooms();
        if containers.is_empty() && rooms.is_empty() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{containers:?} {rooms:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Rooms of containers, which hold a folder of this name. Those of other tests have supervisors that live.
fn rooms() -> Vec<String> {
    let folders =
        fs::read_dir("/tmp").unwrap().flatten().filter(|entry| entry.path().join("scratch").is_dir());
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let stale = |name: &String| {
        let pid = name.strip_prefix("countersign-jail-").and_then(|rest| rest.split('-').next());
        pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
    };
    names.filter(stale).collect()
}

fn until(podman: &Podman, what: &str, holds: impl Fn(&[String]) -> bool) {
    let started = Instant::now();
    while !holds(&podman.containers()) {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: {:?}", podman.containers());
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_container_is_the_same_jail() {
    let (_one, podman) = podman();
    let sandbox = sandbox(&podman);
    let run = |jail: Jail| -> Finished { block_on(sandbox.run(jail)).unwrap() };

    let mut jail = python(
        "import sys; print(sys.stdin.read().upper(), open('in').read()); print('err', file=sys.stderr)\nopen('out', 'w').write('made'); sys.exit(3)",
    );
    jail.stdin = b"hello".to_vec();
    jail.inputs = vec![InputFile { name: "in".into(), bytes: b"given".to_vec() }];
    let finished = run(jail);
    assert_eq!(
        (finished.status, stdout(&finished), stderr(&finished)),
        (Status::Exit(3), "HELLO given".into(), "err".into())
    );
    let files: Vec<_> =
        finished.files.iter().map(|file| (file.name.as_str(), file.bytes.as_deref())).collect();
    assert_eq!(files, [("out", Some(b"made".as_slice()))]);

    let status = "print(open('/proc/self/status').read())\nimport os, socket\nprint([l.split(':')[0].strip() for l in open('/proc/net/dev')][2:])\n\
                  try: open('/x', 'w')\nexcept OSError as e: print('root', e.errno)\nprint(os.getuid())";
    let said = stdout(&run(python(status)));
    for expected in ["CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "['lo']", "root 30"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }

    let mut jail = python("import time\nprint('ready', flush=True)\ntime.sleep(60)");
    jail.limits.wall = Duration::from_secs(2);
    let finished = run(jail);
    assert_eq!((finished.status, stdout(&finished)), (Status::TimedOut, "ready".into()));
    assert!(finished.usage.wall < Duration::from_secs(10), "{:?}", finished.usage.wall);

    let mut jail = python("x = [bytearray(1 << 20) for n in range(600)]\nprint('survived')");
    jail.limits.memory = 64 << 20;
    assert!(matches!(run(jail).status, Status::OutOfMemory | Status::Signal(9)));

    let fork = "import os\ntry: os.fork()\nexcept OSError as e: print(e.errno)";
    assert_eq!(stdout(&run(python(fork))), "1", "one process is one process");
    let fork = "import os, time\nn = 0\ntry:\n  while n < 99:\n    if os.fork() == 0: time.sleep(60)\n    n += 1\nexcept OSError as e: print(n < 17, e.errno)";
    let mut jail = python(fork);
    jail.limits.processes = 12;
    assert_eq!(stdout(&run(jail)), "True 11");

    let mut jail = python("for n in range(10_000_000): print(n)");
    jail.limits.output = 16 << 10;
    let finished = run(jail);
    assert_eq!(finished.status, Status::TooMuchOutput);
    assert!(finished.stdout.head.starts_with(b"0\n1\n2\n") && finished.stdout.truncated());

    let mut jail = python("n = 0\nwhile True: open(f'f{n}', 'wb').write(b'x' * 500000); n += 1");
    jail.limits.scratch = 4 << 20;
    assert_eq!(run(jail).status, Status::ScratchFull);

    let host = tempfile::tempdir().unwrap();
    fs::set_permissions(host.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(host.path().join("given"), "given").unwrap();
    let mut jail = python(
        "print(open('/data/given').read())\ntry: open('/data/x', 'w')\nexcept OSError as e: print(e.errno)",
    );
    jail.view.read_only = vec![Bind { host: host.path().into(), jail: "/data".into() }];
    jail.collect = Collect::nothing();
    assert_eq!(stdout(&run(jail)), "given\n30");
    nothing_is_left(&podman);

    // Dropping the future.
    let mut jail = python("import time; time.sleep(60)");
    jail.limits.wall = Duration::from_secs(60);
    block_on(async {
        assert!(tokio::time::timeout(Duration::from_secs(3), sandbox.run(jail)).await.is_err());
    });
    nothing_is_left(&podman);
}

#[test]
fn the_self_test_of_containers_notices_every_wall_that_is_missing() {
    let (_one, podman) = podman();
    let report = tested(&podman, &[]);
    assert!(report.sandbox().is_some_and(|sandbox| sandbox.is_container()), "{:#?}", report.findings);
    // This service gives containers no users of their own.
    assert_eq!(report.grade, Grade::Reduced, "{:#?}", report.findings);
    let engine = if podman.is_docker() { "Docker" } else { "Podman" };
    assert!(report.about.starts_with(&format!("a container of {engine} ")), "{}", report.about);
    let told = |report: &Report, text: &str| report.findings.iter().any(|finding| finding.contains(text));
    assert!(told(&report, "the container shares the users of the host"), "{:#?}", report.findings);

    let report = tested(&podman, &["without-filter"]);
    assert_eq!(report.grade, Grade::Refused, "{:#?}", report.findings);
    assert!(told(&report, "got through to a user namespace (unshare)"), "{:#?}", report.findings);
    let report = tested(&podman, &["without-namespaces"]);
    assert_eq!(report.grade, Grade::Refused, "{:#?}", report.findings);
    assert!(told(&report, "got through to a process of the host"), "{:#?}", report.findings);

    let report = tested(&podman, &["without-memory"]);
    assert_eq!(report.grade, Grade::Reduced, "{:#?}", report.findings);
    assert!(told(&report, UNLIMITED), "{:#?}", report.findings);

    let refused = |config: ContainerConfig| {
        let report = block_on(self_test_container(launcher(&[]), &config));
        assert!(report.grade == Grade::Refused && report.sandbox().is_none());
        report.findings.join("\n")
    };
    let said = refused(ContainerConfig { image: "localhost/none:none".into(), ..config(&podman) });
    assert!(said.contains("it lacks the image `localhost/none:none`"), "{said}");
    let said = refused(ContainerConfig { socket: "/nonexistent.socket".into(), ..config(&podman) });
    assert!(said.contains("`/nonexistent.socket`"), "{said}");
    let said = refused(ContainerConfig { runtime: Some("runsc".into()), ..config(&podman) });
    // Podman would run it with another, and say nothing.
    assert!(podman.is_docker() || said.contains("start its service with `--runtime runsc`"), "{said}");
    let own = ContainerConfig { runtime: Some("runc".into()), ..config(&podman) };
    assert!(block_on(self_test_container(launcher(&[]), &own)).about.ends_with(", runtime `runc`"));
    nothing_is_left(&podman);
}

#[test]
fn a_container_with_users_of_its_own_is_graded_full() {
    let (_one, podman) = podman();
    drop(podman);
    let podman = Podman::start_with_users("sandbox");
    let report = tested(&podman, &[]);
    assert_eq!((report.grade, report.findings.clone()), (Grade::Full, Vec::new()));
    let mut jail = python(
        "import os\nprint(open('/proc/self/uid_map').read().split()[1] != '0', os.getuid(), open('in').read())\n\
         open('out', 'w').write('made'); os.mkdir('deep'); open('deep/x', 'w')",
    );
    jail.inputs = vec![InputFile { name: "in".into(), bytes: b"given".to_vec() }];
    let finished = block_on(report.sandbox().unwrap().run(jail)).unwrap();
    assert_eq!(stdout(&finished), "True 65534 given", "{}", stderr(&finished));
    let names: Vec<_> = finished.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["deep/x", "out"]);
    nothing_is_left(&podman);
}

const UNLIMITED: &str = "the engine does not limit memory";

/// Full, but for what this runtime, told to leave control groups alone, does not do.
#[test]
fn a_container_with_a_kernel_of_its_own_is_known() {
    let (_one, podman) = podman();
    drop(podman);
    // The platform that works inside of virtual machines too.
    let script = "#!/bin/sh\nexec runsc --platform=ptrace --network=none --ignore-cgroups \"$@\"\n";
    let folder = tempfile::tempdir().unwrap();
    let runtime = folder.path().join("runsc");
    fs::write(&runtime, script).unwrap();
    fs::set_permissions(&runtime, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let runtime = runtime.display().to_string();
    let podman = Podman::start_with_runtime("sandbox", &runtime);
    let config = ContainerConfig { runtime: Some(runtime), ..config(&podman) };
    let report = block_on(self_test_container(launcher(&[]), &config));
    assert_eq!(report.grade, Grade::Reduced);
    assert!(
        report.findings.len() == 1 && report.findings[0].starts_with(UNLIMITED),
        "{:#?}",
        report.findings
    );
    assert!(report.about.ends_with(", with a kernel of its own"), "{}", report.about);
    let finished =
        block_on(report.sandbox().unwrap().run(python("import os; print(os.uname().release)"))).unwrap();
    assert_eq!(stdout(&finished), "4.4.0", "{}", stderr(&finished));
    drop(podman);
    nothing_is_left(&Podman::start("sandbox"));
}

/// Those that nothing but Landlock stops get through: there is none around a container, so that programs are executed from anywhere in it.
#[test]
fn no_attack_succeeds_in_a_container() {
    let (_one, podman) = podman();
    let sandbox = sandbox(&podman);
    fail_in(&sandbox, python, |attack| !attack.listed && attack.name != "execute-own-file");
    nothing_is_left(&podman);
}

const MARK: &str = "orphaned-container";

/// The role of a process that runs one container and is killed meanwhile.
pub(crate) fn starter(socket: &str, image: &str) {
    let config = ContainerConfig { socket: socket.into(), image: image.into(), runtime: None };
    let sandbox = block_on(self_test_container(launcher(&[]), &config)).sandbox().unwrap();
    let mut jail = python("import time\ntime.sleep(60)");
    jail.args.push(MARK.into());
    jail.limits.wall = Duration::from_secs(60);
    let _ = block_on(sandbox.run(jail));
}

#[test]
fn a_container_dies_with_its_starter_and_what_a_dead_supervisor_leaves_is_swept() {
    let (_one, podman) = podman();
    let role = format!("container-starter {} {}", podman.socket().display(), podman.image());
    let start = || {
        let started = crate::start(crate::spawn(&role));
        until_running(MARK);
        started
    };
    let (starter, mut stream) = start();
    starter.kill().unwrap();
    starter.wait().unwrap();
    until(&podman, "the container lives on", <[String]>::is_empty);
    nothing_is_left(&podman);
    let _ = stream.read(&mut [0]);

    // Nobody is left who could remove it.
    let (starter, _stream) = start();
    let supervisor: i32 = podman.containers()[0].split('-').nth(2).unwrap().parse().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(supervisor).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    starter.kill().unwrap();
    starter.wait().unwrap();
    // What is killed is there until whoever inherited it has looked.
    let killed = Path::new("/proc").join(supervisor.to_string());
    let waited = Instant::now();
    while killed.exists() {
        assert!(waited.elapsed() < Duration::from_secs(30), "the supervisor lives on");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(!podman.containers().is_empty(), "it was swept before anybody came");
    assert!(tested(&podman, &[]).sandbox().is_some());
    nothing_is_left(&podman);
}
