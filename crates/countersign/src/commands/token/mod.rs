//! `token …`: this server's own short-lived credentials, and API keys.

mod args;
mod credential;
mod key;

use std::path::Path;

pub(crate) use args::TokenCommand;
pub(crate) use key::state;

use super::stop;
use crate::print::{Outcome, Printer};

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
