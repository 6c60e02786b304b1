//! The few ways in which the log touches files: private creation, atomic replacement, durable directories.

use crate::error::{At, FileError};
use rustix::fs::OFlags;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Creates a directory and its missing parents, mode 0700.
pub(crate) fn create_dir(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).at("create the directory", path)
}

/// Creates a directory, mode 0700, with one empty file in it, mode 0600: nobody ever sees the one without the other. A directory that is there
/// and holds something stays as it is.
pub(crate) fn create_dir_with(path: &Path, name: &str) -> Result<(), FileError> {
    let temporary = temporary(path);
    let _ = fs::remove_dir_all(&temporary);
    create_dir(&temporary)?;
    let file = temporary.join(name);
    // MUTATE(L2-epoch): an epoch appears before its log file
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
    made.at("create", &file)?;
    match fs::rename(&temporary, path) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) =>
        {
            fs::remove_dir_all(&temporary).at("remove", &temporary)
        }
        renamed => renamed.at("rename", path),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|dir| dir.sync_all()).at("sync the directory", path)
}

/// Creates a file of mode 0600 with its whole content, durably, unless the name is taken: then `false`.
///
/// The name appears only with the content: a crash or a second process never sees half a key.
pub(crate) fn create_private(path: &Path, content: &[u8]) -> Result<bool, FileError> {
    let temporary = temporary(path);
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .at("create", &temporary)?;
    file.write_all(content).and_then(|()| file.sync_all()).at("write", &temporary)?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary).at("remove", &temporary)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        linked => {
            linked.at("create", path)?;
            sync_dir(path.parent().unwrap_or(path))?;
            Ok(true)
        }
    }
}

/// Puts a file in place whole: readers see the old content or the new one. Not synced.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let temporary = temporary(path);
    fs::write(&temporary, content).at("write", &temporary)?;
    fs::rename(&temporary, path).at("rename", path)
}

/// No file of a log but the write-ahead file is larger: a full bundle of the longest entries has less than 17 MB.
const MAX_FILE: u64 = 32 << 20;

/// Reads a file; `None` when there is none. Whoever handed the log over may have put anything in its place.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let Some(file) = open_if_there(path, MAX_FILE)? else { return Ok(None) };
    let mut content = Vec::new();
    // It may grow while it is read.
    file.take(MAX_FILE).read_to_end(&mut content).at("read", path)?;
    Ok(Some(content))
}

/// Opens a regular file of at most `limit` bytes; `None` when there is none. Nothing else is waited for or read without end.
pub(crate) fn open_if_there(path: &Path, limit: u64) -> Result<Option<File>, FileError> {
    // Without it, opening a FIFO would wait for its writer.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = match OpenOptions::new().read(true).custom_flags(nonblocking).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.at("open", path)?,
    };
    let meta = file.metadata().at("examine", path)?;
    // MUTATE(L3-regular): devices, pipes and files of any size are read as files of a log
    let fits = meta.is_file() && meta.len() <= limit;
    match fits {
        true => Ok(Some(file)),
        false => Err(io::Error::other("it is no regular file of a size that a log has")).at("read", path),
    }
}

/// A name of this process and thread alone, beside `path`.
fn temporary(path: &Path) -> std::path::PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.{:?}.tmp", std::process::id(), std::thread::current().id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_appears_with_its_file_or_stays_as_it_is() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("epoch-000001");
        create_dir_with(&path, "wal").unwrap();
        assert!(path.join("wal").is_file());
        fs::write(path.join("wal"), "entries").unwrap();
        create_dir_with(&path, "wal").unwrap();
        assert_eq!(fs::read(path.join("wal")).unwrap(), b"entries");
        // What a crash of an older program left.
        let empty = here.path().join("epoch-000002");
        create_dir(&empty).unwrap();
        create_dir_with(&empty, "wal").unwrap();
        assert!(empty.join("wal").is_file());
        assert_eq!(fs::read_dir(here.path()).unwrap().count(), 2, "something is left behind");
    }
}
