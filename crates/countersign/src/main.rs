//! The Countersign binary: reads the command line, dispatches, and ends with a documented exit code.
//!
//! `config` and `compose` turn a file into a running pipeline, `serve` runs it, `commands` are the operator's tools, `view` shows
//! decisions, and only `print` prints.
#![forbid(unsafe_code)]

mod callers;
mod catalog;
mod cli;
mod commands;
mod compose;
mod config;
mod confirm;
mod contained;
mod credentials;
mod door;
mod engines;
mod fetch;
mod listen;
mod print;
mod runtime;
mod sample;
mod serve;
mod state;
mod view;
mod wall;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    cli::{Cli, Command},
    commands::init::InitCommand,
    print::{Outcome, Printer},
};

fn main() -> ExitCode {
    // INVARIANT: a worker is recognised by its first argument alone, before anything is read or parsed.
    let first = std::env::args_os().nth(1);
    if first.as_ref().is_some_and(|first| first == worker::JAIL_SUPERVISOR) {
        return countersign_sandbox::supervisor_main();
    }
    if first.as_ref().is_some_and(|first| first == fetch::HTML_WORKER) {
        return ExitCode::from(worker::html() as u8);
    }
    let exit =
        if first.is_some_and(|first| first == engines::DATABASE_WORKER || first == engines::GUARD_WORKER) {
            worker::run()
        } else {
            let cli = Cli::parse();
            #[expect(clippy::disallowed_methods, reason = "the binary reads the environment")]
            let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let printer = Printer::new(cli.json, no_colour);
            dispatch(&cli, printer).unwrap_or_else(|failure| failure.report(printer))
        };
    ExitCode::from(exit as u8)
}

fn dispatch(cli: &Cli, printer: Printer) -> Outcome {
    let file = cli.config.as_path();
    match &cli.command {
        Command::Quickstart(command) => commands::quickstart::run(command, printer),
        Command::Serve => commands::serve::http(file, printer),
        Command::Stdio => commands::serve::stdio(file, printer),
        Command::Doctor => commands::doctor::run(file, printer),
        Command::Init(InitCommand::Postgres(command)) => commands::init::run(command, file, printer),
        Command::Config(command) => commands::config::run(command, file, printer),
        Command::Policy(command) => commands::policy::run(command, file, printer),
        Command::Tools(command) => commands::tools::run(command, file, printer),
        Command::Catalog(command) => commands::catalog::run(command, file, printer),
        Command::Why { log, call } => commands::why::run(log, call, file, printer),
        Command::Approvals(command) => commands::approvals::run(command, file, printer),
        Command::Audit(command) => commands::audit::run(command, file, printer),
        Command::Token(command) => commands::token::run(command, file, printer),
        Command::Freeze(what) => commands::stop::freeze(what, file, printer),
        Command::Thaw(what) => commands::stop::thaw(what, file, printer),
        Command::Revoke(whom) => commands::stop::revoke(whom, file, printer),
    }
}
