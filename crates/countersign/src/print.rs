//! The only file that prints. Colour is for terminals, and every text that came from elsewhere goes through [`line`] first.

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

use serde::Serialize;

/// How a command ended, as its exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// Done, nothing to complain about.
    Ok = 0,
    /// Done, and the answer is no.
    No = 1,
    /// The command line was not understood (clap exits with the same code).
    Usage = 2,
    /// The configuration or the policies have problems.
    Config = 3,
    /// Something needed is not there.
    Unavailable = 4,
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    help: Option<String>,
}

impl Failure {
    pub(crate) fn usage(message: impl Display) -> Failure {
        Failure { exit: Exit::Usage, message: message.to_string(), help: None }
    }

    pub(crate) fn config(message: impl Display) -> Failure {
        Failure { exit: Exit::Config, message: message.to_string(), help: None }
    }

    /// Something needed is not there; causes are spelled out.
    pub(crate) fn unavailable(error: impl Into<anyhow::Error>) -> Failure {
        Failure { exit: Exit::Unavailable, message: format!("{:#}", error.into()), help: None }
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    /// Says what went wrong, on standard error.
    pub(crate) fn report(&self, printer: Printer) -> Exit {
        printer.note(&format!("{} {}", printer.on_err(Style::Bad, "error:"), self.message));
        if let Some(help) = &self.help {
            printer.note(&format!("  help: {help}"));
        }
        self.exit
    }
}

/// What a command ends with.
pub(crate) type Outcome = Result<Exit, Failure>;

/// Emphasis on a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    Title,
    Good,
    Warn,
    Bad,
    Dim,
}

/// Prints as the command line and the terminal ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    /// Whether `--json` was given.
    pub(crate) json: bool,
    out_colour: bool,
    err_colour: bool,
}

impl Printer {
    /// `no_colour` is whether the environment asks for none (<https://no-color.org>).
    pub(crate) fn new(json: bool, no_colour: bool) -> Printer {
        let colour = |terminal: bool| terminal && !no_colour;
        Printer {
            json,
            out_colour: colour(io::stdout().is_terminal()),
            err_colour: colour(io::stderr().is_terminal()),
        }
    }

    /// A line on standard output. Output that nobody reads any more (a closed pipe) is no error.
    pub(crate) fn say(&self, text: &str) {
        let _ = writeln!(io::stdout().lock(), "{text}");
    }

    /// A line on standard error.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A value as JSON on standard output, for programs.
    pub(crate) fn value(&self, value: &impl Serialize) {
        // INVARIANT: only values with text keys are printed; they always serialise.
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.say(&text);
    }

    /// A text with emphasis, for standard output.
    pub(crate) fn styled(&self, style: Style, text: &str) -> String {
        paint(self.out_colour, style, text)
    }

    /// A text with emphasis, for standard error.
    pub(crate) fn on_err(&self, style: Style, text: &str) -> String {
        paint(self.err_colour, style, text)
    }
}

/// Text from elsewhere (a subject, a file's name, a record) as one plain line: it can neither move a cursor nor start a line.
pub(crate) fn line(text: &str) -> String {
    countersign_redact::neutral::neutral_line(text).into_owned()
}

/// Whether standard error is a terminal: then decisions are shown to a person.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

fn paint(colour: bool, style: Style, text: &str) -> String {
    let code = match style {
        Style::Title => "1",
        Style::Good => "32",
        Style::Warn => "33",
        Style::Bad => "31",
        Style::Dim => "2",
    };
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}
