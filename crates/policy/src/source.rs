//! Reads the policies directory: `*.cedar` files and `roles.toml` in the order of their names, within limits. Links are followed.

use std::{fs::File, io::Read, path::Path};

use crate::{
    error::{PolicyError, PolicyErrors},
    roles::ROLES_FILE,
};

/// The most files that a directory may hold.
const MAX_FILES: usize = 256;
/// The most bytes that one file may have.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// The text of one policy file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyFile {
    /// The file's name, `default.cedar`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Reads all policy files of `dir`. Other files that do not end in `.cedar`, or start with a dot (as editors' do), are left alone.
pub(crate) fn read_dir(dir: &Path) -> Result<Vec<PolicyFile>, PolicyErrors> {
    let label = dir.display().to_string();
    let unreadable = |cause: std::io::Error| {
        PolicyErrors::from(PolicyError::whole(&label, format!("cannot read the policies directory: {cause}")))
    };
    let mut names = Vec::new();
    let mut errors = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        match name.to_str() {
            Some(name) if name == ROLES_FILE => names.push(name.to_owned()),
            Some(name) if name.starts_with('.') || !name.ends_with(".cedar") => {}
            Some(name) => names.push(name.to_owned()),
            None if Path::new(&name).extension().is_some_and(|extension| extension == "cedar") => {
                let shown = name.to_string_lossy();
                errors.push(PolicyError::whole(&shown, "the file's name must be UTF-8"));
            }
            None => {}
        }
    }
    if names.len() > MAX_FILES {
        let message = format!("the directory holds {} policy files, the limit is {MAX_FILES}", names.len());
        return Err(PolicyError::whole(&label, message).into());
    }
    names.sort();
    let mut files = Vec::new();
    for name in names {
        match read_file(&dir.join(&name)) {
            Ok(text) => files.push(PolicyFile { name, text }),
            Err(message) => errors.push(PolicyError::whole(&name, message)),
        }
    }
    if errors.is_empty() { Ok(files) } else { Err(PolicyErrors { errors }) }
}

/// The text of one file, or why there is none.
fn read_file(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|cause| format!("cannot read the file: {cause}"))?;
    // Opening a pipe would wait for its other end.
    if !metadata.is_file() {
        return Err("not a regular file".into());
    }
    let file = File::open(path).map_err(|cause| format!("cannot open the file: {cause}"))?;
    let mut bytes = Vec::new();
    // One byte over the limit is enough to know; the file may grow meanwhile.
    let read = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|cause| format!("cannot read the file: {cause}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("the file is larger than {MAX_FILE_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "the file must be UTF-8 text".into())
}
