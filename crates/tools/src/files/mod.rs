//! Tools for files below configured roots. One tool, one file; [`file_tools`] is the list.
//!
//! A call's path becomes a true path below an open directory ([`root`]); policy decides on that, people approve that, and that is what is
//! opened. Planning looks at names and kinds and never at content.

mod change;
mod delete;
pub(crate) mod diff;
mod edit;
mod encoding;
mod folder;
mod globs;
mod kernel;
mod list;
mod move_file;
mod path;
mod quota;
mod read;
mod refusal;
mod resources;
mod root;
mod search;
mod spec;
mod stat;
mod unfinished;
mod write;

use std::sync::Arc;

use countersign_core::{PowerClass, Tool, registry::Resource};

pub use folder::{Folder, FolderSettings};
pub use globs::Globs;
pub use path::{PathRule, RelPath};
pub use refusal::Refusal;
pub use root::{Kind, Resolved, Root, RootError};
pub use unfinished::{Swept, sweep};

use folder::Folders;

/// All tools for these roots: those that read, and, if a root may be written, those that write. None without a root.
pub fn file_tools(folders: &[Arc<Folder>]) -> Vec<Arc<dyn Tool>> {
    if folders.is_empty() {
        return Vec::new();
    }
    let all = Folders::new(folders);
    let mut tools: Vec<Arc<dyn Tool>> = vec![
        Arc::new(read::ReadFile::new(all.clone())),
        Arc::new(list::ListDirectory::new(all.clone())),
        Arc::new(search::SearchFiles::new(all.clone())),
        Arc::new(stat::StatFile::new(all.clone())),
    ];
    if let Some(power) = power(folders) {
        tools.push(Arc::new(write::WriteFile::new(all.clone(), power)));
        tools.push(Arc::new(edit::EditFile::new(all.clone(), power)));
        tools.push(Arc::new(delete::DeleteFile::new(all.clone(), power)));
        tools.push(Arc::new(move_file::MoveFile::new(all, power)));
    }
    tools
}

/// The `file://` resources of these roots.
pub fn file_resources(folders: &[Arc<Folder>]) -> Vec<Resource> {
    resources::all(folders)
}

/// The power of the tools that write; none if no root may be written.
///
/// What is written into a folder that others use may be run, believed or missed by them: that is a high-impact write. Only where every
/// root that may be written holds nothing but what may be lost (`scratch`) is it a small one.
fn power(folders: &[Arc<Folder>]) -> Option<PowerClass> {
    let mut written =
        folders.iter().map(|folder| folder.settings()).filter(|settings| settings.write).peekable();
    written.peek()?;
    match written.all(|settings| settings.scratch) {
        true => Some(PowerClass::WriteLow),
        false => Some(PowerClass::WriteHigh),
    }
}
