//! Tools for files below configured roots.

#[expect(dead_code, reason = "the tools that use the rest come with the next step")]
mod kernel;
mod path;
#[expect(dead_code, reason = "the tools that use the rest come with the next step")]
mod refusal;
mod root;

pub use path::{PathRule, RelPath};
pub use refusal::Refusal;
pub use root::{Kind, Resolved, Root, RootError};
