//! `token …`: this server's own short-lived credentials, and API keys.

mod args;
mod credential;
mod key;

use std::path::Path;

use countersign_identity::process_uid;
use countersign_redact::Redactor;

pub(crate) use args::TokenCommand;
pub(crate) use key::{created, state};

use super::{record, runtime, stop};
use crate::{
    config::Config,
    print::{Failure, Outcome, Printer},
};

/// Runs the command.
pub(crate) fn run(command: &TokenCommand, file: &Path, printer: Printer) -> Outcome {
    match command {
        TokenCommand::Issue(args) => credential::issue(args, file, printer),
        TokenCommand::Narrow(args) => credential::narrow(args, file, printer),
        TokenCommand::List => credential::list(file, printer),
        TokenCommand::Revoke(args) => stop::revoke(args, file, printer),
        TokenCommand::Rotate { at_once } => credential::rotate(*at_once, file, printer),
        TokenCommand::Jwks => credential::jwks(file, printer),
        TokenCommand::Key(command) => key::run(command, file, printer),
    }
}

/// Puts on record what somebody at this machine did to a credential or a key.
fn write_down(event: &str, config: &Config, detail: &str) -> Result<(), Failure> {
    let redactor = config.secret_set().map(Redactor::new).map_err(Failure::config)?;
    record(config, &redactor, &runtime()?, event, &format!("{detail}, by uid {}", process_uid().0))
}
