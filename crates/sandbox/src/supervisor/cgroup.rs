//! Control groups of one jail: memory, number of processes, share of the processors. Version 1 or 2, wherever they are writable.
//!
//! A group's name starts with [`PREFIX`] and holds the supervisor's process number, so that one left behind by a supervisor that was
//! killed is known as stale.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Pid;

use crate::jail::JailLimits;

/// Start of the names of groups and, where there are no namespaces, of scratch folders.
pub(crate) const PREFIX: &str = "countersign-jail-";

/// The kernel takes a moment to let go of processes that were killed.
const REMOVAL: Duration = Duration::from_secs(1);

/// Threads and processes of a jail that may have one process: that one, the jail's init, and as many threads as a language runtime starts.
pub(crate) const ONE_PROCESS: u32 = 16;
/// The period over which a share of the processors is counted, microseconds.
const PERIOD: u64 = 100_000;

/// Which of the limits can be enforced on this machine, and where their groups are made.
pub(crate) struct Hierarchies {
    memory: Option<Place>,
    processes: Option<Place>,
    cpu: Option<Place>,
}

/// A folder in which groups can be made.
#[derive(Clone, PartialEq, Eq)]
struct Place {
    folder: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Hierarchies {
    /// Finds them from the kernel's tables of mounts and of this process's groups.
    pub(crate) fn find() -> Hierarchies {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let place = |controller: &str| {
            version_one(controller, &mounts, &own).or_else(|| version_two(controller, &mounts, &own))
        };
        Hierarchies { memory: place("memory"), processes: place("pids"), cpu: place("cpu") }
    }

    /// One sentence for each limit that has no group here.
    pub(crate) fn findings(&self) -> Vec<String> {
        let missing = [
            (
                &self.memory,
                "memory: no writable cgroup; the address space of each process is limited instead",
            ),
            (&self.processes, "processes: no writable cgroup; RLIMIT_NPROC limits them instead"),
            (&self.cpu, "share of the processors: no writable cgroup; only processor time is limited"),
        ];
        missing.into_iter().filter(|(place, _)| place.is_none()).map(|(_, text)| text.to_owned()).collect()
    }

    /// Whether all memory of a jail together is limited.
    pub(crate) fn limits_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Makes a jail's groups.
    ///
    /// # Errors
    /// If a group cannot be made or a limit not be set; nothing is left behind.
    pub(crate) fn make(&self, limits: &JailLimits) -> io::Result<Group> {
        let name = format!("{PREFIX}{}", rustix::process::getpid().as_raw_nonzero());
        let mut group = Group { folders: Vec::new(), memory: None, cpu: None };
        if let Some(place) = &self.memory {
            let folder = group.enter(place, &name)?;
            group.memory = Some((folder.clone(), place.version));
            set_memory(&folder, place.version, limits.memory)?;
        }
        if let Some(place) = &self.processes {
            let folder = group.enter(place, &name)?;
            fs::write(folder.join("pids.max"), process_limit(limits).to_string())?;
        }
        if let Some(place) = &self.cpu {
            let folder = group.enter(place, &name)?;
            group.cpu = Some((folder.clone(), place.version));
            let quota = u64::from(limits.cpu_percent).saturating_mul(PERIOD / 100);
            match place.version {
                Version::One => {
                    fs::write(folder.join("cpu.cfs_period_us"), PERIOD.to_string())?;
                    fs::write(folder.join("cpu.cfs_quota_us"), quota.to_string())?;
                }
                Version::Two => fs::write(folder.join("cpu.max"), format!("{quota} {PERIOD}"))?,
            }
        }
        Ok(group)
    }

    /// Removes the groups of supervisors that no longer exist.
    pub(crate) fn sweep(&self) {
        let places = [&self.memory, &self.processes, &self.cpu];
        for place in places.into_iter().flatten() {
            let Ok(entries) = fs::read_dir(&place.folder) else { continue };
            for entry in entries.flatten() {
                if is_stale(&entry.file_name().to_string_lossy()) {
                    remove(&entry.path());
                }
            }
        }
    }
}

/// Whether this name is that of a jail whose supervisor is gone.
pub(crate) fn is_stale(name: &str) -> bool {
    let number = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
    number.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

/// How many processes and threads a jail may have, its init included.
pub(crate) fn process_limit(limits: &JailLimits) -> u32 {
    let asked = if limits.processes == 1 { ONE_PROCESS } else { limits.processes };
    asked.saturating_add(1)
}

fn set_memory(folder: &Path, version: Version, limit: u64) -> io::Result<()> {
    let limit = limit.to_string();
    match version {
        Version::One => {
            // MUTATE(E1-memory): any amount of memory
            fs::write(folder.join("memory.limit_in_bytes"), &limit)?;
            // Absent where the kernel does not account for swap.
            write_if_there(&folder.join("memory.memsw.limit_in_bytes"), &limit)
        }
        Version::Two => {
            fs::write(folder.join("memory.max"), &limit)?;
            write_if_there(&folder.join("memory.swap.max"), "0")?;
            write_if_there(&folder.join("memory.oom.group"), "1")
        }
    }
}

fn write_if_there(file: &Path, text: &str) -> io::Result<()> {
    if file.exists() { fs::write(file, text) } else { Ok(()) }
}

/// The groups of one jail. Dropping removes them, for which their processes must have ended.
pub(crate) struct Group {
    folders: Vec<PathBuf>,
    memory: Option<(PathBuf, Version)>,
    cpu: Option<(PathBuf, Version)>,
}

impl Group {
    /// Lifts the share of the processors, so that what is killed can die at once: a process that has used up its share does not even
    /// run to its end.
    pub(crate) fn hurry(&self) {
        let Some((folder, version)) = &self.cpu else { return };
        let _ = match version {
            Version::One => fs::write(folder.join("cpu.cfs_quota_us"), "-1"),
            Version::Two => fs::write(folder.join("cpu.max"), "max"),
        };
    }

    /// Makes the group in one hierarchy. In version 2 several controllers share it.
    fn enter(&mut self, place: &Place, name: &str) -> io::Result<PathBuf> {
        let folder = place.folder.join(name);
        if !self.folders.contains(&folder) {
            // The name holds our process number: one that is there was left by a supervisor that had this number before.
            if folder.exists() {
                remove(&folder);
            }
            fs::create_dir(&folder)?;
            self.folders.push(folder.clone());
        }
        Ok(folder)
    }

    /// Puts a process under the limits; its descendants follow.
    pub(crate) fn add(&self, pid: Pid) -> io::Result<()> {
        let pid = pid.as_raw_nonzero().to_string();
        self.folders.iter().try_for_each(|folder| fs::write(folder.join("cgroup.procs"), &pid))
    }

    /// Whether the kernel killed a process because the memory was used up.
    pub(crate) fn was_out_of_memory(&self) -> bool {
        let Some((folder, version)) = &self.memory else { return false };
        let file = match version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok());
        kills.is_some_and(|kills| kills > 0)
    }

    /// The most memory there was at a time, bytes; 0 if unknown.
    pub(crate) fn peak(&self) -> u64 {
        let Some((folder, version)) = &self.memory else { return 0 };
        let file = match version {
            Version::One => "memory.max_usage_in_bytes",
            Version::Two => "memory.peak",
        };
        fs::read_to_string(folder.join(file)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // MUTATE(E4-groups): they stay
        self.folders.iter().for_each(|folder| remove(folder));
    }
}

/// Removes a group, which the kernel refuses as long as it has not finished burying the last process.
fn remove(folder: &Path) {
    let started = Instant::now();
    while fs::remove_dir(folder).is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY))
        && started.elapsed() < REMOVAL
    {
        thread::sleep(Duration::from_millis(1));
    }
}

