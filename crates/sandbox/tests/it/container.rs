//! The second engine, with a Podman service and an image of this machine's own Python.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use countersign_sandbox::{
    Bind, Collect, ContainerConfig, ContainerEngine, Finished, InputFile, Jail, JailError, Status,
};

use crate::jail::{PYTHON, block_on, stderr, stdout};

const IMAGE: &str = "localhost/python:test";

/// A Podman service with a storage of its own, for as long as the tests run.
struct Podman {
    folder: PathBuf,
}

impl Podman {
    fn get() -> &'static Podman {
        static PODMAN: OnceLock<Podman> = OnceLock::new();
        PODMAN.get_or_init(|| {
            let folder = std::env::temp_dir().join("countersign-podman-tests");
            fs::create_dir_all(&folder).unwrap();
            let podman = Podman { folder };
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/image.sh");
            #[expect(clippy::disallowed_methods, reason = "tests start what they need")]
            let mut make = Command::new(script);
            let made = make.arg(IMAGE).arg("podman").args(podman.arguments()).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            podman
        })
    }

    fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.folder.join(name).display().to_string();
        ["--root", &path("root"), "--runroot", &path("run"), "--runtime", "runc"].map(str::to_owned).to_vec()
    }

    fn command(&self) -> Command {
        #[expect(clippy::disallowed_methods, reason = "tests start what they need")]
        let mut command = Command::new("podman");
        command.args(self.arguments());
        command
    }

    /// Containers that exist.
    fn containers(&self) -> String {
        let output = self.command().args(["ps", "--all", "--format", "{{.Names}}"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A running service.
struct Service {
    process: Child,
    socket: PathBuf,
}

impl Service {
    fn start(name: &str) -> Service {
        let podman = Podman::get();
        let socket = podman.folder.join(format!("{name}-{}.socket", std::process::id()));
        let _ = fs::remove_file(&socket);
        let url = format!("unix://{}", socket.display());
        let process = podman
            .command()
            .args(["system", "service", "--time=0", &url])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "podman does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Service { process, socket }
    }

    fn config(&self) -> ContainerConfig {
        ContainerConfig { socket: self.socket.clone(), image: IMAGE.into(), runtime: None }
    }

    fn run(&self, jail: Jail) -> Finished {
        block_on(async { ContainerEngine::connect(&self.config()).await?.run(jail).await }).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.socket);
    }
}

fn python(script: &str) -> Jail {
    let mut jail = Jail::new(fs::canonicalize(PYTHON).unwrap());
    jail.args = ["-I", "-B", "-c", script].map(Into::into).to_vec();
    jail.limits.wall = Duration::from_secs(30);
    jail.limits.cpu_percent = 100;
    jail
}

fn nothing_is_left() {
    let started = Instant::now();
    loop {
        let containers = Podman::get().containers();
        let folders: Vec<_> = fs::read_dir("/tmp")
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with(&format!("countersign-jail-{}-", std::process::id())))
            .collect();
        if containers.trim().is_empty() && folders.is_empty() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{containers} {folders:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// One test, so that what is left behind is its own.
#[test]
fn a_container_is_the_same_jail() {
    let service = Service::start("same");

    let mut jail = python(
        "import sys; print(sys.stdin.read().upper(), open('in').read()); print('err', file=sys.stderr)\nopen('out', 'w').write('made'); sys.exit(3)",
    );
    jail.stdin = b"hello".to_vec();
    jail.inputs = vec![InputFile { name: "in".into(), bytes: b"given".to_vec() }];
    let finished = service.run(jail);
    assert_eq!(
        (finished.status, stdout(&finished), stderr(&finished)),
        (Status::Exit(3), "HELLO given".into(), "err".into())
    );
    let files: Vec<_> =
        finished.files.iter().map(|file| (file.name.as_str(), file.bytes.as_deref())).collect();
    assert_eq!(files, [("out", Some(b"made".as_slice()))]);

    let status = "print(open('/proc/self/status').read())\nimport os, socket\nprint(os.listdir('/sys/class/net'))\n\
                  try: open('/x', 'w')\nexcept OSError as e: print('root', e.errno)\nprint(os.getuid())";
    let said = stdout(&service.run(python(status)));
    for expected in ["CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "['lo']", "root 30"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }

    let mut jail = python("import time\nprint('ready', flush=True)\ntime.sleep(60)");
    jail.limits.wall = Duration::from_secs(2);
    let finished = service.run(jail);
    assert_eq!((finished.status, stdout(&finished)), (Status::TimedOut, "ready".into()));
    assert!(finished.usage.wall < Duration::from_secs(10), "{:?}", finished.usage.wall);

    let mut jail = python("x = [bytearray(1 << 20) for n in range(600)]\nprint('survived')");
    jail.limits.memory = 64 << 20;
    assert!(matches!(service.run(jail).status, Status::OutOfMemory | Status::Signal(9)));

    let fork = "import os, time\nn = 0\ntry:\n  while n < 99:\n    if os.fork() == 0: time.sleep(60)\n    n += 1\nexcept OSError as e: print(n < 17, e.errno)";
    assert_eq!(stdout(&service.run(python(fork))), "True 11");

    let mut jail = python("for n in range(10_000_000): print(n)");
    jail.limits.output = 16 << 10;
    let finished = service.run(jail);
    assert_eq!(finished.status, Status::TooMuchOutput);
    assert!(finished.stdout.head.starts_with(b"0\n1\n2\n") && finished.stdout.truncated());

    let mut jail = python("n = 0\nwhile True: open(f'f{n}', 'wb').write(b'x' * 500000); n += 1");
    jail.limits.scratch = 4 << 20;
    assert_eq!(service.run(jail).status, Status::ScratchFull);

    let host = tempfile::tempdir().unwrap();
    fs::set_permissions(host.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(host.path().join("given"), "given").unwrap();
    let mut jail = python(
        "print(open('/data/given').read())\ntry: open('/data/x', 'w')\nexcept OSError as e: print(e.errno)",
    );
    jail.view.read_only = vec![Bind { host: host.path().into(), jail: "/data".into() }];
    jail.collect = Collect::nothing();
    assert_eq!(stdout(&service.run(jail)), "given\n30");
    nothing_is_left();

    // Dropping the future.
    let mut jail = python("import time; time.sleep(60)");
    jail.limits.wall = Duration::from_secs(60);
    block_on(async {
        let engine = ContainerEngine::connect(&service.config()).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(3), engine.run(jail)).await.is_err());
        // The removal goes on in the background of this runtime.
        let removed = async {
            while !Podman::get().containers().trim().is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), removed).await.expect("the container runs on");
    });
    nothing_is_left();

    let missing = ContainerConfig { image: "localhost/none:none".into(), ..service.config() };
    let error = block_on(ContainerEngine::connect(&missing)).unwrap_err();
    assert!(matches!(error, JailError::Container(_)), "{error}");
    let nobody = ContainerConfig { socket: "/nonexistent.socket".into(), ..service.config() };
    assert!(block_on(ContainerEngine::connect(&nobody)).is_err());
}
