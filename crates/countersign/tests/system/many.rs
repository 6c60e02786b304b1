//! Many programs at once, and a server that is killed while they run: nothing of them is left.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::world::*;

const AT_ONCE: usize = 32;

const POLICY: &str = r#"
@id("tests-call-python")
permit (principal in Role::"operator", action in Action::"call", resource) when { resource.name == "run_python" };
@id("tests-run-python")
permit (principal in Role::"operator", action == Action::"execute", resource == Interpreter::"python");
"#;

fn world() -> World {
    let extra = format!(
        "[limits]\nconcurrent_principal = 64\nconcurrent_server = 128\n[python]\nat_once = {AT_ONCE}\ntimeout = \"5m\"\n"
    );
    let world = World::new(Shape { extra, ..Shape::default() });
    fs::write(world.dir.path().join("policies/python.cedar"), POLICY).unwrap();
    world
}

/// All processes below a process, with the first of their arguments.
fn below(root: u32) -> BTreeSet<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        parents.extend(parent.map(|parent: u32| (pid, parent)));
    }
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        let children: Vec<u32> =
            parents.iter().filter(|(_, parent)| found.contains(parent)).map(|(pid, _)| *pid).collect();
        found.extend(children);
        if found.len() == before {
            found.remove(&root);
            return found;
        }
    }
}

/// A process that has ended and waits for its parent counts as gone.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Control groups and scratch folders of supervisors, by their process numbers.
fn folders(supervisors: &BTreeSet<u32>) -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from("/tmp"), PathBuf::from("/sys/fs/cgroup")];
    let mut at = 1;
    while let Some(place) = places.get(at) {
        let inner = fs::read_dir(place).into_iter().flatten().flatten();
        let inner: Vec<_> = inner.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        places.extend(inner);
        at += 1;
    }
    let names: BTreeSet<String> = supervisors.iter().map(|pid| format!("countersign-jail-{pid}")).collect();
    let ours = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        names.iter().any(|known| name == **known || name.starts_with(&format!("{known}-")))
    };
    let inner =
        |place: &PathBuf| fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = places.iter().flat_map(inner).filter(|path| ours(path)).collect();
    found.sort();
    found.dedup();
    found
}

fn mounts() -> usize {
    fs::read_to_string("/proc/self/mountinfo")
        .unwrap()
        .lines()
        .filter(|line| line.contains("/scratch"))
        .count()
}

#[test]
fn thirty_two_runs_hold_and_a_killed_server_leaves_nothing_of_them() {
    let world = world();
    let server = world.serve();
    let before = mounts();
    let answers: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = (0..AT_ONCE)
            .map(|n| {
                // The machine that tests is smaller than one that serves so many.
                thread::sleep(Duration::from_millis(100));
                let world = &world;
                scope.spawn(move || {
                    let code = format!("import time\ntime.sleep(5)\nwrite_text('out', '{n}')\nprint({n})");
                    world.client(&world.ann).call("run_python", json!({"code": code}))
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for (n, result) in answers.iter().enumerate() {
        let answer = &result["structuredContent"];
        assert_eq!(answer["stdout"], format!("{n}\n"), "{result}");
        assert_eq!(answer["files"][0]["text"], n.to_string(), "{result}");
    }

    let mut clients: Vec<Client> = (0..AT_ONCE)
        .map(|_| {
            let mut client = world.client(&world.ann);
            let call = json!({"name": "run_python", "arguments": {"code": "import time\ntime.sleep(290)"}});
            client.send_modern(1, "tools/call", call).unwrap();
            thread::sleep(Duration::from_millis(100));
            client
        })
        .collect();
    // A supervisor, the first process of its jail, and the program.
    let started = Instant::now();
    let (supervisors, processes) = loop {
        let supervisors: BTreeSet<u32> = server.workers().into_iter().collect();
        let processes = below(server.child.id());
        if processes.len() >= AT_ONCE * 3 && folders(&supervisors).len() >= AT_ONCE {
            break (supervisors, processes);
        }
        assert!(started.elapsed() < Duration::from_secs(120), "only {} processes", processes.len());
        thread::sleep(Duration::from_millis(100));
    };
    server.kill();
    let killed = Instant::now();
    loop {
        let left: Vec<u32> = processes.iter().copied().filter(|pid| lives(*pid)).collect();
        let folders = folders(&supervisors);
        if left.is_empty() && folders.is_empty() {
            break;
        }
        assert!(killed.elapsed() < Duration::from_secs(20), "left behind: {left:?} {folders:?}");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(mounts(), before);
    clients.iter_mut().for_each(Client::close);
}
