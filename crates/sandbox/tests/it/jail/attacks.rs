//! Attempts to get out, one script each: first unguarded, where they succeed, then in a jail of each grade, where they fail.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::PathBuf,
    process::Command,
};

use countersign_sandbox::{Bind, Grade, Jail, Sandbox, Status, self_test};

use super::{PYTHON, block_on, launcher, python, sandbox, stderr, stdout};

const PRELUDE: &str = r#"
import ctypes, errno, mmap, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    typed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *typed)
    return result, ctypes.get_errno()
def buffer(of): return ctypes.create_string_buffer(of)
def escaped(it):
    if it: print("ESCAPED", flush=True)
"#;

const FEWEST: usize = 40;

/// An attack and what is known about it.
pub(crate) struct Attack {
    pub(crate) name: String,
    /// Works unguarded for root alone.
    root: bool,
    /// Too dangerous to run unguarded.
    dangerous: bool,
    /// Nothing but namespaces stops it.
    mapped: bool,
    /// Nothing but Landlock stops it.
    pub(crate) listed: bool,
    script: String,
}

fn attacks() -> Vec<Attack> {
    let text = include_str!("attacks.py");
    let parse = |part: &str| {
        let (head, script) = part.split_once('\n').unwrap();
        let (name, flags) = head.split_once(':').unwrap();
        let has = |flag| flags.split_whitespace().any(|given| given == flag);
        Attack {
            name: name.into(),
            root: has("root"),
            dangerous: has("unsafe"),
            mapped: has("mapped"),
            listed: has("listed"),
            script: script.into(),
        }
    };
    let found: Vec<Attack> = text.split("# ATTACK ").skip(1).map(parse).collect();
    assert!(found.len() >= FEWEST, "only {} attacks", found.len());
    found
}

/// The world outside of the jail: what the attacks are after.
struct Outside {
    folder: tempfile::TempDir,
    tcp: TcpListener,
    _unix: UnixListener,
}

