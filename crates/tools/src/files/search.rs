//! `search_files {root?, path?, pattern?, glob?, …}`: lines that match, or files whose names do.
//!
//! Patterns are those of the `regex` crate: the time a search takes grows with the text and never with the pattern's malice.

mod grep;
mod walk;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_core::{
    Access, Action, Arguments, CallIo, Effect, Label, Output, Part, Permit, Planned, Principal, Tool,
    ToolError, ToolSpec,
};
use regex::bytes::{Regex, RegexBuilder};
use serde_json::{Value, json};

use super::{
    folder::{Folder, Folders, Target, blocking, path_schema, readable, root_schema},
    globs::Globs,
    path::RelPath,
    refusal::Refusal,
    spec::reading,
};
use grep::grep;
use walk::{Candidates, Scope, walk};

pub(super) struct SearchFiles {
    spec: Arc<ToolSpec>,
    folders: Folders,
}

/// The parsed call, and the files that it is about: those are read that policy grants.
#[derive(Clone)]
struct Wanted {
    target: Target,
    pattern: Option<Regex>,
    max_matches: usize,
    found: Result<Candidates, Refusal>,
}

/// Bytes of a compiled pattern.
const PATTERN_SIZE: usize = 512 << 10;

impl SearchFiles {
    pub(super) fn new(folders: Folders) -> SearchFiles {
        let spec = ToolSpec {
            name: "search_files".into(),
            title: "Search files".into(),
            description: "Searches the files below a directory for lines that match a regular expression (Rust `regex` syntax: no look-around, \
                          no back-references), or, without `pattern`, lists the files whose paths match `glob`. Binary files and files over \
                          the root's size limit are passed over and counted. Symbolic links are not followed."
                .into(),
            purpose: "finds text and files in a folder",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "root": root_schema(),
                    "path": path_schema("the directory or file to search, by default the root itself"),
                    "pattern": {"type": "string", "minLength": 1, "maxLength": 1000},
                    "literal": {"type": "boolean", "default": false, "description": "takes `pattern` as plain text"},
                    "ignore_case": {"type": "boolean", "default": false},
                    "glob": globs_schema("only files that one of these matches, such as `*.rs` or `src/**/*.toml`"),
                    "exclude": globs_schema("no files or directories that one of these matches"),
                    "max_matches": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 200}
                },
                "additionalProperties": false
            }),
            output_schema: Some(json!({
                "type": "object",
                "properties": {
                    "root": {"type": "string"},
                    "matches": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "path": {"type": "string"},
                                "line": {"type": "integer", "description": "counted from 1"},
                                "text": {"type": "string", "description": "the line, or the part of a long one around the match"}
                            },
                            "required": ["path"]
                        }
                    },
                    "files": {"type": "integer", "description": "files that were searched"},
                    "skipped": {"type": "integer", "description": "files that are binary, too large, or cannot be read"},
                    "truncated": {"type": "boolean", "description": "not everything was searched or shown; narrow the search"}
                },
                "required": ["root", "matches", "files", "skipped", "truncated"]
            })),
            deadline: Duration::from_secs(30),
            ..reading()
        };
        SearchFiles { spec: Arc::new(spec.pinned()), folders }
    }
}

#[async_trait]
impl Tool for SearchFiles {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let pattern = pattern(arguments)?;
        let scope = Scope { glob: globs(arguments, "glob")?, exclude: globs(arguments, "exclude")? };
        let max_matches = arguments.value().get("max_matches").and_then(Value::as_u64).unwrap_or(200);
        let target = Target::of(&self.folders, principal, arguments, "/path").await?;
        let (target, found) = blocking(move |stop| {
            let found = match &target.kind {
                Ok(kind) => walk(&target.folder, &target.path, *kind, &scope, stop),
                Err(refused) => Err(refused.clone()),
            };
            (target, found)
        })
        .await?;
        let candidates = found.iter().flat_map(|found| &found.files).map(|path| filter(&target.folder, path));
        Ok(Planned {
            accesses: std::iter::once(target.access(Action::Read)).chain(candidates).collect(),
            effect: Effect::Read,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", "search".to_owned())]),
            detail: Box::new(Wanted {
                target,
                pattern,
                max_matches: usize::try_from(max_matches).unwrap_or(200),
                found,
            }),
        })
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let wanted = permit.plan().detail::<Wanted>().cloned();
        let Wanted { target, pattern, max_matches, found } =
            wanted.ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
        let Candidates { mut files, truncated } = found.map_err(|refused| target.refuse(refused))?;
        let readable = readable(&permit);
        // MUTATE(C1-search-filter): a search reads what policy hides
        files.retain(|path| readable.contains(path.as_str()));
        let answer = blocking(move |stop| {
            let mut answer = match &pattern {
                Some(pattern) => grep(&target.folder, &files, pattern, max_matches, stop),
                None => Ok(named(&files, max_matches)),
            };
            if let Ok(Value::Object(members)) = &mut answer {
                members.insert("root".to_owned(), (&**target.folder.root().name()).into());
                if truncated {
                    members.insert("truncated".to_owned(), true.into());
                }
            }
            answer.map_err(|refused| target.refuse(refused))
        })
        .await??;
        Ok(Output::new(Label::RETRIEVED, vec![Part::Json(answer)]))
    }
}

/// The access by which a file is searched.
fn filter(folder: &Folder, path: &RelPath) -> Access {
    Access::filter(Action::Read, folder.object(path))
}

/// The files themselves, when nothing is looked for in them.
fn named(files: &[RelPath], max: usize) -> Value {
    let matches: Vec<_> = files.iter().take(max).map(|path| json!({"path": path.as_str()})).collect();
    json!({"matches": matches, "files": files.len(), "skipped": 0, "truncated": files.len() > max})
}

fn pattern(arguments: &Arguments) -> Result<Option<Regex>, ToolError> {
    let flag = |name: &str| arguments.value().get(name).and_then(Value::as_bool).unwrap_or(false);
    let Some(text) = arguments.str("pattern") else { return Ok(None) };
    let escaped = if flag("literal") { regex::escape(text) } else { text.to_owned() };
    let built = RegexBuilder::new(&escaped)
        .case_insensitive(flag("ignore_case"))
        // MUTATE(B1-pattern-size): a pattern may be as large as it likes once compiled
        .size_limit(PATTERN_SIZE)
        .dfa_size_limit(PATTERN_SIZE)
        .build();
    let rule = |error| match error {
        regex::Error::CompiledTooBig(_) => "is too large once compiled",
        _ => "is not a regular expression of the Rust `regex` syntax; set `literal` to search for plain text",
    };
    built.map(Some).map_err(|error| ToolError::invalid("/pattern", rule(error)))
}

fn globs(arguments: &Arguments, name: &str) -> Result<Option<Globs>, ToolError> {
    let Some(list) = arguments.value().get(name).and_then(Value::as_array) else { return Ok(None) };
    let patterns: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    Globs::new(&patterns, false).map(Some).map_err(|rule| ToolError::invalid(format!("/{name}"), rule))
}

fn globs_schema(what: &str) -> Value {
    json!({
        "type": "array", "minItems": 1, "maxItems": 20, "items": {"type": "string", "minLength": 1, "maxLength": 256},
        "description": what
    })
}
