//! The same jail, started by a user who has no rights at all.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
    time::Duration,
};

use countersign_sandbox::{Bind, Launcher, Status, self_test};

use super::{block_on, python, stderr, stdout};

const USER: u32 = 54321;
/// Where the role finds its supervisor.
const SUPERVISOR: &str = "JAIL_SUPERVISOR";

/// The role of the user.
#[expect(clippy::disallowed_methods, reason = "a test's own environment")]
pub(crate) fn role() -> String {
    let program = std::env::var_os(SUPERVISOR).unwrap();
    let secret = Path::new(&program).with_file_name("private");
    let sandbox_program = std::path::PathBuf::from(&program);
    let report = block_on(self_test(Launcher { program: program.into(), args: Vec::new() }));
    let Some(sandbox) = report.sandbox() else { return format!("{:#?}", report.findings) };
    let mut jail = python(&format!(
        "import os\nprint(os.getuid(), os.getgid(), os.getpid())\n\
         try: print(open('{}').read())\nexcept OSError as e: print(e.errno)\nopen('out', 'w').write('x')",
        secret.display()
    ));
    let finished = block_on(sandbox.run(jail.clone())).unwrap();
    let mut said = format!("{} {} {}", report.grade, stdout(&finished), stderr(&finished));
    said += &format!(" files {}", finished.files.len());
    // What it may show, it can show: the jailed program has this user's rights there.
    jail.view.read_only.push(Bind::same(&secret));
    said += &format!(" shown {}", stdout(&block_on(sandbox.run(jail)).unwrap()).lines().last().unwrap());
    // The root belongs to this user, so that nothing but its attributes keeps it from being written where Landlock is missing.
    let launcher = Launcher { program: sandbox_program, args: vec!["without-landlock".into()] };
    let weaker = block_on(self_test(launcher)).sandbox().unwrap();
    let root = python("try: open('/x', 'w')\nexcept OSError as e: print(e.errno)");
    said += &format!(" root {}", stdout(&block_on(weaker.run(root)).unwrap()));
    let mut stay = python("while True: pass");
    stay.limits.wall = Duration::from_millis(300);
    let finished = block_on(sandbox.run(stay)).unwrap();
    assert_eq!(finished.status, Status::TimedOut);
    format!("{said} late {}", finished.usage.wall > Duration::from_millis(500))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test binary as another user")]
fn a_user_without_rights_gets_the_same_jail() {
    if !rustix::process::geteuid().is_root() {
        // Then every other test of this binary is this test.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &Path, name: &str, mode: u32| {
        let to = folder.path().join(name);
        fs::copy(from, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(mode)).unwrap();
        to
    };
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let supervisor = copy(Path::new(env!("CARGO_BIN_EXE_countersign-jail")), "supervisor", 0o755);
    let tests = copy(&std::env::current_exe().unwrap(), "tests", 0o755);
    let secret = folder.path().join("private");
    fs::write(&secret, "private").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&secret, Some(USER), Some(USER)).unwrap();
    let output = Command::new(tests)
        .args(["--exact", "entry", "--nocapture", "role:unprivileged"])
        .env(SUPERVISOR, supervisor)
        .current_dir("/")
        .uid(USER)
        .gid(USER)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = "full 65534 65534 2\n2  files 1 shown private root 30 late false";
    assert!(said.contains(expected), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
