//! `[files.NAME]`: directories whose files callers may reach. Each is opened here, once: what is checked is what is served.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use countersign_tools::files::{Folder, FolderSettings, Globs, Root};

use super::{error::Problem, kind::Value, raw::Raw};

/// All roots of a file. One with a problem is left out, and the problem added to the file's.
pub(super) fn folders(raw: &mut Raw, dir: &Path) -> BTreeMap<String, Arc<Folder>> {
    let mut found = BTreeMap::new();
    for name in raw.names("files") {
        let Some((path, settings)) = (Reader { raw, name: &name }).folder(dir) else { continue };
        match Root::open(&name, &path) {
            Ok(root) => {
                found.insert(name, Arc::new(Folder::new(root, settings)));
            }
            Err(error) => {
                let key = format!("files.{name}.root");
                let place = raw.values.get(&key).and_then(|read| read.place);
                let help =
                    "paths are relative to the directory of the configuration; Countersign makes no roots";
                raw.problems.push(Problem {
                    place,
                    message: format!("`{key}` {error}"),
                    help: Some(help.into()),
                });
            }
        }
    }
    found
}

/// Reads the settings of one root.
struct Reader<'r> {
    raw: &'r Raw,
    name: &'r str,
}

impl Reader<'_> {
    fn folder(&self, dir: &Path) -> Option<(std::path::PathBuf, FolderSettings)> {
        let Value::Path(root) = self.value("root")? else { return None };
        let tenant = match self.value("tenant") {
            Some(Value::Text(tenant)) => Some(Arc::from(tenant.as_str())),
            _ => None,
        };
        let Value::Texts(deny) = self.value("deny")? else { return None };
        let settings = FolderSettings {
            tenant,
            write: self.flag("write")?,
            scratch: self.flag("scratch")?,
            // The kind of the setting has made sure that they are patterns.
            deny: Globs::denying(deny).ok()?,
            max_read: self.number("max_read")?.min(number(self.raw, "limits.max_result")?),
            max_file: self.number("max_file")?,
            max_entries: self.number("max_entries")?.try_into().ok()?,
            max_search: self.number("max_search")?.try_into().ok()?,
            quota: self.number("quota"),
        };
        Some((dir.join(root), settings))
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.raw.values.get(&format!("files.{}.{key}", self.name)).map(|read| &read.value)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    fn number(&self, key: &str) -> Option<u64> {
        number(self.raw, &format!("files.{}.{key}", self.name))
    }
}

fn number(raw: &Raw, key: &str) -> Option<u64> {
    match raw.values.get(key)?.value {
        Value::Number(number) => Some(number),
        _ => None,
    }
}
