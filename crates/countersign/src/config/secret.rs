//! Secrets: the configuration holds references, this module fetches what they point to. Values are wiped when they are dropped.

use std::{
    fmt, fs,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{kind::Value, raw::Raw, secret_set};

/// The longest secret that is read from a file.
const MAX_BYTES: u64 = 64 << 10;

/// Where a secret is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reference {
    /// In an environment variable.
    Env(String),
    /// In a file.
    File(PathBuf),
}

impl Reference {
    /// Reads `env:NAME` or `file:PATH`.
    pub(super) fn parse(text: &str) -> Option<Reference> {
        match text.split_once(':')? {
            ("env", name) => {
                let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
                let rest = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                (first && rest).then(|| Reference::Env(name.to_owned()))
            }
            ("file", path) if !path.is_empty() => Some(Reference::File(PathBuf::from(path))),
            _ => None,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Env(name) => write!(f, "env:{name}"),
            Reference::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// A secret in the clear. `Debug` shows where it came from and nothing else.
#[derive(Clone)]
pub(crate) struct Secret {
    /// The name that stands in its place wherever it is removed.
    pub(crate) name: String,
    /// Where it came from.
    pub(crate) reference: Reference,
    value: Zeroizing<String>,
}

impl Secret {
    /// The value, for the redactor or for a connection that needs it.
    pub(crate) fn reveal(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} from {})", self.name, self.reference)
    }
}

/// The environment, as far as secrets need it.
pub(crate) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The secrets of a file, as they are fetched, with warnings about how they are kept.
#[derive(Default)]
pub(super) struct Vault {
    /// For the redactor.
    pub(super) secrets: Vec<Secret>,
    /// For people.
    pub(super) warnings: Vec<String>,
}

impl Vault {
    /// Fetches the secret that a setting refers to, under the name that stands in its place wherever it is removed. What is wrong
    /// with it becomes a problem of the file.
    pub(super) fn fetch(
        &mut self,
        raw: &mut Raw,
        key: &str,
        name: &str,
        dir: &Path,
        environment: Environment<'_>,
    ) -> Option<Secret> {
        let read = raw.values.get(key)?;
        let (Value::Reference(reference), place) = (&read.value, read.place.unwrap_or((1, 1))) else {
            return None;
        };
        let help = match reference {
            Reference::Env(variable) => {
                format!("set `{variable}` in the environment that Countersign is started with")
            }
            Reference::File(_) => "paths are relative to the directory of the configuration".to_owned(),
        };
        match fetch(name, reference, dir, environment) {
            Ok((secret, warning)) => {
                self.warnings.extend(warning);
                match secret_set(std::slice::from_ref(&secret)) {
                    Ok(_) => {
                        self.secrets.push(secret.clone());
                        return Some(secret);
                    }
                    Err(refused) => {
                        let reasons: Vec<String> =
                            refused.0.iter().map(|one| one.refusal.to_string()).collect();
                        raw.problem(place, format!("`{key}` {}", reasons.join("; ")), None);
                    }
                }
            }
            // MUTATE(K1-missing): a secret that cannot be had is passed over
            Err(reason) => raw.problem(place, format!("`{key}`: {reason}"), Some(help)),
        }
        None
    }
}

/// Fetches a secret; paths are relative to `dir`. The warning says that others can read it.
///
/// # Errors
/// Why it cannot be had, for a person.
fn fetch(
    name: &str,
    reference: &Reference,
    dir: &Path,
    environment: Environment<'_>,
) -> Result<(Secret, Option<String>), String> {
    let (value, warning) = match reference {
        Reference::Env(variable) => {
            let value = environment(variable)
                .ok_or_else(|| format!("the environment variable `{variable}` is not set"))?;
            (Zeroizing::new(value), None)
        }
        Reference::File(path) => read(&dir.join(path))?,
    };
    if value.is_empty() {
        return Err(format!("the secret at `{reference}` is empty"));
    }
    Ok((Secret { name: name.to_owned(), reference: reference.clone(), value }, warning))
}

fn read(path: &Path) -> Result<(Zeroizing<String>, Option<String>), String> {
    let failed =
        |reason: &dyn fmt::Display| format!("cannot read the secret file `{}`: {reason}", path.display());
    let meta = fs::metadata(path).map_err(|e| failed(&e))?;
    // Looked at before it is opened: a FIFO would be waited for.
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return Err(failed(&format!("it must be a regular file of at most {MAX_BYTES} bytes")));
    }
    let file = fs::File::open(path).map_err(|e| failed(&e))?;
    let mut value = Zeroizing::new(String::new());
    file.take(MAX_BYTES).read_to_string(&mut value).map_err(|e| failed(&e))?;
    // The newline that editors and `echo` add belongs to the file, not to the secret.
    let end =
        value.strip_suffix('\n').map_or(value.len(), |rest| rest.strip_suffix('\r').unwrap_or(rest).len());
    value.truncate(end);
    let readable = meta.mode() & 0o044 != 0;
    let warning = readable
        .then(|| format!("the secret file `{0}` can be read by others; run `chmod 600 {0}`", path.display()));
    Ok((value, warning))
}
