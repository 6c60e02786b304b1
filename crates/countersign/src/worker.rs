//! The hidden command under which this binary is a database worker: a process with one socket, no configuration and no key.

use std::{io, os::fd::AsFd as _, os::unix::net::UnixStream};

use countersign_sandbox::Confinement;

use crate::print::Exit;

/// The hidden command that supervises one jail; see `countersign_sandbox::Launcher`.
pub(crate) const JAIL_SUPERVISOR: &str = "__jail";

/// Serves database requests on descriptor 0 until its master closes it. Nothing is printed: the master speaks for the worker.
pub(crate) fn run() -> Exit {
    let Ok(stream) = io::stdin().as_fd().try_clone_to_owned() else { return Exit::Unavailable };
    match countersign_sql::worker::serve(UnixStream::from(stream)) {
        Ok(()) => Exit::Ok,
        Err(_) => Exit::Unavailable,
    }
}

/// Turns the page that comes on descriptor 0 into text. INVARIANT: whatever a page makes of this process, it has no file and no network.
pub(crate) fn html() -> Exit {
    // MUTATE(F2-html-wall): what a page makes of its reader opens files
    let Ok(_walled) = Confinement::default().enter() else { return Exit::Unavailable };
    let Ok(stream) = io::stdin().as_fd().try_clone_to_owned() else { return Exit::Unavailable };
    match countersign_tools::serve_html(UnixStream::from(stream)) {
        Ok(()) => Exit::Ok,
        Err(_) => Exit::Unavailable,
    }
}
