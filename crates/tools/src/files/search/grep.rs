//! Lines of files that match a pattern. One file is in memory at a time, and no file over the root's limit.

use regex::bytes::Regex;
use serde_json::{Value, json};

use crate::files::{
    folder::{Folder, Stop},
    path::RelPath,
    read::up_to,
    refusal::Refusal,
};

/// Bytes of a line that are shown.
const SHOWN: usize = 400;
/// Bytes of a line that are searched at once, and how many of them the next piece begins with: so long may a match across the two be.
const PIECE: usize = 4 << 10;
const OVERLAP: usize = 512;

pub(super) fn grep(
    folder: &Folder,
    files: &[RelPath],
    pattern: &Regex,
    max: usize,
    stop: &Stop,
) -> Result<Value, Refusal> {
    let settings = folder.settings();
    let (mut matches, mut bytes, mut searched, mut skipped) = (Vec::new(), 0, 0_usize, 0_usize);
    let mut truncated = false;
    'files: for path in files {
        stop.check()?;
        // A file that went, was swapped for a link, or has another name outside is passed over like one that cannot be read.
        let Some(content) = content(folder, path, settings.max_file) else {
            skipped += 1;
            continue;
        };
        searched += 1;
        for (number, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let Some(at) = find(pattern, line, stop)? else { continue };
            let text = shown(line, at);
            bytes += text.len() + path.as_str().len() + 32;
            if matches.len() == max || bytes as u64 > settings.max_read {
                truncated = true;
                break 'files;
            }
            matches.push(json!({"path": path.as_str(), "line": number + 1, "text": text}));
        }
    }
    Ok(json!({"matches": matches, "files": searched, "skipped": skipped, "truncated": truncated}))
}

/// Where a line matches. A long one is looked at piece by piece: nothing interrupts a pattern within a piece, and a large pattern takes its
/// time over each byte.
fn find(pattern: &Regex, line: &[u8], stop: &Stop) -> Result<Option<usize>, Refusal> {
    let mut start: usize = 0;
    loop {
        stop.check()?;
        // MUTATE(I2-search-piece): a search cannot be stopped before the end of a line
        let end = line.len().min(start.saturating_add(PIECE));
        let found = line.get(..end).and_then(|piece| pattern.find_at(piece, start));
        if found.is_some() || end == line.len() {
            return Ok(found.map(|found| found.start()));
        }
        start = end.saturating_sub(OVERLAP);
    }
}

/// The content of a file that is text, and not too large.
fn content(folder: &Folder, path: &RelPath, limit: u64) -> Option<Vec<u8>> {
    let (file, stat) = folder.root().file(path).ok()?;
    let size = u64::try_from(stat.st_size).ok().filter(|size| *size <= limit)?;
    let content = up_to(&file, limit, size).ok()?;
    (!content.contains(&0)).then_some(content)
}

/// A line as text; of a long one the part around the match.
fn shown(line: &[u8], at: usize) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() <= SHOWN {
        return String::from_utf8_lossy(line).into_owned();
    }
    let start = at.saturating_sub(SHOWN / 4).min(line.len());
    let end = start.saturating_add(SHOWN).min(line.len());
    let part = String::from_utf8_lossy(line.get(start..end).unwrap_or_default()).into_owned();
    format!("…{part}…")
}
