//! Programs that want to outlive their limits or use up the machine, and what is left of them: nothing.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use countersign_sandbox::{Finished, Jail, Sandbox, Status, self_test};

use super::{block_on, launcher, python, run, sandbox, stderr, stdout};

/// How much later than its limit a run may end.
const LATE: Duration = Duration::from_millis(200);

/// The processes, mounts, control groups and folders that jails are made of, as the host sees them. `mark` is in the arguments of the
/// jailed program.
fn left_behind(mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&arguments).contains(mark) {
            found.push(format!("process {}", entry.path().display()));
        }
    }
    let stale = |name: &str| {
        let pid = name
            .strip_prefix("countersign-jail-")
            .and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    };
    let mut folders = vec![Path::new("/tmp").to_path_buf()];
    for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        folders.push(hierarchy.path());
    }
    for line in fs::read_to_string("/proc/self/cgroup").unwrap().lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next().unwrap(), fields.next().unwrap());
        folders.push(Path::new("/sys/fs/cgroup").join(controllers).join(path.trim_start_matches('/')));
    }
    for folder in folders {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if stale(&entry.file_name().to_string_lossy()) {
                found.push(format!("folder {}", entry.path().display()));
            }
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(mounts.lines().filter(|line| line.contains("/scratch")).map(str::to_owned));
    found
}

