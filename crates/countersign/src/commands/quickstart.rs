//! `quickstart`: from nothing to a server that an agent can talk to, with a question to ask and an attack to try.
//!
//! Files that exist are kept, whatever they hold. A key is minted when there is none that works, and shown that once.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use countersign_identity::{
    DEFAULT_LIFETIME, KeyKind, KeyStore, Minted, NewKey, Timestamp, check_name, process_uid,
};
use countersign_policy::DEFAULT_POLICIES;

use super::{
    configuration, serve,
    token::{self, state},
};
use crate::{
    cli::Quickstart,
    config::{Config, Listen},
    print::{Exit, Failure, Outcome, Printer, Style},
    sample,
};

mod text;

/// The port that a new configuration names.
const PORT: u16 = 8931;
/// The tenant of the sample's operator.
const TENANT: &str = "north";

/// Runs the command.
pub(crate) fn run(command: &Quickstart, printer: Printer) -> Outcome {
    let file = command.dir.join("countersign.toml");
    let fresh = !file.exists();
    // A taken port is noticed before files appear and a key is shown that leads nowhere.
    let early =
        if fresh && !command.no_serve { Some(early_bind(command.port.unwrap_or(PORT))?) } else { None };
    let made = make_files(command, &file)?;
    let mut config = configuration(&file)?;
    if let Some(port) = command.port {
        config.server.listen = Listen::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    }
    drop(early);
    let listener = if command.no_serve { None } else { Some(serve::bind(&config)?) };
    let key = mint(&config, command.new_key).map_err(Failure::unavailable)?;
    if let Key::Minted(minted) = &key {
        token::created(&minted.record, &config)?;
    }
    files(&command.dir, &config, &made, printer);
    let binary = std::env::current_exe().map_err(Failure::unavailable)?;
    text::connect(&config, &binary, &key, printer);
    text::explore(&config, &binary, printer);
    serve::warn(&config, printer);
    match listener {
        Some(listener) => serve::run(&config, listener, printer, || {}),
        None => {
            let serve = format!("{} serve --config {}", text::shell(&binary), text::shell(&config.file));
            printer.say(&format!("\nStart it with\n  {serve}"));
            Ok(Exit::Ok)
        }
    }
}

/// What happened to one file.
struct Made {
    path: PathBuf,
    what: &'static str,
    kept: bool,
}

/// A key that can be shown, or why none is.
enum Key {
    Minted(Box<Minted>),
    Kept { id: String, created: String, expires: String },
}

fn early_bind(port: u16) -> Result<std::net::TcpListener, Failure> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    std::net::TcpListener::bind(address).map_err(|e| serve::busy(&Listen::Tcp(address), e))
}

fn make_files(command: &Quickstart, file: &Path) -> Result<Vec<Made>, Failure> {
    let dir = &command.dir;
    let failed = |path: &Path, e: io::Error| {
        Failure::unavailable(anyhow::anyhow!("cannot write `{}`: {e}", path.display()))
    };
    for dir in [dir.clone(), dir.join("policies")] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|e| failed(&dir, e))?;
    }
    let mut made = Vec::new();
    let database = dir.join("shop.db");
    let kept = database.exists();
    if !kept {
        sample::create(&database).map_err(Failure::unavailable)?;
    }
    made.push(Made { path: database, what: "the sample shop", kept });
    let policies = DEFAULT_POLICIES
        .iter()
        .map(|(name, text)| (dir.join("policies").join(name), "policies", (*text).to_owned()));
    let settings = (
        file.to_owned(),
        "the configuration",
        text::configuration(&user(), process_uid().0, command.port.unwrap_or(PORT)),
    );
    for (path, what, text) in policies.chain([settings]) {
        let created = fs::OpenOptions::new().write(true).create_new(true).open(&path);
        let kept = match created {
            Ok(mut file) => {
                io::Write::write_all(&mut file, text.as_bytes()).map_err(|e| failed(&path, e))?;
                false
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => true,
            Err(e) => return Err(failed(&path, e)),
        };
        made.push(Made { path, what, kept });
    }
    Ok(made)
}

/// Mints a key when there is none that works, or when asked to.
fn mint(config: &Config, further: bool) -> Result<Key, countersign_identity::KeyFileError> {
    let store = KeyStore::at(&config.identity.keys);
    let now = Timestamp::now();
    let keys = store.list()?;
    if let (false, Some(key)) = (further, keys.iter().rfind(|key| state(key, now) == "active")) {
        let (created, expires) = (key.created.date(), key.expires.date());
        return Ok(Key::Kept { id: key.id.clone(), created, expires });
    }
    let local = config.identity.local.as_ref();
    let new = NewKey {
        subject: local.map_or_else(user, |local| local.user.clone()),
        kind: KeyKind::Person,
        tenant: local.map_or_else(|| TENANT.to_owned(), |local| local.tenant.clone()),
        roles: local.map_or_else(|| vec!["operator".to_owned()], |local| local.roles.clone()),
        claims: local.map_or_else(Default::default, |local| local.claims.clone()),
        lifetime: DEFAULT_LIFETIME,
    };
    store.mint(new, now).map(|minted| Key::Minted(Box::new(minted)))
}

fn files(dir: &Path, config: &Config, made: &[Made], printer: Printer) {
    printer.say(&printer.styled(Style::Title, "Files"));
    for one in made {
        let note = if one.kept { "kept as it is" } else { "made" };
        let note = printer.styled(if one.kept { Style::Dim } else { Style::Good }, &format!("{note:<14}"));
        let path = format!("{:<32}", one.path.display());
        printer.say(&format!("  {note}{path}  {}", printer.styled(Style::Dim, one.what)));
    }
    let audit = config.audit.dir.strip_prefix(config.file.parent().unwrap_or(Path::new("/")));
    let audit = audit.map_or(config.audit.dir.clone(), |below| dir.join(below));
    let path = format!("{:<32}", audit.display());
    printer.say(&format!("  {:<14}{path}  {}", "", printer.styled(Style::Dim, "the record of every call")));
}

/// The operating-system user's name, if it is one that a principal can have.
fn user() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the binary reads the environment; the name is a label, the user id is what counts"
    )]
    let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    if check_name("subject", &name).is_ok() { name } else { "operator".to_owned() }
}
