//! Finds the real interpreter: version managers put a script of the same name in front of it, which would not run in the jail.

use std::path::{Path, PathBuf};

use countersign_sandbox::{Bind, Sandbox, View};

use crate::pin::{Pin, Program};

/// Where an interpreter is looked for when the configuration names none.
const PLACES: [&str; 2] = ["/usr/bin/python3", "/usr/local/bin/python3"];

/// An interpreter that was found, all links followed, and pinned.
#[derive(Clone, Debug)]
pub(super) struct Interpreter {
    pub(super) program: Program,
    /// Where its library lies, unless the system's view holds it.
    prefix: Option<PathBuf>,
}

/// The interpreters to try: the configured one, or the first that the system has. What an image has shows only when it is run.
///
/// # Errors
/// Why there is none, in a sentence that says what to do.
pub(super) fn candidates(configured: Option<&Path>, sandbox: &Sandbox) -> Result<Vec<Interpreter>, String> {
    if !sandbox.is_container() {
        return find(configured).map(|found| vec![found]);
    }
    let places = configured.map_or_else(|| PLACES.map(Path::new).to_vec(), |place| vec![place]);
    let of_image = |place| Program::of(place, true).map(|program| Interpreter { program, prefix: None });
    places.into_iter().map(of_image).collect()
}

/// One of this machine, as [`candidates`] wants it.
pub(super) fn find(configured: Option<&Path>) -> Result<Interpreter, String> {
    if let Some(program) = configured {
        return of(program);
    }
    let mut reasons = Vec::new();
    for place in PLACES.map(Path::new) {
        match of(place) {
            Ok(interpreter) => return Ok(interpreter),
            Err(_) if !place.exists() => {}
            Err(reason) => reasons.push(reason),
        }
    }
    reasons.push(format!(
        "no Python is at {}; install one, or name it with `python.interpreter`",
        PLACES.join(" or ")
    ));
    Err(reasons.join("; "))
}

fn of(program: &Path) -> Result<Interpreter, String> {
    let pin = Pin::of(program)?;
    let shown = program.display();
    // MUTATE(E5-shim): the script of a version manager passes for an interpreter
    if pin.is_script().map_err(|e| format!("`{shown}` cannot be read: {e}"))? {
        return Err(format!(
            "`{shown}` is a script, such as version managers put in place of Python; name the interpreter that \
             `python3 -c 'import sys; print(sys.executable)'` prints"
        ));
    }
    // An interpreter finds its library beside itself: `PREFIX/bin/python3` and `PREFIX/lib/python3.N`.
    let prefix = pin.path().parent().and_then(Path::parent).filter(|prefix| !prefix.starts_with("/usr"));
    let prefix = match prefix {
        Some(prefix) if prefix.components().count() < 2 => None,
        prefix => prefix.map(Path::to_owned),
    };
    Ok(Interpreter { program: Program::Pinned(pin), prefix })
}

impl Interpreter {
    /// What of the machine it needs to see.
    pub(super) fn view(&self, sandbox: &Sandbox, packages: Option<&Path>) -> View {
        let mut view = sandbox.system_view();
        view.read_only.extend(self.prefix.iter().map(Bind::same));
        view.read_only.extend(packages.map(Bind::same));
        view
    }
}