impl Outside {
    fn new() -> Outside {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let unix = UnixListener::bind(folder.path().join("socket")).unwrap();
        let outside = Outside { tcp: TcpListener::bind("127.0.0.1:0").unwrap(), _unix: unix, folder };
        fs::write(outside.secret(), "secret").unwrap();
        fs::set_permissions(outside.secret(), fs::Permissions::from_mode(0o644)).unwrap();
        fs::create_dir(outside.shown()).unwrap();
        fs::set_permissions(outside.shown(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(outside.shown().join("mine"), "mine").unwrap();
        fs::set_permissions(outside.shown().join("mine"), fs::Permissions::from_mode(0o666)).unwrap();
        if rustix::process::geteuid().is_root() {
            // As if the jailed program owned it: only the walls keep it from changing it.
            std::os::unix::fs::chown(outside.shown().join("mine"), Some(65534), Some(65534)).unwrap();
        }
        outside
    }

    fn secret(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    fn shown(&self) -> PathBuf {
        self.folder.path().join("shown")
    }

    fn script(&self, scratch: &str, attack: &Attack) -> String {
        let quoted = |path: PathBuf| format!("{:?}", path.display().to_string());
        format!(
            "{PRELUDE}SCRATCH, SECRET, PORT, UNIX, OUTSIDE, SHOWN = {scratch}, {}, {}, {}, {}, {}\n{}",
            quoted(self.secret()),
            self.tcp.local_addr().unwrap().port(),
            quoted(self.folder.path().join("socket")),
            std::process::id(),
            quoted(self.shown()),
            attack.script
        )
    }

    /// Runs an attack as a plain program, in a folder of its own.
    #[expect(clippy::disallowed_methods, reason = "the attack that must succeed")]
    fn unguarded(&self, attack: &Attack) -> String {
        let scratch = tempfile::tempdir().unwrap();
        // Open in this process and not closed by `execve`, as a careless library leaves it.
        let leaky = rustix::io::dup(fs::File::open(self.secret()).unwrap()).unwrap();
        let script = self.script(&format!("{:?}", scratch.path().display().to_string()), attack);
        let output = Command::new(PYTHON)
            .args(["-I", "-B", "-c", &script])
            .current_dir(scratch.path())
            .env("ATTACK_SECRET", "x")
            .output()
            .unwrap();
        drop(leaky);
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    fn guarded(&self, sandbox: &Sandbox, python: fn(&str) -> Jail, attack: &Attack) -> String {
        let mut jail = python(&self.script("os.getcwd()", attack));
        jail.view.read_only.push(Bind::same(self.shown()));
        if sandbox.grade() == Grade::Reduced {
            jail.view.files.clear();
        }
        let finished = block_on(sandbox.run(jail)).unwrap();
        assert_ne!(finished.status, Status::TimedOut, "{} hangs", attack.name);
        format!("{}\n{}", stdout(&finished), stderr(&finished))
    }
}

#[test]
fn every_attack_succeeds_unguarded() {
    let outside = Outside::new();
    let root = rustix::process::geteuid().is_root();
    let mut failed = Vec::new();
    for attack in attacks() {
        let possible = !attack.dangerous && (root || !attack.root);
        // `true` says nothing: that it ran at all is what counts.
        let silent = attack.name == "execute-own-file";
        if possible {
            let said = outside.unguarded(&attack);
            if !(said.contains("ESCAPED") || silent && said.is_empty()) {
                failed.push(format!("{}: {said}", attack.name));
            }
        }
    }
    assert!(failed.is_empty(), "these prove nothing:\n{}", failed.join("\n"));
}

/// Attacks at the same time.
const AT_ONCE: usize = 4;

/// Runs all attacks but those that nothing stops but a wall that is missing, each in a jail that `python` makes.
pub(crate) fn fail_in(sandbox: &Sandbox, python: fn(&str) -> Jail, stopped: fn(&Attack) -> bool) {
    let outside = Outside::new();
    let control = Attack { name: "control".into(), script: "escaped(True)".into(), ..attacks().remove(0) };
    let said = outside.guarded(sandbox, python, &control);
    assert!(said.contains("ESCAPED"), "the attacks do not even start");
    let attacks: Vec<Attack> = attacks().into_iter().filter(stopped).collect();
    let all = |attacks: &[Attack]| -> Vec<String> {
        attacks.iter().map(|attack| outside.guarded(sandbox, python, attack)).collect()
    };
    let said = std::thread::scope(|scope| {
        let parts = attacks.chunks(attacks.len().div_ceil(AT_ONCE)).map(|part| scope.spawn(|| all(part)));
        let parts: Vec<_> = parts.collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect::<Vec<_>>()
    });
    let mut through = Vec::new();
    for (attack, said) in attacks.iter().zip(said) {
        let silent = attack.name == "execute-own-file" && !said.contains("PermissionError");
        let broken = ["SyntaxError", "NameError", "ImportError", "AttributeError", "TypeError"];
        assert!(!broken.iter().any(|error| said.contains(error)), "{} proves nothing: {said}", attack.name);
        if said.contains("ESCAPED") || silent {
            through.push(format!("{}: {said}", attack.name));
        }
    }
    assert!(through.is_empty(), "through:\n{}", through.join("\n"));
    assert_eq!(fs::read_to_string(outside.secret()).unwrap(), "secret");
    assert_eq!(fs::read_to_string(outside.shown().join("mine")).unwrap(), "mine");
    std::io::stdout().flush().unwrap();
}

#[test]
fn no_attack_succeeds_in_a_full_jail() {
    assert_eq!(sandbox().grade(), Grade::Full);
    fail_in(&sandbox(), python, |_| true);
}

#[test]
fn no_attack_succeeds_in_a_reduced_jail() {
    let report = block_on(self_test(launcher(&["without-namespaces"])));
    assert_eq!(report.grade, Grade::Reduced, "{:#?}", report.findings);
    fail_in(&report.sandbox().unwrap(), python, |attack| !attack.mapped);
}

#[test]
fn no_attack_succeeds_in_a_jail_without_landlock() {
    let report = block_on(self_test(launcher(&["without-landlock"])));
    assert_eq!(report.grade, Grade::Reduced, "{:#?}", report.findings);
    fail_in(&report.sandbox().unwrap(), python, |attack| !attack.listed);
}
