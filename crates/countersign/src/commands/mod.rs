//! The commands, one file each, and what several of them need.

pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod catalog;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod init;
pub(crate) mod policy;
pub(crate) mod principal;
pub(crate) mod quickstart;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod tools;
pub(crate) mod why;

use std::path::Path;

use tokio::runtime::{Builder, Runtime};

use crate::{
    config::{Config, load},
    print::Failure,
};

/// The configuration, or all its problems as the command's failure.
pub(crate) fn configuration(file: &Path) -> Result<Config, Failure> {
    load(file).map_err(|errors| {
        let failure = Failure::config(errors);
        let demo = Path::new("demo/countersign.toml");
        if !file.exists() && demo.exists() {
            return failure.help(format!("did you mean `--config {}`?", demo.display()));
        }
        failure
    })
}

/// A runtime for commands that start database workers; small, since they ask one question.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(Failure::unavailable)
}
