//! `serve` and `stdio`: the two ways to serve, with the operator's view.

use std::{io, path::Path, sync::Arc};

use countersign_redact::Redactor;

use super::configuration;
use crate::{
    config::{Config, Listen},
    listen::{self, Bound},
    print::{Exit, Failure, Outcome, Printer, Style},
    serve,
    view::View,
};

/// Serves HTTP until a signal.
pub(crate) fn http(file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    let listener = bind(&config)?;
    warn(&config, printer);
    run(&config, listener, printer, || {})
}

/// Serves stdio until the client closes it.
pub(crate) fn stdio(file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    warn(&config, printer);
    let redactor = redactor(&config)?;
    let view = Arc::new(View::new(redactor.clone(), printer));
    serve::stdio(&config, redactor, view).map_err(Failure::unavailable)?;
    Ok(Exit::Ok)
}

/// Takes the port, so that a busy one is known before anything else happens.
pub(crate) fn bind(config: &Config) -> Result<Bound, Failure> {
    listen::bind(&config.server.listen).map_err(|e| busy(&config.server.listen, e))
}

/// What to say about an address that cannot be had.
pub(crate) fn busy(listen: &Listen, error: io::Error) -> Failure {
    let failure = Failure::unavailable(anyhow::anyhow!("cannot listen on {listen}: {error}"));
    if let (Listen::Tcp(address), io::ErrorKind::AddrInUse) = (listen, error.kind()) {
        let next = address.port().checked_add(1).unwrap_or(8931);
        return failure.help(format!(
            "another program has this port (another countersign?); stop it, or set `server.listen`, or `quickstart --port {next}`"
        ));
    }
    failure
}

/// Serves on a listener; `ready` runs once calls are accepted.
pub(crate) fn run(config: &Config, bound: Bound, printer: Printer, ready: impl FnOnce()) -> Outcome {
    let redactor = redactor(config)?;
    let view = Arc::new(View::new(redactor.clone(), printer));
    let notices = Arc::clone(&view);
    let url = listen::url(&config.server);
    let started = Arc::clone(&view);
    let announce = move || {
        started.notice(&format!("serving {url}; stop with Ctrl-C"));
        ready();
    };
    let notice = move |text: &str| notices.notice(text);
    serve::http(config, bound, redactor, view, announce, notice).map_err(Failure::unavailable)?;
    printer.note("stopped");
    Ok(Exit::Ok)
}

/// Says at every start what is loosened.
pub(crate) fn warn(config: &Config, printer: Printer) {
    for warning in &config.warnings {
        printer.note(&format!("{} {warning}", printer.on_err(Style::Warn, "warning:")));
    }
    for switch in config.danger.switches() {
        printer.note(&format!("{} `{switch}` is on", printer.on_err(Style::Bad, "danger:")));
    }
}

fn redactor(config: &Config) -> Result<Redactor, Failure> {
    config.secret_set().map(Redactor::new).map_err(Failure::config)
}
