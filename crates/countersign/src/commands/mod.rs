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
pub(crate) mod stop;
pub(crate) mod token;
pub(crate) mod tools;
pub(crate) mod why;

use std::path::Path;

use countersign_core::{
    ports::EntryClass,
    record::{Event, FORMAT},
};
use countersign_redact::Redactor;
use tokio::runtime::{Builder, Runtime};

use crate::{
    compose,
    config::{Config, load},
    print::Failure,
    runtime::unix_micros,
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

/// Writes an event to the audit log, beside servers that run, durable before this returns.
pub(crate) fn record(
    config: &Config,
    redactor: &Redactor,
    runtime: &Runtime,
    event: &str,
    detail: &str,
) -> Result<(), Failure> {
    if config.danger.audit_off {
        return Ok(());
    }
    let log = compose::open_log(config).map_err(Failure::unavailable)?;
    let detail = redactor.line(detail);
    let entry = Event {
        v: FORMAT,
        kind: "event",
        t: unix_micros(),
        event,
        count: None,
        who: None,
        peer: "",
        detail: &detail,
    };
    let entry = serde_json::to_vec(&entry).map_err(Failure::unavailable)?;
    let ticket = log.append(&entry, EntryClass::Closing).map_err(Failure::unavailable)?;
    runtime.block_on(log.durable(ticket)).map_err(Failure::unavailable)?;
    log.close().map_err(Failure::unavailable)
}
