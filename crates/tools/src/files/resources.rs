//! `file://` resources: the same answers as `list_directory` and `read_file`, over the same road.

use std::{collections::BTreeMap, sync::Arc};

use countersign_core::registry::Resource;

use super::folder::Folder;

const MIME: &str = "application/json";

/// `file://NAME/` and `file://NAME/{+path}` for each root.
pub(super) fn all(folders: &[Arc<Folder>]) -> Vec<Resource> {
    let both = |folder: &Arc<Folder>| {
        let name = folder.root().name();
        let fixed = BTreeMap::from([("root".into(), name.as_ref().into())]);
        let tenant = folder.settings().tenant.clone();
        [
            Resource {
                uri: format!("file://{name}/"),
                name: format!("{name} files"),
                description: format!("What is in the root `{name}`"),
                mime: MIME,
                tool: "list_directory".into(),
                also: None,
                tenant: tenant.clone(),
                fixed: fixed.clone(),
                variable: None,
            },
            Resource {
                uri: format!("file://{name}/{{+path}}"),
                name: format!("{name} file"),
                description: format!("A text file below the root `{name}`"),
                mime: MIME,
                tool: "read_file".into(),
                also: None,
                tenant,
                fixed,
                variable: Some("path".into()),
            },
        ]
    };
    folders.iter().flat_map(both).collect()
}
