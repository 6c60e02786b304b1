//! What Countersign lives on is neither a database nor below a root, by whatever name: each of its own files, through the binary, which then
//! does not start.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use crate::shop::{Ran, binary, ran};

/// What a configuration names of Countersign's own, each with a file in it.
const OURS: [(&str, &str); 11] = [
    ("configuration", "etc/countersign.toml"),
    ("policies", "own/policies/default.cedar"),
    ("observed policies", "own/observed/default.cedar"),
    ("audit log", "own/audit/entries"),
    ("state", "own/state/state.db"),
    ("key file", "own/keys/keys.json"),
    ("catalog", "own/catalog/queries.toml"),
    ("lock file", "etc/countersign.lock"),
    ("TLS key", "own/tls/server.key"),
    ("secret file", "own/secrets/token"),
    ("binary", "own/bin/countersign"),
];

const CONFIG: &str = r#"
version = 1
policy = { dir = "../own/policies", observe = "../own/observed" }
audit.dir = "../own/audit"
state.dir = "../own/state"
identity.keys = "../own/keys/keys.json"
catalog.dir = "../own/catalog"
redact.secrets.TOKEN = "file:../own/secrets/token"
fetch.ca = "../ca/web.pem"
[server]
listen = "127.0.0.1:0"
tls = { certificate = "../ca/server.pem", key = "../own/tls/server.key" }
"#;

/// An installation in which everything lies apart.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        for (_, file) in OURS {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "kept from callers").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        for name in ["data", "ca"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        for name in ["ca/web.pem", "ca/server.pem", "data/plain.db"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        // The program that runs is the one that is looked for.
        let program = dir.path().join("own/bin/countersign");
        fs::remove_file(&program).unwrap();
        if fs::hard_link(env!("CARGO_BIN_EXE_countersign"), &program).is_err() {
            fs::copy(env!("CARGO_BIN_EXE_countersign"), &program).unwrap();
        }
        Place { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the server with further settings.
    fn serve(&self, more: &str) -> Ran {
        fs::write(self.path("etc/countersign.toml"), format!("{CONFIG}{more}")).unwrap();
        let program = self.path("own/bin/countersign");
        let mut command = std::process::Command::new(program);
        ran(command.env_clear().arg("serve").arg("--config").arg(self.path("etc/countersign.toml")))
    }
}

fn refuses(ran: &Ran, expected: &str) {
    assert_eq!(ran.code, 3, "{expected}: {}", ran.err);
    assert!(ran.err.contains(expected), "{expected}: {}", ran.err);
}

#[test]
fn no_file_of_ours_is_a_database() {
    let place = Place::new();
    for (what, file) in OURS {
        let own = place.path(file);
        let (soft, hard) = (place.path("data/soft.db"), place.path("data/hard.db"));
        symlink(&own, &soft).unwrap();
        fs::hard_link(&own, &hard).unwrap();
        for path in [own.as_path(), &soft, &hard, &place.path("data/../etc/..").join(file)] {
            let ran = place.serve(&format!("[databases.x]\nurl = \"sqlite:{}\"\n", path.display()));
            refuses(&ran, &format!("`databases.x.url` is or lies in Countersign's own {what}"));
        }
        fs::remove_file(soft).unwrap();
        fs::remove_file(hard).unwrap();
    }
}

#[test]
fn no_root_holds_or_lies_in_what_is_ours() {
    let place = Place::new();
    for (what, file) in OURS {
        let own = place.path(file);
        let dir = own.parent().unwrap();
        let link = place.path("data/link");
        symlink(dir, &link).unwrap();
        for root in [dir, &link, dir.parent().unwrap(), Path::new("/")] {
            let ran = place.serve(&format!("[files.x]\nroot = \"{}\"\n", root.display()));
            refuses(&ran, &format!("`files.x.root` holds, or lies in, Countersign's own {what}"));
        }
        fs::remove_file(link).unwrap();
    }
}

#[test]
fn what_lies_apart_is_served_and_trust_is_not_written_to() {
    let place = Place::new();
    let check = |more: &str| {
        fs::write(place.path("etc/countersign.toml"), format!("{CONFIG}{more}")).unwrap();
        ran(binary().args(["config", "check", "--config"]).arg(place.path("etc/countersign.toml")))
    };
    let apart = check("[databases.x]\nurl = \"sqlite:../data/plain.db\"\n[files.ca]\nroot = \"../ca\"\n");
    assert_eq!(apart.code, 0, "{}", apart.err);
    let written = check("[files.ca]\nroot = \"../ca\"\nwrite = true\n");
    for what in ["TLS certificate", "authority of web servers"] {
        refuses(&written, &format!("`files.ca.root` is written to and holds the {what}"));
    }
}