fn version_one(controller: &str, mounts: &str, own: &str) -> Option<Place> {
    let (root, mounted) = mounts.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let kind = filesystem.next()?;
        let options = filesystem.nth(1)?;
        (kind == "cgroup" && options.split(',').any(|option| option == controller)).then(|| places(mount))?
    })?;
    let path = own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })?;
    let folder = below(&mounted, &root, path);
    is_writable(&folder).then_some(Place { folder, version: Version::One })
}

/// In version 2 a group that holds processes cannot pass controllers on, so the group above ours is the second choice: the one that
/// systemd delegates with `DelegateSubgroup=`.
fn version_two(controller: &str, mounts: &str, own: &str) -> Option<Place> {
    let (root, mounted) = mounts.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        filesystem.starts_with("cgroup2 ").then(|| places(mount))?
    })?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let folder = below(&mounted, &root, path);
    let above = folder.parent().filter(|parent| parent.starts_with(&mounted)).map(Path::to_path_buf);
    [Some(folder), above]
        .into_iter()
        .flatten()
        .find(|folder| passes_on(folder, controller) && is_writable(folder))
        .map(|folder| Place { folder, version: Version::Two })
}

/// Whether groups made in this folder get the controller, now or after asking for it.
fn passes_on(folder: &Path, controller: &str) -> bool {
    let has = |file: &str| {
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        text.split_whitespace().any(|name| name == controller)
    };
    let control = "cgroup.subtree_control";
    has(control)
        || (has("cgroup.controllers")
            && fs::write(folder.join(control), format!("+{controller}")).is_ok()
            && has(control))
}

