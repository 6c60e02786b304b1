//! The jail, with real programs in it: mostly Debian's Python.

pub(crate) mod attacks;
mod basics;
mod bombs;
pub(crate) mod deaths;
pub(crate) mod grades;
pub(crate) mod unprivileged;

use std::{future::Future, time::Duration};

use countersign_sandbox::{Finished, Jail, JailError, Launcher, Sandbox, View, self_test};

/// The interpreter of every Debian and Ubuntu machine. A name on `PATH` could be a script of a version switcher.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

pub(crate) fn launcher(args: &[&str]) -> Launcher {
    Launcher {
        program: env!("CARGO_BIN_EXE_countersign-jail").into(),
        args: args.iter().map(Into::into).collect(),
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// The engine of this machine, tested once for all tests of this binary.
pub(crate) fn sandbox() -> Sandbox {
    static SANDBOX: std::sync::OnceLock<Sandbox> = std::sync::OnceLock::new();
    SANDBOX
        .get_or_init(|| {
            let report = block_on(self_test(launcher(&[])));
            report.sandbox().unwrap_or_else(|| panic!("no jail here: {:#?}", report.findings))
        })
        .clone()
}

/// A jail that runs a Python script.
pub(crate) fn python(script: &str) -> Jail {
    let mut jail = Jail::new(std::fs::canonicalize(PYTHON).unwrap());
    jail.args = ["-I", "-B", "-c", script].map(Into::into).to_vec();
    jail.view = View::system();
    jail.limits.wall = Duration::from_secs(20);
    jail.limits.cpu_percent = 100;
    jail
}

pub(crate) fn run(jail: Jail) -> Result<Finished, JailError> {
    block_on(sandbox().run(jail))
}

pub(crate) fn stdout(finished: &Finished) -> String {
    String::from_utf8_lossy(&finished.stdout.head).trim().to_owned()
}

pub(crate) fn stderr(finished: &Finished) -> String {
    String::from_utf8_lossy(&finished.stderr.head).trim().to_owned()
}
