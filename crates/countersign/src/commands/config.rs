//! `config show`, `config check`, `config schema`.

use std::path::Path;

use super::configuration;
use crate::{
    cli::ConfigCommand,
    config::{schema, show},
    print::{Exit, Outcome, Printer, Style},
};

/// Runs the command.
pub(crate) fn run(command: &ConfigCommand, file: &Path, printer: Printer) -> Outcome {
    match command {
        ConfigCommand::Schema => printer.value(&schema()),
        ConfigCommand::Show => {
            let config = configuration(file)?;
            if printer.json {
                printer.value(&config.shown);
            } else {
                printer.say(show(&config.shown).trim());
            }
        }
        ConfigCommand::Check => {
            let config = configuration(file)?;
            let switches = config.danger.switches();
            if printer.json {
                printer
                    .value(&serde_json::json!({"ok": true, "warnings": config.warnings, "danger": switches}));
                return Ok(Exit::Ok);
            }
            for warning in &config.warnings {
                printer.say(&format!("{} {warning}", printer.styled(Style::Warn, "warning:")));
            }
            for switch in switches {
                printer.say(&format!("{} `{switch}` is on", printer.styled(Style::Bad, "danger:")));
            }
            printer.say(&format!("{} is valid", config.file.display()));
        }
    }
    Ok(Exit::Ok)
}
