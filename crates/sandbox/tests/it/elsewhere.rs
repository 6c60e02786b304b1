//! Platforms without containment: the crate as it is compiled there, on this machine, as a program that tries everything. It refuses.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a program finds there.
const MAIN: &str = r#"
use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
use stub::{ContainerConfig, Grade, Launcher, Spawn, SpawnError, self_test, self_test_container, supervisor_main};

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}

fn main() {
    assert!(matches!(Spawn::new("/bin/true").start(), Err(SpawnError::Unsupported)));
    let launcher = Launcher { program: "/proc/self/exe".into(), args: Vec::new() };
    let engine = ContainerConfig { socket: "/run/engine.sock".into(), image: "x".into(), runtime: None };
    for report in [now(self_test(launcher.clone())), now(self_test_container(launcher, &engine))] {
        assert!(report.grade == Grade::Refused && report.sandbox().is_none() && !report.findings.is_empty());
    }
    let _ = supervisor_main();
    println!("refused");
}
"#;

/// The sources with another name in place of the platform's.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(to, text.replace("target_os = \"linux\"", "target_os = \"elsewhere\"")).unwrap();
        }
    }
}

/// The compiled crates that tests of this crate are linked with.
fn libraries() -> PathBuf {
    let program = env::current_exe().unwrap();
    program.parent().unwrap().to_owned()
}

fn rustc(dir: &Path, arguments: &[String]) -> Result<(), String> {
    #[expect(clippy::disallowed_methods, reason = "tests start what they need")]
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "--cap-lints", "allow", "-L"])
        .arg(libraries())
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn elsewhere_the_crate_compiles_and_refuses() {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &dir.path().join("src"));
    // Of all crates it needs one there. There may be several builds of it, and of other versions.
    let builds = fs::read_dir(libraries()).unwrap().flatten().map(|entry| entry.path());
    let is_build = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("libthiserror-") && name.ends_with(".rlib")
    };
    let mut said = Vec::new();
    let compiled = builds.filter(is_build).any(|thiserror| {
        let thiserror = format!("thiserror={}", thiserror.display());
        let arguments = ["--crate-type", "lib", "--crate-name", "stub", "--extern", &thiserror, "src/lib.rs"];
        rustc(dir.path(), &arguments.map(str::to_owned)).map_err(|error| said.push(error)).is_ok()
    });
    assert!(compiled, "{}", said.join("\n"));
    fs::write(dir.path().join("main.rs"), MAIN).unwrap();
    let arguments = ["--crate-name", "elsewhere", "--extern", "stub=libstub.rlib", "main.rs"];
    rustc(dir.path(), &arguments.map(str::to_owned)).unwrap();
    #[expect(clippy::disallowed_methods, reason = "tests start what they need")]
    let output = Command::new(dir.path().join("elsewhere")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "refused\n", "{output:?}");
}
