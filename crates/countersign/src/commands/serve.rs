//! `serve` and `stdio`: the two ways to serve, with the operator's view.

use std::{io, path::Path, sync::Arc};

use countersign_redact::Redactor;

use super::configuration;
use crate::{
    config::Config,
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
pub(crate) fn bind(config: &Config) -> Result<std::net::TcpListener, Failure> {
    serve::bind(config).map_err(|e| busy(config.server.listen, e))
}

/// What to say about an address that cannot be had.
pub(crate) fn busy(address: std::net::SocketAddr, error: io::Error) -> Failure {
    let failure = Failure::unavailable(anyhow::anyhow!("cannot listen on {address}: {error}"));
    if error.kind() == io::ErrorKind::AddrInUse {
        let next = address.port().checked_add(1).unwrap_or(8931);
        return failure.help(format!(
            "another program has this port (another countersign?); stop it, or set `server.listen`, or `quickstart --port {next}`"
        ));
    }
    failure
}

/// Serves on a listener; `ready` runs once calls are accepted.
pub(crate) fn run(
    config: &Config,
    listener: std::net::TcpListener,
    printer: Printer,
    ready: impl FnOnce(),
) -> Outcome {
    let redactor = redactor(config)?;
    let view = Arc::new(View::new(redactor.clone(), printer));
    let notices = Arc::clone(&view);
    let address = config.server.listen;
    let started = Arc::clone(&view);
    let announce = move || {
        started.notice(&format!("serving http://{address}/mcp; stop with Ctrl-C"));
        ready();
    };
    let notice = move |text: &str| notices.notice(text);
    serve::http(config, listener, redactor, view, announce, notice).map_err(Failure::unavailable)?;
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
