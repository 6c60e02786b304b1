//! Podman as a container engine: a service with a storage of its own, and an image of this machine's Python, `cat` and `sh`. Where
//! `COUNTERSIGN_TEST_DOCKER` names the socket of a Docker daemon, that takes its place, for the tests of what both have.

use std::{
    fs,
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::FlockOperation;

/// A service that listens, as long as it lives.
pub struct Podman {
    /// Storage, lock and socket.
    folder: PathBuf,
    image: String,
    runtime: String,
    /// Whether containers can have users of their own.
    users: bool,
    docker: Option<PathBuf>,
    service: Option<Child>,
    _lock: fs::File,
}

impl Podman {
    /// A service with the storage `name`, which no other test uses at the same time; a storage is kept for the next run.
    pub fn start(name: &str) -> Podman {
        Podman::start_with(name, "runc", false)
    }

    /// A service that has numbers of users to give away, which this machine's `/etc/subuid` need not have.
    pub fn start_with_users(name: &str) -> Podman {
        Podman::start_with(name, "runc", true)
    }

    /// With another runtime than `runc`, which works under every layout of control groups.
    pub fn start_with_runtime(name: &str, runtime: &str) -> Podman {
        Podman::start_with(name, runtime, false)
    }

    fn start_with(name: &str, runtime: &str, users: bool) -> Podman {
        let folder = std::env::temp_dir().join(format!("countersign-podman-{name}"));
        fs::create_dir_all(&folder).unwrap();
        let lock = fs::File::create(folder.join("lock")).unwrap();
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
        let image = format!("localhost/python:{}", version());
        let docker = std::env::var_os("COUNTERSIGN_TEST_DOCKER").filter(|_| runtime == "runc" && !users);
        let docker = docker.map(PathBuf::from);
        let mut podman =
            Podman { folder, image, runtime: runtime.into(), users, docker, service: None, _lock: lock };
        for name in podman.containers() {
            podman.run(&["rm", "--force", &name]);
        }
        if podman.run(&["images", "--quiet", &podman.image]).is_empty() {
            podman.import();
        }
        if podman.docker.is_none() {
            podman.listen();
        }
        podman
    }

    /// The service's socket.
    pub fn socket(&self) -> PathBuf {
        self.docker.clone().unwrap_or_else(|| self.folder.join("socket"))
    }

    /// Whether it is Docker.
    pub fn is_docker(&self) -> bool {
        self.docker.is_some()
    }

    /// The image's name.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// The names of all containers, running or not.
    pub fn containers(&self) -> Vec<String> {
        self.run(&["ps", "--all", "--format", "{{.Names}}"]).lines().map(str::to_owned).collect()
    }

    /// Runs a command of Podman, which must succeed.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("podman is installed: `cargo xtask setup`");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        if self.users {
            let numbers = self.folder.join("numbers");
            fs::write(&numbers, "containers:1000000:1000000\n").unwrap();
            let script =
                "mount --bind \"$0\" /etc/subuid && mount --bind \"$0\" /etc/subgid && exec podman \"$@\"";
            command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", script]).arg(numbers);
        }
        command.args(self.options()).args(arguments);
        command
    }

    fn program(&self) -> &'static str {
        if self.is_docker() { "docker" } else { "podman" }
    }

    fn options(&self) -> Vec<String> {
        if let Some(socket) = &self.docker {
            return vec!["--host".to_owned(), format!("unix://{}", socket.display())];
        }
        let path = |name: &str| self.folder.join(name).display().to_string();
        ["--root", &path("root"), "--runroot", &path("run"), "--runtime", &self.runtime]
            .map(str::to_owned)
            .to_vec()
    }

    /// No registry is asked: the files are this machine's.
    fn import(&self) {
        let script = self.folder.join("image.sh");
        fs::write(&script, include_str!("image.sh")).unwrap();
        let made = Command::new("sh")
            .arg(&script)
            .arg(&self.image)
            .arg(self.program())
            .args(self.options())
            .output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn listen(&mut self) {
        let socket = self.socket();
        let _ = fs::remove_file(&socket);
        let url = format!("unix://{}", socket.display());
        let mut service = self.command(&["system", "service", "--time=0", &url]);
        self.service = Some(service.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let started = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "podman does not listen");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if let Some(mut service) = self.service.take() {
            let _ = service.kill();
            let _ = service.wait();
        }
        if !self.is_docker() {
            let _ = fs::remove_file(self.socket());
        }
    }
}

/// Changes with the machine's Python and with the script, so that no old image is taken for a new one.
fn version() -> String {
    let python = fs::metadata(Path::new("/usr/bin/python3")).expect("python3 is installed");
    format!("{:x}-{:x}-{:x}", python.size(), python.mtime(), include_str!("image.sh").len())
}
