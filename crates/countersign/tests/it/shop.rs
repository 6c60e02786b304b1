//! A directory filled by `quickstart --no-serve`, and the binary run in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// What a command printed and how it ended.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// A sample installation in a directory of its own.
pub struct Shop {
    root: tempfile::TempDir,
}

impl Shop {
    /// Made by the real command, and what that printed.
    pub fn made() -> (Shop, Ran) {
        let shop = Shop { root: tempfile::tempdir().unwrap() };
        let ran = shop.quickstart(&[]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        (shop, ran)
    }

    /// An empty directory.
    pub fn empty() -> Shop {
        Shop { root: tempfile::tempdir().unwrap() }
    }

    pub fn dir(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("demo")
    }

    pub fn quickstart(&self, more: &[&str]) -> Ran {
        let mut command = binary();
        command.current_dir(self.root.path()).args(["quickstart", "--no-serve"]).args(more);
        self.clean(command.output().unwrap())
    }

    /// Runs a command with `--config` of this installation.
    pub fn run(&self, args: &[&str]) -> Ran {
        let mut command = binary();
        command
            .current_dir(self.root.path())
            .args(args)
            .arg("--config")
            .arg(self.dir().join("countersign.toml"));
        self.clean(command.output().unwrap())
    }

    pub fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.dir().join(name);
        let text = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, change(text)).unwrap();
    }

    /// Paths of this machine are replaced, so that texts can be compared.
    fn clean(&self, output: Output) -> Ran {
        let root = self.root.path().canonicalize().unwrap();
        let clean = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(&root.display().to_string(), "ROOT")
                .replace(env!("CARGO_BIN_EXE_countersign"), "countersign")
        };
        Ran { code: output.status.code().unwrap(), out: clean(output.stdout), err: clean(output.stderr) }
    }
}

/// The binary, with a fixed environment.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.env_clear().env("USER", "ada");
    command
}

/// Runs the binary anywhere.
pub fn run(args: &[&str]) -> Ran {
    ran(binary().current_dir(empty_dir()).args(args))
}

/// Runs a command to its end.
pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn empty_dir() -> &'static Path {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIR.get_or_init(|| tempfile::tempdir().unwrap()).path()
}
