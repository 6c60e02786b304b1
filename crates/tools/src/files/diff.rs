//! What a change of a file looks like to people: a unified diff, or sizes and digests where it is no text.

use std::time::Duration;

use countersign_core::Digest;
use similar::TextDiff;

/// How long a diff may look for the shortest way; after that it is longer than it need be.
const PATIENCE: Duration = Duration::from_millis(300);
/// Bytes of a diff; more is left out, and says so.
const MAX_DIFF: usize = 1 << 20;

/// The change of `path` from one content to another; none stands for no file.
pub(crate) fn unified(path: &str, before: Option<&[u8]>, after: Option<&[u8]>) -> String {
    let (old, new) = (name("a", path, before), name("b", path, after));
    let (Some(before), Some(after)) = (text(before), text(after)) else {
        return format!("--- {old}\n+++ {new}\nnot text:\n-{}\n+{}\n", size(before), size(after));
    };
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(before, after);
    let shown = diff.unified_diff().context_radius(3).header(&old, &new).to_string();
    match shown.split_at_checked(floor(&shown)) {
        Some((head, rest)) if !rest.is_empty() => format!("{head}… {} more lines\n", rest.lines().count()),
        _ => shown,
    }
}

/// The longest beginning in whole lines that is not too long.
fn floor(text: &str) -> usize {
    match text.as_bytes().get(..MAX_DIFF) {
        Some(head) => head.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1),
        None => text.len(),
    }
}

fn name(side: &str, path: &str, content: Option<&[u8]>) -> String {
    match content {
        Some(_) => format!("{side}/{path}"),
        None => "/dev/null".to_owned(),
    }
}

/// As text, if it is any. Nothing is the empty text.
fn text(content: Option<&[u8]>) -> Option<&str> {
    let text = std::str::from_utf8(content.unwrap_or_default()).ok()?;
    (!text.contains('\0')).then_some(text)
}

fn size(content: Option<&[u8]>) -> String {
    match content {
        Some(content) => format!("{} bytes, sha256 {}", content.len(), Digest::of(content)),
        None => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_text_are_shown_line_by_line() {
        let shown = unified("x.txt", Some(b"one\ntwo\nthree\n"), Some(b"one\n2\nthree\n"));
        assert_eq!(shown, "--- a/x.txt\n+++ b/x.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n");
        assert_eq!(
            unified("n", None, Some(b"a")),
            "--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+a\n\\ No newline at end of file\n"
        );
        assert!(unified("n", Some(b"a\n"), None).contains("+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"));
    }

    #[test]
    fn what_is_no_text_is_named_by_size_and_digest() {
        let shown = unified("x", Some(&[0xff, 0]), Some(b"a"));
        assert!(
            shown.contains("-2 bytes, sha256 ") && shown.contains("+1 bytes, sha256 ca978112"),
            "{shown}"
        );
    }

    #[test]
    fn a_diff_that_is_too_long_is_cut_and_says_so() {
        let shown = unified("x", None, Some("line\n".repeat(400_000).as_bytes()));
        assert!(shown.len() < MAX_DIFF + 100 && shown.ends_with(" more lines\n"), "{}", shown.len());
    }
}
