//! A source file that no `mod` line names is dead code that looks alive: each file under `src` is a module of its parent.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Findings, Sources};

pub(super) fn check(sources: &Sources, findings: &mut Findings) -> Result<()> {
    for file in sources.rust().filter(|file| in_src(file)) {
        let Some((name, dir)) = module(file) else { continue };
        let parents = parents(&dir);
        let named = parents
            .iter()
            .filter(|parent| parent.as_path() != file)
            .any(|parent| declares(&sources.read(parent), &name));
        if !named {
            findings.error(file.display(), format_args!("no `mod {name};` names this file"));
        }
    }
    Ok(())
}

fn in_src(file: &Path) -> bool {
    let mut parts = file.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    match parts.next().as_deref() {
        Some("crates") => {
            parts.nth(1).as_deref() == Some("src") && !file.components().any(|part| part.as_os_str() == "bin")
        }
        Some("xtask") => parts.next().as_deref() == Some("src"),
        _ => false,
    }
}

/// A file's module name and the directory whose module holds it; `None` for crate roots.
fn module(file: &Path) -> Option<(String, PathBuf)> {
    let stem = file.file_stem()?.to_string_lossy().into_owned();
    let dir = file.parent()?;
    match stem.as_str() {
        "lib" | "main" if dir.ends_with("src") => None,
        "mod" => Some((dir.file_name()?.to_string_lossy().into_owned(), dir.parent()?.to_path_buf())),
        _ => Some((stem, dir.to_path_buf())),
    }
}

/// The files that can hold the `mod` lines of a directory.
fn parents(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = ["mod.rs", "lib.rs", "main.rs"].iter().map(|name| dir.join(name)).collect();
    if !dir.ends_with("src") {
        files.push(dir.with_extension("rs"));
    }
    files
}

fn declares(parent: &str, name: &str) -> bool {
    parent.lines().any(|line| {
        let code = line.trim();
        let code =
            code.strip_prefix("pub ").or_else(|| code.split_once(") ").map(|(_, rest)| rest)).unwrap_or(code);
        code.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')).is_some_and(|found| found == name)
    })
}
