//! Patterns for paths: what a root denies, and what a search looks at.
//!
//! `*.pem` holds for that name in every directory, `config/*.toml` for that path below any directory, `/build` for the root's own only.
//! A pattern that matches a directory holds for all below it. `*` and `?` do not match `/`; `**` does.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::path::RelPath;

/// The most patterns in one list, and the longest of them in bytes.
const MAX_PATTERNS: usize = 200;
const MAX_PATTERN: usize = 256;

/// A list of patterns.
#[derive(Clone, Debug)]
pub struct Globs(GlobSet);

impl Globs {
    /// The patterns of a deny list; letters match in either case, since the files may be served to systems that take them for the same.
    ///
    /// # Errors
    /// Which pattern is wrong, and why.
    pub fn denying(patterns: &[String]) -> Result<Globs, String> {
        Globs::new(patterns, true)
    }

    /// Patterns of a caller.
    pub(super) fn new(patterns: &[String], any_case: bool) -> Result<Globs, String> {
        if patterns.len() > MAX_PATTERNS {
            return Err(format!("must be at most {MAX_PATTERNS} patterns"));
        }
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let bare = pattern.strip_prefix('/').unwrap_or(pattern).trim_end_matches('/');
            if bare.is_empty() || pattern.len() > MAX_PATTERN {
                return Err(format!("each pattern must be 1 to {MAX_PATTERN} bytes long"));
            }
            let head = if pattern.starts_with('/') { "" } else { "**/" };
            for tail in ["", "/**"] {
                let glob = GlobBuilder::new(&format!("{head}{bare}{tail}"))
                    .case_insensitive(any_case)
                    .literal_separator(true)
                    .backslash_escape(true)
                    .build();
                set.add(glob.map_err(|error| format!("a pattern is not valid: {}", error.kind()))?);
            }
        }
        set.build().map(Globs).map_err(|error| format!("the patterns are too large: {}", error.kind()))
    }

    /// Whether a pattern matches a path, or a directory above it.
    pub(super) fn matches(&self, path: &RelPath) -> bool {
        self.0.is_match(path.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_hold_for_names_paths_and_what_lies_below() {
        let globs = ["*.pem", ".git/config", "/build", "secrets"].map(str::to_owned);
        let globs = Globs::denying(&globs).unwrap();
        let denied = |path: &str| globs.matches(&RelPath::parse(path).unwrap());
        for path in [
            "a.pem",
            "x/y/A.PEM",
            ".git/config",
            "sub/.git/config",
            "build",
            "build/x",
            "a/secrets/b/c",
            "Secrets",
        ] {
            assert!(denied(path), "{path}");
        }
        for path in ["a.pem.txt", ".git/description", "sub/build", "secretss", "config"] {
            assert!(!denied(path), "{path}");
        }
    }

    #[test]
    fn patterns_that_are_wrong_or_too_many_are_refused() {
        for patterns in [
            vec!["[".to_owned()],
            vec![String::new()],
            vec!["/".to_owned()],
            vec!["x".repeat(257)],
            vec!["x".into(); 201],
        ] {
            assert!(Globs::denying(&patterns).is_err(), "{patterns:?}");
        }
    }
}