/// Processes must be gone, or dying. Folders that another test's killed supervisor left wait for the next start to sweep them.
pub(super) fn nothing_is_left(mark: &str) {
    let started = Instant::now();
    loop {
        let found = left_behind(mark);
        if found.is_empty() {
            return;
        }
        let process = found.iter().any(|what| what.starts_with("process"));
        let patience = Duration::from_secs(if process { 2 } else { 20 });
        assert!(started.elapsed() < patience, "left behind: {found:#?}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn marked(mark: &str, script: &str) -> Jail {
    let mut jail = python(script);
    jail.args.push(mark.into());
    jail.limits.wall = Duration::from_millis(700);
    jail
}

/// Runs a bomb and checks that it ended in time and left nothing. A machine that runs everything else at the same time may be late, but
/// not three times.
fn defused(mark: &str, jail: Jail) -> Finished {
    defused_in(&sandbox(), mark, jail)
}

fn defused_in(sandbox: &Sandbox, mark: &str, jail: Jail) -> Finished {
    let limit = jail.limits.wall;
    let mut took = Vec::new();
    for _ in 0..3 {
        let finished = block_on(sandbox.run(jail.clone())).unwrap();
        nothing_is_left(mark);
        if finished.usage.wall <= limit + LATE {
            return finished;
        }
        took.push(finished.usage.wall);
    }
    panic!("{mark} ended after {took:?}");
}

#[test]
fn a_program_that_ignores_every_signal_ends_on_time() {
    let script = "import signal, time\nfor n in range(1, 65):\n  try: signal.signal(n, signal.SIG_IGN)\n  except (OSError, ValueError): pass\n\
                  print('ready', flush=True)\nwhile True: time.sleep(1)";
    let finished = defused("bomb-signals", marked("bomb-signals", script));
    assert_eq!((finished.status, stdout(&finished)), (Status::TimedOut, "ready".into()));
}

#[test]
fn a_fork_bomb_stays_small() {
    let script = "import os, time\nn = 0\nwhile True:\n  try:\n    if os.fork() == 0: time.sleep(60)\n    n += 1\n  except OSError as e:\n    print(n, e.errno); break";
    let mut allowed = marked("bomb-forks", script);
    allowed.limits.processes = 12;
    let finished = defused("bomb-forks", allowed);
    assert_eq!(finished.status, Status::Exit(0), "{}", stderr(&finished));
    let forks: u32 = stdout(&finished).split(' ').next().unwrap().parse().unwrap();
    assert!((8..=12).contains(&forks), "{forks}");
    let finished = defused("bomb-no-forks", marked("bomb-no-forks", script));
    assert_eq!(stdout(&finished), "0 1");
}

#[test]
fn a_fork_bomb_that_never_stops_ends_on_time() {
    let script = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass";
    let mut jail = marked("bomb-forks-on", script);
    jail.limits.processes = 8;
    assert_eq!(defused("bomb-forks-on", jail).status, Status::TimedOut);
}

#[test]
fn what_a_program_leaves_running_dies_with_it() {
    let script = "import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    while True: time.sleep(1)\n  os._exit(0)\nprint('parent ends')";
    let mut jail = marked("bomb-orphan", script);
    jail.limits.processes = 8;
    jail.limits.wall = Duration::from_secs(10);
    let finished = defused("bomb-orphan", jail);
    assert_eq!((finished.status, stdout(&finished)), (Status::Exit(0), "parent ends".into()));
    assert!(finished.usage.wall < Duration::from_secs(5));
}

#[test]
fn a_thread_bomb_stays_small() {
    let script = "import threading, time\nn = 0\ntry:\n  while True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); n += 1\n\
                  except RuntimeError: print(n, flush=True)\nimport os; os._exit(0)";
    let finished = defused("bomb-threads", marked("bomb-threads", script));
    let threads: u32 = stdout(&finished).parse().unwrap();
    assert!((4..=16).contains(&threads), "{threads}");
}

#[test]
fn a_memory_bomb_is_killed_or_told() {
    let script = "x = [bytearray(1 << 20) for n in range(600)]\nprint('survived')";
    let mut jail = marked("bomb-memory", script);
    jail.limits.wall = Duration::from_secs(20);
    jail.limits.memory = 64 << 20;
    let finished = defused("bomb-memory", jail.clone());
    assert_eq!(finished.status, Status::OutOfMemory, "{}", stderr(&finished));
    assert!(
        finished.usage.memory <= 64 << 20 && finished.usage.memory > 32 << 20,
        "{}",
        finished.usage.memory
    );
    jail.limits.address_space = Some(64 << 20);
    let finished = defused("bomb-memory", jail);
    assert_eq!(finished.status, Status::Exit(1));
    assert!(stderr(&finished).ends_with("MemoryError"), "{}", stderr(&finished));
}

#[test]
fn scratch_counts_as_memory_and_has_its_own_limit() {
    let script = "import os\nn = 0\ntry:\n  while True:\n    with open(f'f{n}', 'wb') as f: f.write(b'x' * 1000000)\n    n += 1\n\
                  except OSError as e: print(n, e.errno)";
    let mut jail = marked("bomb-disk", script);
    jail.limits.wall = Duration::from_secs(20);
    jail.limits.scratch = 4 << 20;
    let finished = defused("bomb-disk", jail);
    assert_eq!((stdout(&finished), stderr(&finished)), ("4 28".into(), String::new()));
    let script = "n = 0\ntry:\n  while True:\n    open(f'f{n}', 'w').close(); n += 1\nexcept OSError as e: print(n < 5000, e.errno)";
    let mut jail = marked("bomb-inodes", script);
    jail.limits.wall = Duration::from_secs(20);
    assert_eq!(stdout(&defused("bomb-inodes", jail)), "True 28");
}

#[test]
fn a_large_file_is_cut() {
    let script = "import os\ntry:\n  with open('big', 'wb', 0) as f:\n    while True: f.write(b'x' * 65536)\nexcept OSError as e: print(e.errno, os.path.getsize('big'))";
    let mut jail = marked("bomb-file", script);
    jail.limits.wall = Duration::from_secs(20);
    jail.limits.file_size = 1_000_000;
    assert_eq!(stdout(&defused("bomb-file", jail)), "27 1000000");
}

#[test]
fn an_output_flood_is_stopped_and_its_start_and_end_are_kept() {
    let script = "import sys\nfor n in range(10_000_000): print(n)";
    let mut jail = marked("bomb-output", script);
    jail.limits.wall = Duration::from_secs(20);
    jail.limits.output = 16 << 10;
    let finished = defused("bomb-output", jail);
    assert_eq!(finished.status, Status::TooMuchOutput);
    assert!(finished.stdout.head.starts_with(b"0\n1\n2\n") && finished.stdout.truncated());
    assert_eq!(finished.stdout.head.len() + finished.stdout.tail.len(), 16 << 10);
    assert!(finished.stdout.total < 4 << 20);
    let script = "import sys\nfor n in range(5000): print(n)\nprint('the end')";
    let mut jail = marked("long-output", script);
    jail.limits.wall = Duration::from_secs(20);
    jail.limits.output = 4 << 10;
    let finished = run(jail).unwrap();
    assert_eq!(finished.status, Status::Exit(0));
    assert!(finished.stdout.tail.ends_with(b"4999\nthe end\n"));
}

#[test]
fn processor_time_is_limited() {
    let mut jail = marked("bomb-cpu", "while True: pass");
    jail.limits.wall = Duration::from_secs(20);
    jail.limits.cpu_seconds = 1;
    let finished = defused("bomb-cpu", jail);
    assert_eq!(finished.status, Status::TimedOut);
    assert!(finished.usage.cpu < Duration::from_secs(3), "{:?}", finished.usage.cpu);
}

#[test]
fn a_share_of_the_processors_is_kept() {
    let script = "import time\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass\nprint(time.process_time())";
    let mut jail = marked("bomb-share", script);
    jail.limits.wall = Duration::from_secs(20);
    jail.limits.cpu_percent = 20;
    let used: f64 = stdout(&defused("bomb-share", jail)).parse().unwrap();
    assert!(used < 0.5, "{used} s of processor time in 1 s");
}

#[test]
fn open_descriptors_are_few() {
    let script = "import os\nn = 0\ntry:\n  while True: os.open('/dev/null', 0); n += 1\nexcept OSError as e: print(n < 64, e.errno)";
    assert_eq!(stdout(&defused("bomb-descriptors", marked("bomb-descriptors", script))), "True 24");
}

#[test]
fn a_program_that_stops_itself_ends_on_time() {
    let script = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)";
    assert_eq!(defused("bomb-stop", marked("bomb-stop", script)).status, Status::TimedOut);
}

#[test]
fn killing_the_jail_s_first_process_does_nothing() {
    let script = "import os, signal\nfor n in (9, 15, 19, 11): os.kill(1, n)\nprint('still here')";
    assert_eq!(stdout(&defused("bomb-init", marked("bomb-init", script))), "still here");
}

#[test]
fn dropping_the_future_kills_and_cleans_up() {
    let mut jail = marked("bomb-dropped", "import time\ntime.sleep(60)");
    jail.limits.wall = Duration::from_secs(60);
    let sandbox = sandbox();
    block_on(async {
        let run = tokio::time::timeout(Duration::from_millis(400), sandbox.run(jail)).await;
        assert!(run.is_err());
    });
    nothing_is_left("bomb-dropped");
}

#[test]
fn thirty_two_at_once_hold() {
    let sandbox = sandbox();
    let finished = block_on(async {
        let tasks: Vec<_> = (0..32)
            .map(|n| {
                let sandbox = sandbox.clone();
                let mut jail = marked(
                    "bomb-many",
                    &format!("import time\ntime.sleep(0.2)\nopen('out', 'w').write('{n}')\nprint({n})"),
                );
                jail.limits.wall = Duration::from_secs(60);
                tokio::spawn(async move { sandbox.run(jail).await })
            })
            .collect();
        let mut finished = Vec::new();
        for task in tasks {
            finished.push(task.await.unwrap().unwrap());
        }
        finished
    });
    for (n, finished) in finished.iter().enumerate() {
        assert_eq!(
            (finished.status, stdout(finished)),
            (Status::Exit(0), n.to_string()),
            "{}",
            stderr(finished)
        );
        assert_eq!(finished.files[0].bytes.as_deref(), Some(n.to_string().as_bytes()));
    }
    nothing_is_left("bomb-many");
}

fn reduced() -> Sandbox {
    block_on(self_test(launcher(&["without-namespaces"]))).sandbox().unwrap()
}

#[test]
fn a_reduced_jail_ends_on_time_and_leaves_nothing() {
    let sandbox = reduced();
    let run = |mark: &str, script: &str, change: fn(&mut Jail)| {
        let mut jail = marked(mark, script);
        jail.view.files.clear();
        change(&mut jail);
        defused_in(&sandbox, mark, jail)
    };
    let stay = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nwhile True: time.sleep(1)";
    assert_eq!(run("reduced-stay", stay, |_| ()).status, Status::TimedOut);
    let fill = "import os\nn = 0\nwhile True:\n  os.makedirs('a/b/c', exist_ok=True)\n  open(f'a/b/c/{n}', 'wb').write(b'x' * 500000); n += 1";
    let limit: fn(&mut Jail) =
        |jail| (jail.limits.wall, jail.limits.scratch) = (Duration::from_secs(20), 4 << 20);
    assert_eq!(run("reduced-fill", fill, limit).status, Status::ScratchFull);
    let deep = "import os\nwhile True: os.mkdir('deep'); os.chdir('deep')";
    assert_eq!(run("reduced-deep", deep, limit).status, Status::ScratchFull);
    let fork = "import os\ntry: os.fork()\nexcept PermissionError: print('no')";
    assert_eq!(stdout(&run("reduced-fork", fork, |_| ())), "no");
}