/// The root of a mounted hierarchy and where it is mounted, from the first half of a line of `mountinfo`.
fn places(mount: &str) -> Option<(String, PathBuf)> {
    let mut fields = mount.split(' ').skip(3);
    Some((fields.next()?.to_owned(), fields.next()?.into()))
}

/// The folder of the group `path` in a hierarchy of which the part from `root` is mounted; the top if it lies elsewhere, as in a container.
fn below(mounted: &Path, root: &str, path: &str) -> PathBuf {
    let rest = path.strip_prefix(root.trim_end_matches('/')).unwrap_or(path).trim_start_matches('/');
    let folder = mounted.join(rest);
    if folder.is_dir() { folder } else { mounted.to_path_buf() }
}

fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_container_is_found_below_its_mount() {
        let here = tempfile::tempdir().unwrap();
        fs::create_dir_all(here.path().join("a/b")).unwrap();
        assert_eq!(below(here.path(), "/", "/a/b"), here.path().join("a/b"));
        assert_eq!(below(here.path(), "/docker/x", "/docker/x/a"), here.path().join("a"));
        assert_eq!(below(here.path(), "/", "/not/there"), here.path());
    }

    #[test]
    fn version_one_is_found_in_the_kernel_s_tables() {
        let here = tempfile::tempdir().unwrap();
        let folder = here.path().join("mine");
        fs::create_dir(&folder).unwrap();
        let mounts = format!(
            "35 31 0:32 / {} rw,relatime shared:9 - cgroup cgroup rw,cpu,memory\n41 31 0:38 / /x rw - cgroup2 cgroup2 rw\n",
            here.path().display()
        );
        let found = version_one("memory", &mounts, "4:cpu,memory:/mine\n0::/\n").unwrap();
        assert_eq!(found.folder, folder);
        assert!(version_one("pids", &mounts, "4:cpu,memory:/mine\n").is_none());
    }

    #[test]
    fn version_two_needs_the_controller_to_be_passed_on() {
        let here = tempfile::tempdir().unwrap();
        let leaf = here.path().join("service/server");
        fs::create_dir_all(&leaf).unwrap();
        fs::write(here.path().join("service/cgroup.subtree_control"), "memory pids\n").unwrap();
        fs::write(leaf.join("cgroup.subtree_control"), "\n").unwrap();
        let mounts = format!("41 31 0:38 / {} rw - cgroup2 cgroup2 rw\n", here.path().display());
        let found =
            |controller| version_two(controller, &mounts, "0::/service/server\n").map(|place| place.folder);
        assert_eq!(found("memory"), Some(here.path().join("service")));
        assert_eq!(found("cpu"), None);
    }

    #[test]
    fn a_name_is_stale_once_its_process_is_gone() {
        let own = rustix::process::getpid().as_raw_nonzero();
        assert!(!is_stale(&format!("{PREFIX}{own}")));
        assert!(!is_stale(&format!("{PREFIX}{own}-abc")));
        assert!(is_stale(&format!("{PREFIX}4194305")));
        assert!(!is_stale("system.slice") && !is_stale(&format!("{PREFIX}x")));
    }
}
