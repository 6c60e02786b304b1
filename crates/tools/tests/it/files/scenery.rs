//! What the rows of the corpus set up: files, links, devices, and races that swap one for another.

use std::{
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, makedev, mknodat, renameat_with};
use serde_json::Value;

/// Something that goes on while calls are made; it ends with this value.
pub(super) struct Race {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Race {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Sets up one row below `data`; races run until they are dropped.
pub(super) fn set_up(data: &Path, steps: &[Value]) -> Vec<Race> {
    steps.iter().filter_map(|step| one(data, step)).collect()
}

fn one(data: &Path, step: &Value) -> Option<Race> {
    let text = |at: usize| step[at].as_str().unwrap_or_else(|| panic!("{step}"));
    let path = data.join(text(1));
    match text(0) {
        "file" => std::fs::write(path, "INSIDE").unwrap(),
        "mkdir" => std::fs::create_dir_all(path).unwrap(),
        "symlink" => symlink(text(2), path).unwrap(),
        "hardlink" => std::fs::hard_link(data.join(text(2)), path).unwrap(),
        "fifo" => mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap(),
        "socket" => drop(UnixListener::bind(path).unwrap()),
        "device" => {
            let number = |at: usize| u32::try_from(step[at].as_u64().unwrap()).unwrap();
            let device = makedev(number(2), number(3));
            mknodat(CWD, &path, FileType::CharacterDevice, Mode::RWXU, device).unwrap();
        }
        // `c0 -> c1 -> … -> target`
        "chain" => {
            let length = step[2].as_u64().unwrap();
            for at in 0..length {
                let next =
                    if at + 1 == length { text(3).to_owned() } else { format!("{}{}", text(1), at + 1) };
                symlink(next, data.join(format!("{}{at}", text(1)))).unwrap();
            }
        }
        "race" => return Some(race(data, text(1), text(2), step[3].as_str())),
        other => panic!("no step of a set-up is called `{other}`"),
    }
    None
}

fn race(data: &Path, kind: &str, name: &str, target: Option<&str>) -> Race {
    let stop = Arc::new(AtomicBool::new(false));
    let here = data.join(name);
    let turn: Box<dyn Fn() + Send> = match kind {
        "swap" => {
            let other = data.parent().unwrap().join("swapped");
            // The link is made where it will be read: its target is relative to the root.
            symlink(target.unwrap(), &other).unwrap();
            Box::new(move || exchange(&here, &other))
        }
        "move_out" => {
            let away = data.parent().unwrap().join("moved-out");
            Box::new(move || {
                std::fs::rename(&here, &away).unwrap();
                std::fs::rename(&away, &here).unwrap();
            })
        }
        other => panic!("no race is called `{other}`"),
    };
    let thread = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            while !stop.load(Relaxed) {
                turn();
            }
        }
    });
    Race { stop, thread: Some(thread) }
}

fn exchange(one: &Path, other: &Path) {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}
